"""What a table is: columns with type, unit and meaning, a key that orders the rows, and its check.

A check names the table, the column and the first rows that break it. It has
no tunable bounds: those belong to the quality gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saliency_audit.errors import DataError

#: How many offending rows a message names.
SHOWN = 5


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
            if isinstance(column.type, pa.FixedShapeTensorType):
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

    def check(
        self, batch: pa.RecordBatch, last_key: tuple[Any, ...] | None
    ) -> tuple[Any, ...] | None:
        """Hold a batch to the declaration; gives the key of its last row.

        ``last_key`` is that of the batch before. Raises DataError on another schema, a null
        or non-finite value, one out of range, or rows that are not in strictly ascending order.
        """
        if not batch.schema.equals(self.schema):
            raise DataError(
                f"table {self.name}: its schema is\n{batch.schema}\nand should be\n{self.schema}"
            )
        for column in self.columns:
            self._check_column(column, batch)
        return self._check_order(batch, last_key)

    def _check_column(self, column: Column, batch: pa.RecordBatch) -> None:
        values = batch.column(column.name)
        if not column.null and values.null_count:
            self._refuse(batch, column, pc.is_null(values), "null")
        if pa.types.is_floating(column.type):
            self._refuse(batch, column, pc.invert(pc.is_finite(values)), "not finite")
        if column.low is not None:
            self._refuse(batch, column, pc.less(values, column.low), f"below {column.low}")
        if column.high is not None:
            self._refuse(batch, column, pc.greater(values, column.high), f"above {column.high}")

    def _refuse(self, batch: pa.RecordBatch, column: Column, bad: pa.Array, fault: str) -> None:
        rows = np.flatnonzero(pc.fill_null(bad, False).to_numpy(zero_copy_only=False))
        if len(rows):
            named = [self._key(batch, int(row)) for row in rows[:SHOWN]]
            raise DataError(
                f"table {self.name}, column {column.name}: {fault} in {len(rows)} rows, "
                f"the first at {named}"
            )

    def _key(self, batch: pa.RecordBatch, row: int) -> tuple[Any, ...]:
        return tuple(batch.column(name)[row].as_py() for name in self.key)

    def _check_order(
        self, batch: pa.RecordBatch, last_key: tuple[Any, ...] | None
    ) -> tuple[Any, ...] | None:
        columns = [batch.column(name).to_pylist() for name in self.key]
        for key in zip(*columns, strict=True):
            if last_key is not None and not last_key < key:
                fault = "twice" if last_key == key else f"after {last_key}"
                raise DataError(
                    f"table {self.name}: the row {key} stands {fault}: sort by {self.key}"
                )
            last_key = key
        return last_key
