"""What a kind of corruption is, and changes that many kinds have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from saliency_audit.datasets.encoding import decode_mask, encode_mask

from .seams import NothingChangedError, Pick, Row, Seam

Where = Callable[[Row], bool]
Change = Callable[[list[Row], Pick], list[Row] | None]


@dataclass(frozen=True)
class Kind:
    """A kind of corruption.

    ``meaning``: what went wrong, in a sentence; ``untold``: why it cannot be told in principle,
    where it cannot; ``whole``: it has no rows, so that there is one rate only; ``method``: whose
    maps are touched.
    """

    name: str
    meaning: str
    seam: Seam
    subject: str = "skin"
    untold: str = ""
    whole: bool = False
    method: str = "gradcam"


def always(_row: Any) -> bool:
    return True


def each(edit: Callable[[Row, Row], Any], where: Where = always, other: Where | None = None) -> Any:
    """Change some rows; ``edit`` is given each of them, and another row as it was."""

    def change(rows: list[Row], pick: Pick) -> None:
        before = [dict(row) for row in rows]
        for number in pick(rows, where):
            mate = pick.other(before, number, other or where)
            edit(rows[number], mate)

    return change


def exchanged(*names: str, by: str = "image_id", where: Where = always) -> Any:
    """Give some rows the values that others, of another ``by``, have in some columns."""

    def change(rows: list[Row], pick: Pick) -> None:
        before = [dict(row) for row in rows]
        for number in pick(rows, where):
            own = before[number]
            mate = pick.other(
                before,
                number,
                lambda row, own=own: (
                    where(row) and row[by] != own[by] and _values(row, names) != _values(own, names)
                ),
            )
            rows[number].update({name: mate[name] for name in names})

    return change


def _values(row: Row, names: tuple[str, ...]) -> list[Any]:
    values = [row[name] for name in names]
    return [value.tobytes() if hasattr(value, "tobytes") else value for value in values]


def shifted(*names: str, where: Where = always) -> Any:
    """Move the values of some columns down by one row, over a run of rows, as a slipped join."""

    def change(rows: list[Row], pick: Pick) -> None:
        able = [n for n, row in enumerate(rows) if where(row)]
        length = min(len(able), max(2, len(pick(able)) + 1))
        starts = [
            start
            for start in range(len(able) - length + 1)
            if _values(rows[able[start]], names) != _values(rows[able[start + 1]], names)
        ]
        start = starts[int(pick.rng.integers(len(starts)))]
        run = able[start : start + length]
        before = [dict(rows[n]) for n in run]
        for number, place in enumerate(run[1:]):
            rows[place].update({name: before[number][name] for name in names})

    return change


def dropped(where: Where = always) -> Any:
    """Lose some rows."""

    def change(rows: list[Row], pick: Pick) -> list[Row]:
        gone = set(pick(rows, where))
        return [row for number, row in enumerate(rows) if number not in gone]

    return change


def twice(where: Where = always, **changes: Any) -> Any:
    """Write some rows a second time, perhaps with another value in some columns."""

    def change(rows: list[Row], pick: Pick) -> list[Row]:
        copies = [{**rows[number], **changes} for number in pick(rows, where)]
        return [*rows, *copies]

    return change


def put(**values: Any) -> Any:
    """Give some rows a value; a function is given what was there."""

    def edit(row: Row, _other: Row) -> None:
        for name, value in values.items():
            row[name] = value(row[name]) if callable(value) else value

    return each(edit, lambda row: all(row[name] is not None for name in values))


def masked(draw: Callable[[np.ndarray], np.ndarray], where: Where = always) -> Any:
    """Draw some masks anew, with the area that they then have."""

    def edit(row: Row, _other: Row) -> None:
        before = decode_mask(row["mask"])
        mask = np.ascontiguousarray(draw(before))
        row.update(mask=encode_mask(mask), area=int(mask.sum()))

    def marks(row: Row) -> bool:
        mask = decode_mask(row["mask"])
        return where(row) and not np.array_equal(draw(mask), mask)

    return each(edit, marks)


def need(good: bool, what: str) -> None:
    if not good:
        raise NothingChangedError(what)
