"""The data dictionary, written from the declared tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import signature

from saliency_audit.datasets.vocabulary import NOTES, REASONS
from tasks.params import named
from tasks.stages import in_order, tables_of
from tasks.tables.table import Column, Table

#: The sizes of the maps that the page shows: how many methods, and pixels.
SIZES = {"height": 64, "width": 64, "methods": 5}

HEAD = """# Data dictionary

Every table that passes between stages. This page is written from the
declarations in `tasks/tables/` by `python -m tasks.pages`, and a
test holds it to them. Rows ascend by their key, which is unique. A column may
be empty only where it says so; a status then says why.
"""


def declared(sizes: Mapping[str, int] = SIZES) -> Iterator[Table]:
    """Give every declared table, in the order of the stages; ``sizes``: of maps, as ``SIZES``."""
    for declaration in _places():
        yield _sized(named(declaration), sizes)


@cache
def _places() -> dict[str, list[str]]:
    """Give the files of each declaration, as the stages say where they write them; gates last."""
    found: dict[str, list[str]] = {}
    for stage in sorted(in_order(), key=lambda stage: stage.checks is not None):
        for place, declaration in tables_of(stage).items():
            found.setdefault(declaration, []).append(place)
    return found


def _sized(declaration: Table | Callable[..., Table], sizes: Mapping[str, int]) -> Table:
    """Give a table, or one of maps of a size where the declaration takes it."""
    if isinstance(declaration, Table):
        return declaration
    return declaration(*(sizes[name] for name in signature(declaration).parameters))


#: Where each table lies, by its name; the order of the stages.
PLACES: Mapping[str, Sequence[str]] = dict(
    zip((table.name for table in declared()), _places().values(), strict=True)
)


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
