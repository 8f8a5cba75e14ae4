"""What differs between two Parquet tables, by row key and column, the first differing row first.

Holds some hundred rows of each at a time: tables of maps are large.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.reproduction.values import (
    Difference,
    Tolerance,
    apart_and_beyond,
    one_sided,
    shown,
    tree_differences,
)
from tasks.tables.dictionary import declared
from tasks.tables.table import Table

#: Rows that are compared at a time, which bounds the memory; maps are the largest rows.
ROWS = 256


@dataclass
class _Column:
    """What was seen of one column so far: its first difference, how many rows, how far."""

    row: int = -1
    recorded: str = ""
    rerun: str = ""
    rows: int = 0
    beyond: int = 0
    largest: float = 0.0


def table_differences(recorded: Path, rerun: Path, tolerance: Tolerance) -> Iterator[Difference]:
    """Give the columns that differ between two Parquet tables, the first differing row first.

    A row is named by its key, where the table is one of those in docs/data-dictionary.md.
    """
    with pq.ParquetFile(recorded) as one, pq.ParquetFile(rerun) as other:
        left, right = one.schema_arrow, other.schema_arrow
        if not left.equals(right):
            yield _schema_difference(left, right)
            return
        key = _key(left.names)
        rows = one.metadata.num_rows, other.metadata.num_rows
        parted = _parted(one, other, key)
        if parted is not None:
            yield parted
        if rows[0] != rows[1]:
            yield Difference("rows", str(rows[0]), str(rows[1]), within=False)
        if parted is not None or rows[0] != rows[1]:
            return
        seen: dict[str, _Column] = {}
        start = 0
        for a, b in zip(_chunks(one), _chunks(other), strict=True):
            for name in left.names:
                _see(seen, name, a, b, start, tolerance)
            start += a.num_rows
        order = sorted(seen, key=lambda name: (seen[name].row, left.names.index(name)))
        for name in order:
            yield _told(name, seen[name], _row_name(one, key, seen[name].row), rows[0])


def _schema_difference(left: pa.Schema, right: pa.Schema) -> Difference:
    for field in (*left, *right):
        kinds = [_kind(schema, field.name) for schema in (left, right)]
        if kinds[0] != kinds[1]:
            return Difference(f"column {field.name}", kinds[0], kinds[1], within=False)
    return Difference("columns", ", ".join(left.names), ", ".join(right.names), within=False)


def _kind(schema: pa.Schema, name: str) -> str:
    at = schema.get_field_index(name)
    return str(schema.field(at).type) if at >= 0 else "none"


@cache
def _declared() -> dict[tuple[str, ...], Table]:
    return {tuple(table.schema.names): table for table in declared()}


def _key(columns: Iterable[str]) -> tuple[str, ...]:
    table = _declared().get(tuple(columns))
    return table.key if table else ()


def _parted(one: pq.ParquetFile, other: pq.ParquetFile, key: tuple[str, ...]) -> Difference | None:
    """Give the first row, in the order of the key, that only one of two tables has."""
    if not key:
        return None
    keys = [
        list(zip(*(table.column(name).to_pylist() for name in key), strict=True))
        for table in (file.read(columns=list(key)) for file in (one, other))
    ]
    if keys[0] == keys[1]:
        return None
    only = [set(keys[0]) - set(keys[1]), set(keys[1]) - set(keys[0])]
    if not only[0] and not only[1]:
        return Difference("rows", "in one order", "in another", within=False)
    row = min(only[0] | only[1])
    more = f"{len(only[0])} rows are gone, {len(only[1])} are new"
    return replace(one_sided(f"row {_named(key, row)}", row in only[0]), more=more)


def _named(key: tuple[str, ...], values: Iterable[Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(key, values, strict=True))


def _row_name(file: pq.ParquetFile, key: tuple[str, ...], row: int) -> str:
    if not key:
        return f"row {row + 1}"
    table = file.read(columns=list(key)).slice(row, 1)
    return f"row {_named(key, (table.column(name)[0].as_py() for name in key))}"


def _chunks(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """Give a table's rows, 256 at a time wherever its row groups end."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for batch in file.iter_batches(batch_size=ROWS):
        pending.append(batch)
        count += batch.num_rows
        while count >= ROWS:
            table = pa.Table.from_batches(pending)
            yield table.slice(0, ROWS)
            pending = table.slice(ROWS).to_batches()
            count -= ROWS
    if count:
        yield pa.Table.from_batches(pending)


