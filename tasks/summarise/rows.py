"""An audit's tables as columns, joined to the cohort that says which rows count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_columns
from tasks.tables.cohort import COHORT
from tasks.tables.predictions import PREDICTIONS

#: The split that tables speak of; the others are there to choose a threshold.
TEST = "test"


def read_cohort(audit: str) -> pa.Table:
    """Give an audit's cohort with each row's raw ``probability`` and ``group``, a number."""
    cohort = read_columns(places.cohort(audit), COHORT, [c.name for c in COHORT.columns])
    predictions = read_columns(
        places.predict(audit) / "predictions.parquet",
        PREDICTIONS,
        ["image_id", "label", "probability"],
    )
    joined = attach(cohort, predictions, ["probability"])
    groups = pc.dictionary_encode(joined.column("group_id").combine_chunks()).indices
    return joined.append_column("group", groups)


def attach(table: pa.Table, other: pa.Table, columns: list[str]) -> pa.Table:
    """Append columns of ``other``, found by image and label; the order of rows stays.

    Raises DataError naming the first row of ``table`` that ``other`` lacks.
    """
    found = pc.index_in(_keys(table), value_set=_keys(other))
    if found.null_count:
        row = pc.index(pc.is_null(found), True).as_py()
        key = (table.column("image_id")[row].as_py(), table.column("label")[row].as_py())
        raise DataError(
            f"the audit's tables do not belong together: one lacks {key}; run `saliency-audit run`"
        )
    for name in columns:
        table = table.append_column(name, other.column(name).take(found))
    return table


def _keys(table: pa.Table) -> pa.Array:
    joined = pc.binary_join_element_wise(table.column("image_id"), table.column("label"), "\0")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def counted(table: pa.Table) -> pa.Table:
    """Keep the rows that enter the tables: of the test split, and counted by the cohort."""
    return table.filter(pc.and_(pc.equal(table.column("split"), TEST), table.column("counts")))


def pick(table: pa.Table, **values: str) -> pa.Table:
    """Keep the rows that have the given values in the columns of these names."""
    for name, value in values.items():
        table = table.filter(pc.equal(table.column(name), value))
    return table


def distinct(table: pa.Table, column: str) -> list[str]:
    """Distinct values of a column of text, sorted."""
    return sorted(pc.unique(table.column(column)).to_pylist())


def tally(table: pa.Table, column: str) -> dict[str, int]:
    """Count the rows of each value of a column of text, by value."""
    values = pc.value_counts(table.column(column)).to_pylist()
    return {item["values"]: item["counts"] for item in sorted(values, key=lambda i: i["values"])}


def numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    """Values (n,) of a column as float64, nulls as NaN."""
    values = table.column(column).cast(pa.float64()).to_numpy()
    return np.asarray(values, dtype=np.float64)


def flags(table: pa.Table, column: str) -> NDArray[np.bool_]:
    """Values (n,) of a column of booleans without nulls."""
    return np.asarray(table.column(column).to_numpy(), dtype=np.bool_)


def texts(table: pa.Table, column: str) -> list[str]:
    """Values of a column of text."""
    values: list[Any] = table.column(column).to_pylist()
    return values


def groups(table: pa.Table) -> NDArray[np.int64]:
    """Give the number of each row's patient or lesion (n,)."""
    return np.asarray(table.column("group").to_numpy(), dtype=np.int64)
