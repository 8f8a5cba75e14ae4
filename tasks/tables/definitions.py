"""The index of figures in docs/definitions.md, as their declarations have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from saliency_audit.measures import certainty_figures, localisation_figures
from saliency_audit.measures.figure import Figure
from saliency_audit.measures.top_fraction import TopFraction

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
#: The kept fraction that titles are written with.
KEPT = f"{100 * TopFraction().kept_fraction:g} %"
#: The table of each room, and its figures.
ROOMS = {
    "localisation": (
        *localisation_figures.LOCALISATION_FIGURES,
        *localisation_figures.MASK_FIGURES,
    ),
    "certainty": (*certainty_figures.CERTAINTY_FIGURES, *certainty_figures.MASK_FIGURES),
}
HEAD = """| column | figure | unit | range | empty where | never above | computed by | printed in |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def write(text: str) -> str:
    """Give the page with its index as the declarations have it; ``text``: the page.

    Raises ValueError where it has no place for it.
    """
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{index()}\n{END}{after}"


def index() -> str:
    """Give the tables of figures, one for each table of measures."""
    return "".join(
        f"\nColumns of `{room}`:\n\n{HEAD}\n{_rows(figures)}" for room, figures in ROOMS.items()
    )


def _rows(figures: Iterable[Figure]) -> str:
    return "".join(f"| {' | '.join(_cells(figure))} |\n" for figure in figures)


def _cells(figure: Figure) -> Iterator[str]:
    yield f"`{figure.key}`"
    yield f"[{_plain(figure.title.format(kept=KEPT))}](#{anchor(figure.definition)})"
    yield figure.unit or "share"
    yield f"{figure.low:g} to {figure.high:g}"
    yield _plain(figure.null.said())
    yield f"`{figure.ceiling}`" if figure.ceiling else ""
    yield f"`{computed_by(figure)}`"
    yield ", ".join(f"`{table}`" for table in figure.tables)


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def anchor(heading: str) -> str:
    """Give the anchor of a heading.

    >>> anchor("IoU at 5 percent")
    'iou-at-5-percent'
    """
    return heading.lower().replace(" ", "-")


def computed_by(figure: Figure) -> str:
    """Name a figure's function within ``saliency_audit``."""
    module = figure.compute.__module__.removeprefix("saliency_audit.")
    return f"{module}.{figure.compute.__qualname__}"


def figures() -> list[Figure]:
    """Give every figure that is declared."""
    return list(chain.from_iterable(ROOMS.values()))
