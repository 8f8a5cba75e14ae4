"""The data dictionary, written from the declared tables: ``python -m tasks.tables.dictionary``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from types import FunctionType

import tasks.tables
from saliency_audit.datasets.vocabulary import NOTES, REASONS
from tasks.tables.table import Column, Table

#: Where each table lies; the order of the stages.
PLACES: Mapping[str, tuple[str, ...]] = {
    "images": ("data/ingest/<dataset>/images.parquet",),
    "masks": ("data/ingest/<dataset>/masks.parquet",),
    "set_aside": ("data/ingest/<dataset>/set_aside.parquet",),
    "split": ("data/split/<dataset>/split.parquet",),
    "history": (
        "data/train_classifier/<audit>/history.parquet",
        "data/train_segmenter/<dataset>/history.parquet",
    ),
    "predictions": ("data/predict/<audit>/predictions.parquet",),
    "chosen": ("data/predict/<audit>/chosen.parquet", "data/predict/<audit>/background.parquet"),
    "regions": ("data/predict/<audit>/regions.parquet",),
    "saliency": ("data/explain/<audit>/<method>.parquet",),
    "cohort": ("data/cohort/<audit>.parquet",),
    "localisation": ("data/apply_segx/<audit>.parquet",),
    "certainty": ("data/score_segu/<audit>.parquet",),
    "cells": ("data/aggregate_agreement/<audit>/cells.parquet",),
    "agreement": ("data/aggregate_agreement/<audit>/agreement.parquet",),
    "gallery": ("data/summarise/<dataset>/<audit>/gallery.parquet",),
    "offenders": (
        "reports/<dataset>/quality/check_inputs.parquet",
        "reports/<dataset>/quality/<audit>/<gate>.parquet",
    ),
}
#: The sizes of the maps that the page shows: how many methods, and pixels.
SIZES = {"height": 64, "width": 64, "methods": 5}

HEAD = """# Data dictionary

Every table that passes between stages. This page is written from the
declarations in `tasks/tables/` by `python -m tasks.tables.dictionary`, and a
test holds it to them. Rows ascend by their key, which is unique. A column may
be empty only where it says so; a status then says why.
"""


def declared(sizes: Mapping[str, int] = SIZES) -> Iterator[Table]:
    """Give every declared table, in the order of the stages; ``sizes``: of maps, as ``SIZES``."""
    found: dict[str, Table] = {}
    for module in pkgutil.iter_modules(tasks.tables.__path__, "tasks.tables."):
        if module.name == __name__:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            table = _sized(value, sizes)
            if table is not None:
                found[table.name] = table
    order = list(PLACES)
    yield from sorted(found.values(), key=lambda table: order.index(table.name))


def _sized(value: object, sizes: Mapping[str, int]) -> Table | None:
    """Give a table, or one of maps of a size where the declaration takes it."""
    if isinstance(value, Table):
        return value
    if not isinstance(value, FunctionType) or value.__annotations__.get("return") != Table:
        return None
    table: Table = value(*(sizes[name] for name in signature(value).parameters))
    return table


def write() -> str:
    """Give the page as Markdown."""
    words = [
        _words("Why a row or file is set aside", "reason", REASONS),
        _words("What is odd in an image or its masks", "note", NOTES),
    ]
    return "\n".join([HEAD, *(_section(table) for table in declared()), *words])


def _words(title: str, head: str, meanings: Mapping[str, str]) -> str:
    rows = "\n".join(f"| `{word}` | {meaning} |" for word, meaning in meanings.items())
    return f"## {title}\n\n| {head} | meaning |\n| --- | --- |\n{rows}\n"


def _section(table: Table) -> str:
    rows = "\n".join(_row(column) for column in table.columns)
    return f"""## {table.name}

{table.meaning}

{_quoted(PLACES[table.name])}; key: {_quoted(table.key)}.

| column | type | unit | range | empty | meaning |
| --- | --- | --- | --- | --- | --- |
{rows}
"""


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(column: Column) -> str:
    low = "" if column.low is None else f"{column.low:g}"
    high = "" if column.high is None else f"{column.high:g}"
    limits = f"{low} to {high}" if low and high else f"from {low}" if low else ""
    kind = str(column.type).replace("extension<", "").replace(">>", ">")
    cells = (f"`{column.name}`", kind, column.unit, limits, "yes" if column.null else "")
    meaning = column.meaning.replace("|", r"\|")
    return f"| {' | '.join(cells)} | {meaning} |"


if __name__ == "__main__":
    Path("docs/data-dictionary.md").write_text(write(), encoding="utf-8")
