"""Every rule of the quality gates, as a page."""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tasks.audits import AgreementParameters
from tasks.gates.kinds import KINDS
from tasks.gates.rule import Rule
from tasks.params import named
from tasks.stages import gates

HEAD = """# Rules of the quality gates

Every rule, in the order of the gates. This page is written from the rules by
`python -m tasks.pages`, and a test holds it to them. [Data
quality](quality.md) explains what a gate is, and what to do when one stops.
Bounds are those of `params.yaml`, under the key beside them; a rule without
one holds of every row. A rule that is about something the dataset has not (one
label per image, masks, thresholds) is not asked.
"""
#: What rules are asked with that is no dataclass of parameters, by the name of the argument.
EXAMPLES: Mapping[str, Sequence[Any]] = {
    "description": KINDS,
    "grid": (AgreementParameters().grid,),
}


def all_rules() -> Iterator[tuple[str, list[Rule]]]:
    """Give the rules of each gate, with default bounds, for either kind of dataset."""
    for gate, checks in gates():
        rules = named(checks.rules)
        yield gate.name, _united(rules(*given) for given in itertools.product(*_arguments(rules)))


def _arguments(rules: Callable[..., list[Rule]]) -> Iterator[Sequence[Any]]:
    """Give, for each argument of a gate's rules, what to try: default parameters, or examples."""
    kinds = typing.get_type_hints(rules)
    for name in inspect.signature(rules).parameters:
        yield EXAMPLES[name] if name in EXAMPLES else (kinds[name](),)


def _united(lists: Iterator[list[Rule]]) -> list[Rule]:
    found: dict[str, Rule] = {}
    for rule in itertools.chain.from_iterable(lists):
        found.setdefault(rule.name, rule)
    return list(found.values())


def write() -> str:
    """Give the page as Markdown."""
    before = {gate.name: checks.before for gate, checks in gates()}
    return "\n".join([HEAD, *(_section(gate, before[gate], own) for gate, own in all_rules())])


def _section(gate: str, before: str, rules: list[Rule]) -> str:
    rows = "\n".join(_row(rule) for rule in rules)
    return f"""## {gate}

{len(rules)} rules, before anything is {before}.

| rule | what should hold | of | if not | bound |
| --- | --- | --- | --- | --- |
{rows}
"""


def _row(rule: Rule) -> str:
    about = ", ".join(f"`{name}`" for name in rule.columns)
    bound = f"`{rule.parameter}`" if rule.parameter else ""
    ends = {"stop": "stops", "warn": "warns"}[rule.severity.value]
    cells = (f"`{rule.name}`", rule.meaning, f"{rule.facts}: {about}", ends, bound)
    return f"| {' | '.join(cells)} |"
