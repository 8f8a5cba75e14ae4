"""A flowchart in Mermaid as SVG, laid out by grandalf: what follows stands below.

Only what the README's drawing uses is understood: ``one --> other``, and ``other{{other}}`` for a
pointed box. Downwards whatever the drawing says, as a page of the site is narrow.
"""

from __future__ import annotations

import re
from typing import Any

from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout, VertexViewer

ARROW = re.compile(r"^\s*(\w+) --> (\w+)(\{\{\w+\}\})?$", re.MULTILINE)
#: Pixels: of a letter, of a box's height, between boxes, and of a box's point.
LETTER, HEIGHT, GAP, POINT = 7.2, 28.0, 22.0, 9.0
HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)


def svg(text: str) -> str:
    """Draw a flowchart; its colours are those of the page around it."""
    arrows = ARROW.findall(text)
    pointed = {name for _, name, mark in arrows if mark}
    views = layout(arrows)
    parts = [_arrow(views[one], views[other]) for one, other, _ in arrows]
    parts += [_box(name, view, POINT * (name in pointed)) for name, view in views.items()]
    left = min(view.xy[0] - view.w / 2 for view in views.values()) - 1
    right = max(view.xy[0] + view.w / 2 for view in views.values()) + 1
    top = min(view.xy[1] - view.h / 2 for view in views.values()) - 1
    bottom = max(view.xy[1] + view.h / 2 for view in views.values()) + 1
    return (
        f'<div class="drawing"><svg viewBox="{left:.0f} {top:.0f} {right - left:.0f} '
        f'{bottom - top:.0f}" width="{right - left:.0f}" role="img" '
        f'aria-label="Which stage follows which">{HEAD}{"".join(parts)}</svg></div>'
    )


def layout(arrows: list[tuple[str, str, str]]) -> dict[str, Any]:
    """Give the box of each name: ``xy`` its middle, ``w`` and ``h`` its sides, in pixels."""
    boxes = {name: Vertex(name) for one, other, _ in arrows for name in (one, other)}
    for name, box in boxes.items():
        box.view = VertexViewer(w=LETTER * len(name) + 2 * POINT, h=HEIGHT)
    graph = Graph(list(boxes.values()), [Edge(boxes[one], boxes[o]) for one, o, _ in arrows])
    placed = SugiyamaLayout(graph.C[0])
    placed.xspace, placed.yspace = GAP / 2, GAP
    placed.init_all()
    placed.draw()
    return {name: box.view for name, box in boxes.items()}


def _arrow(one: Any, other: Any) -> str:
    x, y = one.xy[0], one.xy[1] + one.h / 2
    to, down = other.xy[0], other.xy[1] - other.h / 2
    bend = (down - y) / 2
    path = f"M{x:.1f} {y:.1f}C{x:.1f} {y + bend:.1f} {to:.1f} {down - bend:.1f} {to:.1f} {down:.1f}"
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>'


def _box(name: str, view: Any, point: float) -> str:
    (x, y), half, high = view.xy, view.w / 2, view.h / 2
    inner = half - point
    corners = [
        (x - inner, y - high),
        (x + inner, y - high),
        (x + half, y),
        (x + inner, y + high),
        (x - inner, y + high),
        (x - half, y),
    ]
    shape = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
    return f'<polygon points="{shape}"/><text x="{x:.1f}" y="{y + 4:.1f}">{name}</text>'
