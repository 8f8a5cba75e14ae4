"""What a gate asks: facts in columns, rules about them, and what came of each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from saliency_audit.naming import refuse_unknown
from saliency_audit.problem import Severity

#: How many offending rows a result names; the Parquet file beside it has all.
SHOWN = 20


@dataclass(frozen=True)
class Facts:
    """What is known of a kind of thing: columns (n,) of plain values, None where there is none.

    ``key``: the columns that name a row.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True)
class Rule:
    """One expectation about facts.

    ``facts``: of which; ``meaning``: what holds, in a sentence; ``advice``: what to do where it
    does not; ``expectation``: its class in Great Expectations, or in ``expectations``, with its
    ``arguments``; ``allowed``: share of rows in [0, 1] that may break it; ``parameter``: the key of
    params.yaml that sets its bound, None where its nature does.
    """

    name: str
    facts: str
    meaning: str
    advice: str
    expectation: str
    arguments: Mapping[str, Any]
    severity: Severity = Severity.STOP
    allowed: float = 0.0
    parameter: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of its facts that it is about."""
        names = ("column", "column_A", "column_B")
        return [self.arguments[name] for name in names if name in self.arguments]


def equal(advice: str, name: str, facts: str, meaning: str, one: str, other: str) -> Rule:
    """Give the rule that two columns say the same of every row; it stops."""
    arguments = {"column_A": one, "column_B": other}
    return Rule(name, facts, meaning, advice, "ExpectColumnPairValuesToBeEqual", arguments)


def among(
    advice: str, name: str, facts: str, meaning: str, column: str, values: Sequence[Any]
) -> Rule:
    """Give the rule that every row has one of some values; it stops."""
    arguments = {"column": column, "value_set": list(values)}
    return Rule(name, facts, meaning, advice, "ExpectColumnValuesToBeInSet", arguments)


def name_of(offender: Mapping[str, Any]) -> str:
    """Name a row that breaks a rule by its image, label and method, or by all that it has.

    >>> name_of({"image_id": "a", "label": "nodule", "area": 3}), name_of({"split": "test"})
    ('a nodule', 'test')
    """
    keys = ("image_id", "label", "method")
    named = [str(offender[key]) for key in keys if offender.get(key) is not None]
    return " ".join(named or [str(value) for value in offender.values()])


def with_severities(
    rules: Sequence[Rule], given: Mapping[str, str], key: str, every: Sequence[Rule] = ()
) -> list[Rule]:
    """Give rules with the severities that a person sets; ``key``: where, in params.yaml.

    ``every``: rules that datasets of any kind have, where these are of one dataset: what is set of
    a rule that is not asked here is passed over. Raises ParameterError for the name of no rule.
    """
    known = [rule.name for rule in (*rules, *every)]
    refuse_unknown(given, known, f"params.yaml: {key}.severity: unknown rule ")
    return [replace(rule, severity=Severity(given.get(rule.name, rule.severity))) for rule in rules]


@dataclass(frozen=True)
class Finding:
    """What came of a rule.

    ``rows``: how many were judged (those without a value are not); ``broken``: how many break it,
    ``offenders``: each of them by its key, with its values in the rule's columns; ``met``: whether
    so many may.
    """

    rule: Rule
    rows: int
    broken: int
    met: bool
    offenders: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def status(self) -> str:
        """``met``, ``broken``, or ``no_rows``: there was nothing to judge."""
        if not self.met:
            return "broken"
        return "met" if self.rows else "no_rows"

    @property
    def share(self) -> float:
        """Share of the judged rows that break it, in [0, 1]."""
        return self.broken / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values, with the first of its offenders."""
        rule = self.rule
        return {
            "rule": rule.name,
            "meaning": rule.meaning,
            "facts": rule.facts,
            "expectation": rule.expectation,
            "arguments": dict(rule.arguments),
            "severity": rule.severity.value,
            "status": self.status,
            "rows": self.rows,
            "broken": self.broken,
            "observed": self.share,
            "bound": rule.allowed,
            "parameter": rule.parameter,
            "advice": rule.advice if not self.met else None,
            "offenders": [dict(offender) for offender in self.offenders[:SHOWN]],
        }
