"""A Parquet file held to the declaration of its table: all that is wrong with it, not the first.

A stage stops at the first batch that breaks its declaration; a person wants to know everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.problem import Problem, Problems, Severity
from tasks.artifacts import open_table
from tasks.tables.dictionary import PLACES, SIZES, declared
from tasks.tables.table import KEYS, Table

#: A file is taken for the table with which it shares this part of their columns.
ALIKE = 0.5


def table_problems(path: Path, name: str | None = None) -> Iterator[Problem]:
    """Hold a Parquet file to its table, one batch of rows after the other; gives every problem.

    ``name``: that of the table; None: it is found from the file's place, else from its columns.
    Of each problem the first 20 keys are kept. Raises ParameterError where there is no such table.
    """
    if name is not None and name not in PLACES:
        raise ParameterError(f"--table {name}: no such table; known are {', '.join(PLACES)}")
    found = Problems(str(path), kept=KEYS)
    try:
        with open_table(path) as file:
            table = _table_of(path, file.schema_arrow, name)
            if table is None:
                meaning = "neither place nor columns say which table it is"
                advice = f"say it with --table: {', '.join(PLACES)}"
                found.add(Severity.STOP, "unknown table", meaning, advice, [(str(path), "")])
            else:
                _check(table, file, found)
    except (DataError, OSError) as error:
        found.add(
            Severity.STOP,
            "unreadable",
            "the file cannot be read to its end",
            "fetch it again, or delete it and run `saliency-audit run`",
            [(str(path), str(error))],
        )
    yield from found


def _check(table: Table, file: pq.ParquetFile, found: Problems) -> None:
    meaning = f"breaks the declaration of {table.name} (docs/data-dictionary.md)"
    advice = "mend what wrote it, or delete it and run `saliency-audit run`"
    for fault in table.schema_faults(file.schema_arrow):
        said = [(f"column {fault.column}", fault.rule)]
        found.add(Severity.STOP, "schema", meaning, advice, said, column=fault.column)
    last_key = None
    for batch in file.iter_batches(batch_size=table.rows_per_group):
        batch.validate(full=True)
        for fault in table.row_faults(batch, last_key):
            keys = [(_named(table, key), "") for key in fault.keys]
            found.add(
                Severity.STOP,
                fault.rule,
                meaning,
                advice,
                keys,
                column=fault.column,
                count=fault.rows,
            )
        last_key = table.last_key(batch, last_key)


def _named(table: Table, key: tuple[object, ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(table.key, key, strict=True))


def _table_of(path: Path, schema: pa.Schema, name: str | None) -> Table | None:
    """Find the table of a file: the one named, that of its place, or the one most like it."""
    tables = {table.name: table for table in declared(_sizes(schema))}
    if name is not None:
        return tables[name]
    for known, patterns in PLACES.items():
        if any(path.resolve().match(re.sub("<.*?>", "*", pattern)) for pattern in patterns):
            return tables[known]
    best = max(tables.values(), key=lambda table: _likeness(table, schema))
    return best if _likeness(best, schema) >= ALIKE else None


def _likeness(table: Table, schema: pa.Schema) -> float:
    """Give the share of columns that a table and a file have in common, by name."""
    ours, theirs = set(table.schema.names), set(schema.names)
    return len(ours & theirs) / len(ours | theirs)


def _sizes(schema: pa.Schema) -> dict[str, int]:
    """Give the size of a file's maps: no declaration sets it."""
    for field in schema:
        if isinstance(field.type, pa.FixedShapeTensorType):
            names = ("methods", "height", "width")
            shape = field.type.shape
            return {**SIZES, **dict(zip(names[-len(shape) :], shape, strict=False))}
    return dict(SIZES)
