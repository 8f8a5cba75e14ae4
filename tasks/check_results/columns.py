"""Tables of figures as columns: numbers as arrays, names as the number of what they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.artifacts import open_table, read_columns
from tasks.tables.table import Table

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]
#: The first and the last of some images, by name.
Span = tuple[str, str]
#: What parts the names of a key: no name holds it.
BETWEEN = "\0"


@dataclass(frozen=True)
class Columns:
    """Some columns of a table; its rows are found by the names of a key."""

    table: pa.Table

    @classmethod
    def read(
        cls, path: Path, table: Table, names: Sequence[str], span: Span | None = None
    ) -> Columns:
        """Read columns of a table of figures; of those images alone that lie in a span."""
        if span is None:
            return cls(read_columns(path, table, list(names)))
        schema = pa.schema([table.schema.field(name) for name in names])
        with open_table(path) as file:
            groups = [n for n in range(file.num_row_groups) if _holds(file, n, span)]
            read = file.read_row_groups(groups, columns=list(names)).select(list(names))
        return cls(read.cast(schema)).within(span)

    def __len__(self) -> int:
        """Count the rows."""
        return int(self.table.num_rows)

    def within(self, span: Span) -> Columns:
        """Keep the rows of images from the first to the last of a span."""
        ids = self.table.column("image_id")
        inside = pc.and_(pc.greater_equal(ids, span[0]), pc.less_equal(ids, span[1]))
        return Columns(self.table.filter(inside))

    def numbers(self, name: str) -> Numbers:
        """Give a column as float64 (n,), null as NaN."""
        values = self.table.column(name).cast(pa.float64()).to_numpy()
        return np.asarray(values, np.float64)

    def among(self, name: str, *values: str) -> Flags:
        """Say which rows (n,) have one of some values."""
        found = pc.is_in(self.table.column(name), value_set=pa.array(values, pa.string()))
        return np.asarray(found.to_numpy(), np.bool_)

    def where(self, rows: Flags) -> Columns:
        """Keep some rows."""
        return Columns(self.table.filter(pa.array(rows)))

    def keys(self, *names: str) -> pa.Array:
        """Give the names of each row, joined (n,)."""
        parts = [self.table.column(name).cast(pa.string()) for name in names]
        joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, BETWEEN)
        return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _holds(file: pq.ParquetFile, group: int, span: Span) -> bool:
    """Whether a row group may hold images of a span: the first column, the key, ascends."""
    found = file.metadata.row_group(group).column(0).statistics
    if found is None or not found.has_min_max:
        return True
    return bool(found.min <= span[1] and found.max >= span[0])


def find(keys: pa.Array, among: pa.Array) -> Indices:
    """Give the first place (n,) of each key among others, -1 where it is not."""
    places = pc.fill_null(pc.index_in(keys, value_set=among), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)


def taken(values: Numbers, places: Indices) -> Numbers:
    """Give the values at some places, NaN at -1."""
    if not len(values):
        return np.full(len(places), np.nan)
    return np.where(places >= 0, values[places], np.nan)


def split_keys(keys: pa.Array, names: Sequence[str]) -> dict[str, list[Any]]:
    """Take joined keys apart: a list of each name."""
    parts = [key.split(BETWEEN) for key in keys.to_pylist()]
    return {name: [part[n] for part in parts] for n, name in enumerate(names)}