def _see(
    seen: dict[str, _Column],
    name: str,
    one: pa.Table,
    other: pa.Table,
    start: int,
    tolerance: Tolerance,
) -> None:
    """Compare a column of some rows."""
    a, b = (table.column(name).combine_chunks() for table in (one, other))
    if isinstance(a, pa.ChunkedArray):  # pyarrow gives back a column of no chunk as it is
        return
    if a.equals(b):
        return
    if isinstance(a.type, pa.FixedShapeTensorType):
        apart, beyond, largest = _maps(a, b, tolerance)
    elif pa.types.is_floating(a.type):
        size = _scale(one) if name == "offset" and "scale" in one.column_names else 0.0
        apart, beyond, largest = _numbers(a, b, tolerance, size)
    else:
        apart, beyond, largest = _cells(name, a, b, tolerance)
    rows = np.flatnonzero(apart)
    if not len(rows):
        return
    column = seen.setdefault(name, _Column())
    # The first difference is the first that decides, if any does.
    decisive = np.flatnonzero(beyond) if beyond.any() else rows
    if column.row < 0 or (beyond.any() and not column.beyond):
        row = int(decisive[0])
        column.row = start + row
        column.recorded, column.rerun = _pair(a, b, row)
    column.rows += len(rows)
    column.beyond += int(beyond.sum())
    column.largest = max(column.largest, largest)


Seen = tuple[NDArray[np.bool_], NDArray[np.bool_], float]


def _floats(array: pa.Array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give a column as float64, NaN where it is null, and where it is null."""
    null = array.is_null().to_numpy(zero_copy_only=False)
    # A float16 column cannot be filled or cast by every pyarrow.
    values = np.array([np.nan if v is None else v for v in array.to_pylist()], np.float64)
    return values, null


def _numbers(a: pa.Array, b: pa.Array, tolerance: Tolerance, size: Any) -> Seen:
    (one, no_one), (other, no_other) = _floats(a), _floats(b)
    apart, beyond = apart_and_beyond(one, other, tolerance.relative, tolerance.absolute, size)
    gone = no_one != no_other
    by = np.abs(one - other)[apart & ~gone]
    finite = by[np.isfinite(by)]
    return apart | gone, beyond | gone, float(finite.max()) if finite.size else 0.0


def _scale(table: pa.Table) -> NDArray[np.float64]:
    """Give the range of each map: its offset is as exact as the numbers that it is made of."""
    values, _ = _floats(table.column("scale").combine_chunks())
    return np.nan_to_num(np.abs(values))


def _maps(a: pa.Array, b: pa.Array, tolerance: Tolerance) -> Seen:
    one, other = (array.to_numpy_ndarray().reshape(len(array), -1) for array in (a, b))
    apart, beyond = apart_and_beyond(one, other, 0.0, tolerance.map)
    by = np.abs(one.astype(np.float64) - other.astype(np.float64))
    finite = by[np.isfinite(by)]
    largest = float(finite.max()) if finite.size else 0.0
    return np.asarray(apart.any(axis=1)), np.asarray(beyond.any(axis=1)), largest


def _cells(name: str, a: pa.Array, b: pa.Array, tolerance: Tolerance) -> Seen:
    apart, beyond = np.zeros(len(a), bool), np.zeros(len(a), bool)
    for row, (one, other) in enumerate(zip(a.to_pylist(), b.to_pylist(), strict=True)):
        found = list(tree_differences(one, other, tolerance, name))
        apart[row] = bool(found)
        beyond[row] = any(not d.within for d in found)
    return apart, beyond, 0.0


def _pair(a: pa.Array, b: pa.Array, row: int) -> tuple[str, str]:
    if isinstance(a.type, pa.FixedShapeTensorType):
        one, other = (array.slice(row, 1).to_numpy_ndarray()[0] for array in (a, b))
        apart, _ = apart_and_beyond(one, other, 0.0, 0.0)
        at = tuple(int(i) for i in np.argwhere(apart)[0])
        return f"{one[at]:.6g} at {list(at)}", f"{other[at]:.6g}"
    return shown(a[row].as_py()), shown(b[row].as_py())


def _told(name: str, column: _Column, row: str, rows: int) -> Difference:
    by = f", by at most {column.largest:.3g}" if column.largest else ""
    beyond = f", {column.beyond} beyond tolerance" if 0 < column.beyond < column.rows else ""
    more = f"{column.rows} of {rows} rows differ{by}{beyond}"
    return Difference(
        f"{row}, column {name}", column.recorded, column.rerun, not column.beyond, more
    )
