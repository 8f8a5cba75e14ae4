"""Reading and writing the files that pass between stages.

An output is written as ``*.partial`` and takes its name when it has passed
its checks: a file with its final name is whole. What fails is moved to
``.saliency/failed`` for a person to look at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from saliency_audit.errors import DataError
from tasks.places import LOCAL
from tasks.tables.table import Table


@contextmanager
def partial(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` if all goes well.

    Raises DataError where the disk refuses, naming the file; nothing keeps the final name then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".partial")
    try:
        yield beside
        beside.replace(path)
    except OSError as error:
        _discard(beside)
        raise DataError(
            f"{path} could not be written ({error.strerror or error}): free space or mend the "
            "disk and run again; artifacts that were finished before are as they were"
        ) from error
    except DataError:
        _keep_rejected(beside)
        raise
    except BaseException:
        _discard(beside)
        raise


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)


def _keep_rejected(path: Path) -> None:
    if path.exists():
        kept = LOCAL / "failed" / path.name.removesuffix(".partial")
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.replace(kept)


class TableWriter:
    """Writes the rows of one table in row groups, each checked before it is written."""

    def __init__(self, table: Table, sink: pq.ParquetWriter) -> None:
        self._table = table
        self._sink = sink
        self._pending: list[dict[str, Any]] = []
        self._last_key: tuple[Any, ...] | None = None

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row: a value for every column."""
        self._pending.append(dict(row))
        if len(self._pending) >= self._table.rows_per_group:
            self.flush()

    def write_all(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows in the order of the table's key."""
        for row in rows:
            self.write(row)

    def flush(self) -> None:
        """Check and write what is pending."""
        if self._pending:
            batch = self._table.batch(self._pending)
            self._last_key = self._table.check(batch, self._last_key)
            self._sink.write_batch(batch)
            self._pending = []


@contextmanager
def write_table(table: Table, path: Path) -> Iterator[TableWriter]:
    """Write a table to ``path`` row by row; it gets its name when the last row has passed.

    Raises DataError where a row breaks the table's declaration, or the disk refuses.
    """
    with (
        partial(path) as beside,
        pq.ParquetWriter(
            beside, table.schema, compression="zstd", use_dictionary=False, version="2.6"
        ) as sink,
    ):
        writer = TableWriter(table, sink)
        yield writer
        writer.flush()


@contextmanager
def open_table(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a table's file; raises DataError where it is missing or, then or later, damaged."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run `saliency-audit run` to make it") from None
    except (pa.ArrowInvalid, OSError) as error:
        # The disk's own errors have a number and are no fault of the file.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{path} is truncated or no Parquet file ({error}): "
            "delete it and run `saliency-audit run`"
        ) from None


def read_batches(
    path: Path, table: Table, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream a table's record batches, one row group at a time.

    Raises DataError where the file is missing, is no Parquet or has another schema.
    """
    with open_table(path) as file:
        faults = [fault.said for fault in table.schema_faults(file.schema_arrow)]
        if faults:
            raise DataError(
                f"{path} is not a table of {table.name} ({'; '.join(faults)}): "
                "delete it and run `saliency-audit run`"
            )
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns).to_batches()


def read_rows(
    path: Path, table: Table, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Stream a table's rows as dictionaries, holding one row group at a time."""
    for batch in read_batches(path, table, columns):
        yield from batch.to_pylist()


def read_columns(path: Path, table: Table, columns: list[str]) -> pa.Table:
    """Read whole columns of a table; for those that hold no pixels."""
    batches = list(read_batches(path, table, columns))
    schema = pa.schema([table.schema.field(name) for name in columns])
    return pa.Table.from_batches(batches, schema=schema)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, so that equal content has equal bytes."""
    with partial(path) as beside:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        beside.write_text(text + "\n", encoding="utf-8")


class Document(dict[str, Any]):
    """The object of a JSON artifact: what it lacks is a fault of its file, and said to be."""

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        super().__init__(content)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self.path} lacks {key!r}: delete it and run `saliency-audit run`")


def read_json(path: Path) -> Any:
    """Read a JSON artifact, an object as a ``Document``.

    Raises DataError where it is missing or broken, and later where a key is asked that it lacks.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Document(content, path) if isinstance(content, dict) else content
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run `saliency-audit run` to make it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no JSON ({error}): delete it and run `saliency-audit run`"
        ) from None


def file_sha256(path: Path) -> str:
    """Digest of an artifact's bytes, read in pieces; raises DataError where it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run `saliency-audit run` to make it") from None
