"""Rows of a CSV file of foreign origin, with their line numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from saliency_audit.errors import DataError


@dataclass(frozen=True)
class Row:
    """One row: ``line`` of the file (the header is line 1), and its cells by column, trimmed.

    ``cells`` is None where the row has another number of cells than the header.
    """

    line: int
    cells: dict[str, str] | None


@dataclass(frozen=True)
class Table:
    """A CSV file: the names of its columns, and its rows that are not empty."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_csv(path: Path, needed: Sequence[str] = ()) -> Table:
    """Read a CSV file, UTF-8 (tab-separated where its name ends in ``.tab`` or ``.tsv``).

    Raises DataError naming the file where it is missing, is not UTF-8, is no CSV, has no header
    or two columns of one name, or lacks a column of ``needed``.
    """
    delimiter = "\t" if path.suffix in (".tab", ".tsv") else ","
    lines = _lines(path, delimiter)
    _, header = next(lines, (1, []))
    columns = [name.strip() for name in header]
    if not any(columns):
        raise DataError(f"{path} has no header: name its columns in the first line")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path} has the column {twice!r} twice: rename or remove one")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}: its columns are {', '.join(columns)}"
        )
    return Table(tuple(columns), tuple(_rows(columns, lines)))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} is missing: check the folder of the source") from None
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte {data[error.start]:#04x} is not UTF-8: save it as UTF-8"
        ) from None


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: not CSV: {error}") from None
        yield line, cells


def _rows(columns: Sequence[str], lines: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for line, cells in lines:
        trimmed = [cell.strip() for cell in cells]
        if len(trimmed) == len(columns):
            if any(trimmed):
                yield Row(line, dict(zip(columns, trimmed, strict=True)))
        elif any(trimmed):
            yield Row(line, None)
