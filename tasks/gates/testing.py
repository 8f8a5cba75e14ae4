"""The checks that every quality gate passes: its rules say what they mean, and find what they name.

As ``saliency_audit.testing`` for methods; gates live here, and so do their checks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from saliency_audit.errors import ParameterError
from saliency_audit.problem import Severity
from saliency_audit.testing.contract import Check, Promise, checks, promise, require, run_all
from tasks.gates.rule import Facts, Rule, with_severities
from tasks.gates.validation import judge
from tasks.params import look_up

WORD = re.compile(r"[a-z][a-z0-9_]*")
#: Rows of the facts that are planted.
ROWS = 4
#: A text that no fact holds.
STRANGE = "what no fact holds"


@dataclass(frozen=True)
class GateTrial:
    """The rules of a gate to be tried; its facts of something clean; the tree of params.yaml."""

    name: str
    rules: Sequence[Rule]
    facts: Sequence[Facts]
    tree: Mapping[str, Any]


def gate_checks(
    name: str,
    rules: Sequence[Rule],
    tree: Mapping[str, Any],
    facts: Sequence[Facts] = (),
    *,
    expected: Mapping[str, str] | None = None,
) -> Iterator[Check[GateTrial]]:
    """Give the checks of ``check_gate`` one by one, for ``pytest.mark.parametrize``."""
    return checks(PROMISES, f"gate {name}", GateTrial(name, rules, facts, tree), expected or {})


def check_gate(
    name: str,
    rules: Sequence[Rule],
    tree: Mapping[str, Any],
    facts: Sequence[Facts] = (),
    *,
    expected: Mapping[str, str] | None = None,
) -> list[str]:
    """Check that a gate keeps what every gate promises; gives the names of the checks.

    ``tree``: params.yaml, in which bounds must stand; ``facts``: the gate's own, of something
    clean, where there are some: rules must be about their columns, and pass them. ``expected``: by
    the name of a check, why it does not hold. Raises ContractError that names each broken promise
    and how to mend it.
    """
    return run_all(gate_checks(name, rules, tree, facts, expected=expected))


@promise(
    "Every rule has a name of its own, in lower case.",
    "name it by what it looks at, as mask_empty: people write the name in params.yaml",
)
def _names_are_apart(trial: GateTrial) -> None:
    require(trial.rules, "it has no rules")
    for name, count in Counter(rule.name for rule in trial.rules).items():
        require(count == 1, f"{count} rules are called {name}")
        require(WORD.fullmatch(name), f"a rule is called {name!r}")


@promise(
    "Every rule says what holds in a sentence, and what to do where it does not.",
    "end the meaning with a full stop; begin the advice as one goes on after a semicolon",
)
def _rules_are_in_words(trial: GateTrial) -> None:
    for rule in trial.rules:
        require(rule.meaning.endswith("."), f"{rule.name} means {rule.meaning!r}")
        require(rule.advice.strip(), f"{rule.name} advises nothing")


@promise(
    "A bound that a person sets is a parameter of params.yaml, and shares are from 0 to 1.",
    "name its key in `parameter`, and declare it in the gate's dataclass",
)
def _bounds_are_parameters(trial: GateTrial) -> None:
    for rule in trial.rules:
        require(0 <= rule.allowed <= 1, f"{rule.name} allows a share of {rule.allowed}")
        if rule.parameter is None:
            continue
        try:
            look_up(trial.tree, rule.parameter)
        except ParameterError as error:
            require(False, f"{rule.name} has its bound in {rule.parameter}: {error}")


@promise(
    "A person may have any rule stop the audit, or warn.",
    "pass the rules through tasks.gates.rule.with_severities",
)
def _severities_can_be_set(trial: GateTrial) -> None:
    for severity in (Severity.STOP, Severity.WARN):
        given = {rule.name: severity.value for rule in trial.rules}
        for rule in with_severities(trial.rules, given, trial.name):
            require(rule.severity is severity, f"{rule.name} stays {rule.severity}")


@promise(
    "Rules are about facts that there are: columns of one length, rows named by their key.",
    "give every row a value, None where there is none",
)
def _facts_have_their_columns(trial: GateTrial) -> None:
    known = {facts.name: facts for facts in trial.facts}
    for facts in trial.facts:
        lengths = {name: len(values) for name, values in facts.columns.items()}
        require(len(set(lengths.values())) <= 1, f"{facts.name} has columns of {lengths} rows")
        for name in facts.key:
            require(name in facts.columns, f"{facts.name} has no column {name}, its key")
    for rule in trial.rules if known else ():
        require(rule.facts in known, f"{rule.name} is about {rule.facts}: there are {set(known)}")
        for column in rule.columns:
            columns = known[rule.facts].columns
            require(column in columns, f"{rule.name} is about {column}: {rule.facts} has it not")


@promise("What is clean passes.", "see whether the rule, or its bound, is what it says")
def _clean_facts_pass(trial: GateTrial) -> None:
    if not trial.facts:
        return
    findings, _ = judge(trial.facts, trial.rules)
    for found in findings:
        require(found.met, f"{found.rule.name} is broken by {list(found.offenders[:3])}")


@promise(
    "A rule finds what breaks it, names each row by its key, and passes what does not.",
    "see its expectation and arguments: a range from low to high, a set that is not empty",
)
def _breaches_are_found(trial: GateTrial) -> None:
    planted = [rule for rule in trial.rules if rule.allowed < 1 and rule.expectation in PLANTED]
    for breach in (True, False):
        own = [replace(rule, facts=rule.name) for rule in planted]
        findings, _ = judge([_planted(rule, breach) for rule in planted], own)
        for found in findings:
            name = found.rule.name
            said = "passes what breaks it" if breach else "finds fault with what does not break it"
            require(found.met is not breach, f"{name} {said}")
            if breach:
                named = {offender.get("planted") for offender in found.offenders}
                require(len(named - {None}) == ROWS, f"{name} names {named}")


def _planted(rule: Rule, breach: bool) -> Facts:
    """Give facts of their own for a rule, all rows of which break it, or none."""
    values = PLANTED[rule.expectation](rule.arguments, breach)
    columns = dict(zip(rule.columns, values, strict=True))
    key = [f"row {number}" for number in range(ROWS)]
    return Facts(rule.name, ("planted",), {"planted": key, **columns})


def _beyond(values: Sequence[Any]) -> Any:
    """Give a value of the same kind that is not among some."""
    if isinstance(values[0], bool):
        return not values[0]
    return max(values) + 1 if isinstance(values[0], int | float) else STRANGE


def _outside(given: Mapping[str, Any]) -> float:
    low, high = given.get("min_value"), given.get("max_value")
    return float(high) + 1 if high is not None else float(low or 0) - 1


def _inside(given: Mapping[str, Any]) -> float:
    low, high = given.get("min_value"), given.get("max_value")
    if low is None:
        return float(high or 0) - (1 if given.get("strict_max") else 0)
    if high is None:
        return float(low) + (1 if given.get("strict_min") else 0)
    return (float(low) + float(high)) / 2


#: Values of the columns of a rule that break it or keep it, by its expectation and arguments.
PLANTED: Mapping[str, Callable[[Mapping[str, Any], bool], list[list[Any]]]] = {
    "ExpectColumnValuesToBeInSet": lambda given, breach: [
        [_beyond(given["value_set"]) if breach else given["value_set"][0]] * ROWS
    ],
    "ExpectColumnValuesToBeBetween": lambda given, breach: [
        [_outside(given) if breach else _inside(given)] * ROWS
    ],
    "ExpectColumnValuesToNotBeNull": lambda _, breach: [[None if breach else "there"] * ROWS],
    "ExpectColumnValuesToBeNull": lambda _, breach: [["there" if breach else None] * ROWS],
    "ExpectColumnPairValuesToBeEqual": lambda _, breach: [
        ["one"] * ROWS,
        ["other" if breach else "one"] * ROWS,
    ],
    "ExpectColumnPairValuesToBeClose": lambda given, breach: [
        [0.0] * ROWS,
        [2 * given["tolerance"] + 1 if breach else 0.0] * ROWS,
    ],
    "ExpectColumnToDetermineColumn": lambda _, breach: [
        ["one"] * ROWS,
        [str(number if breach else 0) for number in range(ROWS)],
    ],
}
#: In the order in which they are looked at.
PROMISES: tuple[Promise[GateTrial], ...] = (
    _names_are_apart,
    _rules_are_in_words,
    _bounds_are_parameters,
    _severities_can_be_set,
    _facts_have_their_columns,
    _clean_facts_pass,
    _breaches_are_found,
)
