"""Marks on paper: lines, text and markers as SVG, whose colours the page's style sheet gives.

Every text is escaped; equal numbers give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Point = tuple[float, float]

#: Styles of series: CSS class, dash pattern, marker. They differ without colour, too.
STYLES = (
    ("s1", "", "circle"),
    ("s2", "7 3", "square"),
    ("s3", "2 3", "diamond"),
    ("s4", "9 3 2 3", "triangle"),
    ("s5", "5 2 1 2", "circle"),
    ("s6", "1 2", "square"),
)
_CORNERS = {
    "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    "diamond": ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
    "triangle": ((0, -5), (5, 4), (-5, 4)),
}


def number(value: float) -> str:
    """Write a coordinate with at most two decimals.

    >>> number(12.0), number(-0.001), number(1.239)
    ('12', '0', '1.24')
    """
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def text(at: Point, words: str, css: str = "tick", anchor: str = "middle") -> str:
    """Write words at a point."""
    x, y = map(number, at)
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{css}">{escape(words)}</text>'


def upright(at: Point, words: str) -> str:
    """Write the title of an upright axis."""
    x, y = map(number, at)
    return (
        f'<text transform="translate({x} {y}) rotate(-90)" text-anchor="middle" '
        f'class="axis">{escape(words)}</text>'
    )


def line(start: Point, end: Point, css: str, dash: str = "") -> str:
    """Draw a straight line."""
    (x1, y1), (x2, y2) = (tuple(map(number, point)) for point in (start, end))
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{css}"{_dashed(dash)}/>'


def polyline(points: Iterable[Point], css: str, dash: str = "") -> str:
    """Draw a line through points."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return f'<polyline points="{joined}" class="{css}"{_dashed(dash)}/>'


def _dashed(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def marker(at: Point, style: int) -> str:
    """Draw the marker of a style."""
    css, _, shape = STYLES[style % len(STYLES)]
    x, y = at
    if shape == "circle":
        return f'<circle cx="{number(x)}" cy="{number(y)}" r="4" class="fill {css}"/>'
    points = " ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in _CORNERS[shape])
    return f'<polygon points="{points}" class="fill {css}"/>'


def bar(at: Point, width: float, height: float) -> str:
    """Draw a bar from its upper left corner."""
    x, y, w, h = map(number, (*at, width, height))
    return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" class="fill s1"/>'


def svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Put parts on a drawing of its own size in pixels, named for those who cannot see it."""
    w, h = number(width), number(height)
    return (
        f'<svg class="chart" viewBox="0 0 {w} {h}" width="{w}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
