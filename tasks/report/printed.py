"""A table as it is printed: the same rows as HTML cells, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from saliency_audit.statistics.resampling import Interval, IntervalStatus
from tasks.report import numerals

#: Decimals of numbers in CSV and JSON files, which git compares.
FILE_DECIMALS = 6


class Kind(StrEnum):
    """What a column holds, and so how it is written.

    ``MEAN``: what has ``mean`` and ``n``; ``INTERVAL`` and ``DIFFERENCE``: an ``Interval``; the
    others plain values. Any value may be None.
    """

    TEXT = "text"
    COUNT = "count"
    SCORE = "score"
    SHARE = "share"
    MEAN = "mean"
    INTERVAL = "interval"
    DIFFERENCE = "difference"


@dataclass(frozen=True)
class Column:
    """A column: ``key`` in the rows and in CSV, ``title`` above it, ``group`` above the titles.

    ``of``: the column that holds how many rows a mean should be of; where it is of fewer, its own
    n stands beneath it.
    """

    key: str
    title: str
    kind: Kind = Kind.TEXT
    group: str = ""
    of: str = "n"


@dataclass(frozen=True)
class Cell:
    """One cell of HTML: its text, what stands small beneath it, and why it is as it is."""

    text: str
    small: str = ""
    why: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class PrintedTable:
    """A table: ``name`` of its file, ``caption``, rows by column key, ``notes`` beneath it.

    ``heads``: leading columns that name the row; ``folded``: shown only on demand. A row with
    ``reference`` true holds printed values of a paper; ``why`` in a row says by column key why a
    value is missing.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()
    heads: int = 1
    folded: bool = False

    @property
    def part(self) -> str:
        """What the template draws it as."""
        return "table"

    def groups(self) -> list[tuple[str, int]]:
        """Column groups with the number of columns below each; empty where there are none."""
        if not any(column.group for column in self.columns):
            return []
        return [(name, len(list(own))) for name, own in groupby(c.group for c in self.columns)]

    def cells(self, row: Mapping[str, Any]) -> list[Cell]:
        """Give a row's cells for HTML."""
        return [_cell(column, row) for column in self.columns]

    def csv(self) -> str:
        """Give the table as CSV; means and intervals take several columns."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow([name for column in self.columns for name in _file_names(column)])
        for row in self.rows:
            writer.writerow([v for column in self.columns for v in _file_values(column, row)])
        return sink.getvalue()

    def markdown(self) -> str:
        """Give the table as Markdown, its groups folded into the titles."""
        titles = [f"{c.group} {c.title}".strip() for c in self.columns]
        rule = ["---:" if c.kind is not Kind.TEXT else "---" for c in self.columns]
        rows = [[f"{c.text} {c.small}".strip() for c in self.cells(row)] for row in self.rows]
        lines = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in [titles, *rows]]
        lines.insert(1, "| " + " | ".join(rule) + " |")
        return "\n".join(lines)


def _cell(column: Column, row: Mapping[str, Any]) -> Cell:
    value = row.get(column.key)
    numeric = column.kind is not Kind.TEXT
    if value is None:
        return Cell(numerals.NOTHING, why=row.get("why", {}).get(column.key, ""), numeric=numeric)
    if column.kind is Kind.MEAN:
        differs = value.n != row.get(column.of, value.n)
        small = f"n {numerals.count(value.n)}" if differs and value.n is not None else ""
        why = "no row has a value" if value.mean is None else ""
        return Cell(numerals.score(value.mean), small, why, numeric)
    if column.kind in (Kind.INTERVAL, Kind.DIFFERENCE):
        return _interval_cell(value, sign=column.kind is Kind.DIFFERENCE)
    return Cell(_WRITERS[column.kind](value), numeric=numeric)


_WRITERS: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.COUNT: numerals.count,
    Kind.SCORE: numerals.score,
    Kind.SHARE: numerals.share,
}


def _interval_cell(value: Interval, *, sign: bool) -> Cell:
    write = numerals.signed if sign else numerals.score
    why = numerals.STATUSES.get(value.status, "")
    text = write(value.estimate)
    if value.low is None:
        small = "no interval" if value.estimate is not None else ""
        return Cell(text, small, why, numeric=True)
    mark = "" if value.status == IntervalStatus.OK else numerals.FEW
    return Cell(text, f"[{write(value.low)}, {write(value.high)}]{mark}", why, numeric=True)


_PARTS: dict[Kind, tuple[str, ...]] = {
    Kind.MEAN: ("mean", "n"),
    Kind.INTERVAL: ("estimate", "low", "high", "status"),
    Kind.DIFFERENCE: ("estimate", "low", "high", "status"),
}


def _file_names(column: Column) -> list[str]:
    parts = _PARTS.get(column.kind)
    if parts is None:
        return [column.key]
    return [column.key, *(f"{column.key}_{part}" for part in parts[1:])]


def _file_values(column: Column, row: Mapping[str, Any]) -> list[Any]:
    value, parts = row.get(column.key), _PARTS.get(column.kind)
    if parts is None:
        return [rounded(value)]
    return [rounded(getattr(value, part)) if value is not None else None for part in parts]


def rounded(value: Any) -> Any:
    """Round floats to the decimals of files; negative zero becomes zero."""
    return round(value, FILE_DECIMALS) + 0.0 if isinstance(value, float) else value


def markdown_text(text: str) -> str:
    """Escape what Markdown and HTML would read as more than text.

    >>> print(markdown_text("a <i>"))
    a &lt;i&gt;
    """
    plain = " ".join(text.split())
    for sign in "\\`*_[]|":
        plain = plain.replace(sign, f"\\{sign}")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
