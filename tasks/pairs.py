"""A pair of an audit and a method: whether it is asked for, and whether the method can explain it.

``scope`` writes what is asked, ``explain`` what came of it, and ``cohort`` keeps that in a table:
whatever is measured of an audit reads there which methods explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_columns, read_json, write_json
from tasks.tables.methods import METHODS


class PairStatus(StrEnum):
    """What came of a pair."""

    EXPLAINED = "explained"
    NOT_APPLICABLE = "not_applicable"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True)
class Asked:
    """What an audit asks of a method: maps or none, and the ``block`` that it names for it."""

    asked: bool
    block: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a pair, and the ``reason`` in words where there are no maps."""

    status: PairStatus
    reason: str = ""


def read_asked(audit: str, method: str) -> Asked:
    """Read what an audit asks of a method; raises DataError where that is not written."""
    found = read_json(places.scope_of_method(audit, method))
    return Asked(found["asked"], found["block"])


def write_outcome(audit: str, method: str, outcome: Outcome) -> None:
    """Write what came of a pair, beside its table of maps."""
    write_json(places.explain(audit) / f"{method}.json", asdict(outcome))


def read_outcome(audit: str, method: str) -> Outcome:
    """Read what came of a pair; raises DataError where that is not written."""
    found = read_json(places.explain(audit) / f"{method}.json")
    return Outcome(PairStatus(found["status"]), found["reason"])


def read_outcomes(audit: str, methods: Sequence[str]) -> Mapping[str, Outcome]:
    """Read what came of an audit's pairs, in the order of ``methods``, as the cohort has it.

    Raises DataError where it lacks one of them.
    """
    path = places.cohort_methods(audit)
    rows = read_columns(path, METHODS, ["method", "status", "reason"]).to_pylist()
    found = {row["method"]: Outcome(PairStatus(row["status"]), row["reason"]) for row in rows}
    if missing := [method for method in methods if method not in found]:
        raise DataError(f"{path} lacks {', '.join(missing)}: run `saliency-audit run`")
    return {method: found[method] for method in methods}


def explaining(audit: str, methods: Sequence[str]) -> list[str]:
    """Give the methods of ``methods`` that explain an audit, in that order; errors as above."""
    outcomes = read_outcomes(audit, methods)
    return [m for m, own in outcomes.items() if own.status is PairStatus.EXPLAINED]
