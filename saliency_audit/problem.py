"""What is wrong or odd with data, in the words that a person and a program are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a problem matters.

    - ``STOP``: an audit would end there;
    - ``WARN``: an audit would run, and its numbers may mislead;
    - ``NOTE``: worth knowing.
    """

    STOP = "stop"
    WARN = "warn"
    NOTE = "note"


@dataclass
class Problem:
    """All that breaks one rule.

    ``subject``: the file or folder; ``rule``: in a few words; ``meaning``: what it says;
    ``advice``: what to do; ``column``: of a table, where the rule is of one;
    ``count``: how many break it; ``places``: where each does, and what is there; of a table only
    those of the first rows.
    """

    severity: Severity
    subject: str
    rule: str
    meaning: str
    advice: str
    column: str | None = None
    count: int = 0
    places: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        places = [{"at": at, "what": what} for at, what in self.places]
        return {**vars(self), "severity": self.severity.value, "places": places}


class Problems:
    """Collects the problems of one subject; ``kept``: how many places of each, None for all."""

    def __init__(self, subject: str, kept: int | None = None) -> None:
        self._subject = subject
        self._kept = kept
        self._found: dict[tuple[str | None, str, str], Problem] = {}

    def __iter__(self) -> Iterator[Problem]:
        """Give them in the order in which they were met."""
        yield from self._found.values()

    def add(
        self,
        severity: Severity,
        rule: str,
        meaning: str,
        advice: str,
        places: Iterable[tuple[str, str]],
        *,
        column: str | None = None,
        count: int | None = None,
    ) -> None:
        """Add places where a rule is broken; ``count``: how many, where not all are given."""
        known = self._found.setdefault(
            (column, rule, meaning),
            Problem(severity, self._subject, rule, meaning, advice, column),
        )
        listed = list(places)
        known.count += len(listed) if count is None else count
        left = None if self._kept is None else max(0, self._kept - len(known.places))
        known.places += listed[:left]
