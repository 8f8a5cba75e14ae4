"""What a page is made of: sections of tables, charts, grids, cards and galleries, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.report.printed import PrintedTable


@dataclass(frozen=True)
class Chart:
    """A drawing: ``svg`` is safe markup, ``caption`` beneath it."""

    svg: str
    caption: str
    part: str = "chart"


@dataclass(frozen=True)
class Heat:
    """Numbers in a grid, shaded by size: a confusion matrix, or the cells of an image.

    ``rows``: cells of (text, share in [0, 1] that shades it); ``across`` and ``down`` name the
    columns and rows, and are empty for the cells of an image.
    """

    caption: str
    rows: Sequence[Sequence[tuple[str, float]]]
    across: Sequence[str] = ()
    down: Sequence[str] = ()
    corner: str = ""
    part: str = "heat"


@dataclass(frozen=True)
class Facts:
    """Names with values, as a list; ``folded``: shown only on demand."""

    caption: str
    items: Sequence[tuple[str, str]]
    folded: bool = False
    part: str = "facts"


@dataclass(frozen=True)
class Caution:
    """A sentence that the reader must not overlook."""

    text: str
    part: str = "caution"


@dataclass(frozen=True)
class Gallery:
    """Examples of one audit, each a dictionary that the gallery's template knows."""

    title: str
    identifier: str
    examples: Sequence[dict[str, Any]]
    part: str = "gallery"


Part = PrintedTable | Chart | Heat | Facts | Caution | Gallery


def filled(parts: Iterable[Part]) -> list[Part]:
    """Give the parts that say something: no table without rows, no caution without words."""
    return [
        part
        for part in parts
        if (part.rows if isinstance(part, PrintedTable) else part != Caution(""))
    ]


@dataclass(frozen=True)
class Section:
    """A headed part of the page; ``lead`` says in plain words what it answers."""

    identifier: str
    title: str
    lead: str
    parts: Sequence[Part] = field(default_factory=tuple)

    def tables(self) -> list[PrintedTable]:
        """Give the section's tables."""
        return [part for part in self.parts if isinstance(part, PrintedTable)]
