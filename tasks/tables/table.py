"""What a table is: columns with type, unit and meaning, a key that orders the rows, and its check.

A check names the table, each column and the first rows that break it. It has
no tunable bounds: those belong to the quality gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.errors import DataError

#: How many offending rows a message names, and how many a fault does.
SHOWN, KEYS = 5, 20

#: A row's values in the columns of its table's key.
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Fault:
    """What breaks a table's declaration: a ``rule`` of a ``column``.

    ``rows``: how many break it, and ``keys``: those of the first; none where the column itself
    is at fault.
    """

    column: str
    rule: str
    rows: int = 0
    keys: tuple[Key, ...] = ()

    @property
    def said(self) -> str:
        """The fault in words."""
        at = f" in {self.rows} rows, the first at {list(self.keys[:SHOWN])}" if self.rows else ""
        return f"column {self.column}: {self.rule}{at}"


@dataclass(frozen=True)
class Column:
    """One column: ``meaning`` is its documentation, ``unit`` what a number counts.

    ``null``: whether a value may be missing; ``low`` and ``high``: the closed range that the
    column's nature sets (a probability is in [0, 1]).
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    null: bool = False
    low: float | None = None
    high: float | None = None

    def broken(self, values: pa.Array) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Give each rule for the column's values, and which of them break it.

        Of a map all pixels are held to it.

        >>> share = Column("share", pa.float64(), "a share", low=0, high=1)
        >>> [(rule, bad.tolist()) for rule, bad in share.broken(pa.array([None, 0.5, 2.0]))]
        [('null', [True, False, False]), ('not finite', [False, False, False]),
         ('below 0', [False, False, False]), ('above 1', [False, False, True])]
        """
        null = values.is_null().to_numpy(zero_copy_only=False)
        if not self.null:
            yield "null", null
        maps = _is_map(self.type)
        finite = maps or pa.types.is_floating(self.type)
        bounded = self.low is not None or self.high is not None
        if not (finite or bounded) or (maps and null.any()):
            return
        numbers = values.to_numpy_ndarray() if maps else values.to_numpy(zero_copy_only=False)
        rules = {"not finite": ~np.isfinite(numbers)} if finite else {}
        if self.low is not None:
            rules[f"below {self.low}"] = numbers < self.low
        if self.high is not None:
            rules[f"above {self.high}"] = numbers > self.high
        for rule, bad in rules.items():
            yield rule, bad.any(axis=tuple(range(1, bad.ndim))) & ~null


@dataclass(frozen=True)
class Table:
    """A declared table: rows ascend by ``key``, which is unique.

    ``rows_per_group`` bounds the memory of a reader: tables stream by row group.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows_per_group: int = 16_384

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, without the documentation: words must not change bytes."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.null) for c in self.columns])

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        """Rows as one record batch; raises DataError naming a value of the wrong type."""
        arrays = []
        for column in self.columns:
            try:
                values = [row[column.name] for row in rows]
            except KeyError:
                raise DataError(f"table {self.name}: a row has no {column.name}") from None
            arrays.append(self._array(column, values))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, column: Column, values: list[Any]) -> pa.Array:
        try:
            if _is_map(column.type):
                stacked = np.stack(values) if values else np.empty((0, *column.type.shape))
                storage = pa.FixedSizeListArray.from_arrays(
                    pa.array(stacked.reshape(-1), column.type.value_type),
                    int(np.prod(column.type.shape)),
                )
                return pa.ExtensionArray.from_storage(column.type, storage)
            return pa.array(values, column.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            raise DataError(
                f"table {self.name}, column {column.name}: not {column.type}: {error}"
            ) from None

    def check(self, batch: pa.RecordBatch, last_key: Key | None) -> Key | None:
        """Hold a batch to the declaration; gives the key of its last row.

        ``last_key`` is that of the batch before. Raises DataError naming every fault.
        """
        faults = [*self.schema_faults(batch.schema), *self.row_faults(batch, last_key)]
        if faults:
            raise DataError(f"table {self.name}, {'; '.join(fault.said for fault in faults)}")
        return self.last_key(batch, last_key)

    def schema_faults(self, schema: pa.Schema) -> Iterator[Fault]:
        """Give what sets a schema apart: columns missing, of another type, too many, out of order.

        >>> table = Table("sizes", "", ("name",), (Column("name", pa.string(), ""),))
        >>> [fault.said for fault in table.schema_faults(pa.schema([("nam", pa.string())]))]
        ['column name: missing, string never null is declared', 'column nam: not declared']
        """
        for field in self.schema:
            found = [schema.field(n) for n, name in enumerate(schema.names) if name == field.name]
            if not found:
                yield Fault(field.name, f"missing, {_kind(field)} is declared")
            elif len(found) > 1:
                yield Fault(field.name, f"stands {len(found)} times, once is declared")
            elif not found[0].equals(field):
                yield Fault(field.name, f"{_kind(found[0])}, {_kind(field)} is declared")
        yield from (Fault(name, "not declared") for name in schema.names if name not in self._names)
        if sorted(schema.names) == sorted(self._names):
            for stands, name in zip(schema.names, self._names, strict=True):
                if stands != name:
                    yield Fault(stands, f"stands where {name} is declared")

    def row_faults(self, batch: pa.RecordBatch, last_key: Key | None) -> Iterator[Fault]:
        """Give what rows break: a null or non-finite value, one out of range, the order of the key.

        ``last_key`` is that of the last row before. Columns that are not there or have another type
        are left out: ``schema_faults`` names them.
        """
        readable = self._readable(batch)
        keyed = readable.issuperset(self.key)
        for column in self.columns:
            if column.name in readable:
                yield from self._column_faults(column, batch, keyed)
        if keyed:
            yield from self._order_faults(batch, last_key)

    def last_key(self, batch: pa.RecordBatch, before: Key | None) -> Key | None:
        """Give the key of a batch's last row; ``before`` where there is none."""
        if not batch.num_rows or not self._readable(batch).issuperset(self.key):
            return before
        key = self._key(batch, batch.num_rows - 1)
        return before if None in key else key

    @cached_property
    def _names(self) -> list[str]:
        return [column.name for column in self.columns]

    def _readable(self, batch: pa.RecordBatch) -> set[str]:
        names = batch.schema.names
        return {
            column.name
            for column in self.columns
            if names.count(column.name) == 1
            and batch.schema.field(column.name).type.equals(column.type)
        }

    def _column_faults(self, column: Column, batch: pa.RecordBatch, keyed: bool) -> Iterator[Fault]:
        for rule, bad in column.broken(batch.column(column.name)):
            rows = np.flatnonzero(bad)
            if len(rows):
                keys = [self._key(batch, int(row)) for row in rows[:KEYS]] if keyed else []
                yield Fault(column.name, rule, len(rows), tuple(keys))

    def _key(self, batch: pa.RecordBatch, row: int) -> Key:
        return tuple(batch.column(name)[row].as_py() for name in self.key)

    def _order_faults(self, batch: pa.RecordBatch, last_key: Key | None) -> Iterator[Fault]:
        found: dict[str, list[Key]] = {"twice": [], "after a greater key": []}
        columns = [batch.column(name).to_pylist() for name in self.key]
        for key in zip(*columns, strict=True):
            if None in key:  # said of its column
                continue
            if last_key is not None and not last_key < key:
                found["twice" if last_key == key else "after a greater key"].append(key)
            last_key = key
        name = ", ".join(self.key)
        for rule, keys in found.items():
            if keys:
                yield Fault(name, f"{rule} (sort by {name})", len(keys), tuple(keys[:KEYS]))


def _is_map(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.FixedShapeTensorType)


def _kind(field: pa.Field) -> str:
    return f"{field.type}{'' if field.nullable else ' never null'}"
