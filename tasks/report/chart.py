"""Line, interval and bar charts of a report, as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from tasks.report.drawing import (
    STYLES,
    Point,
    bar,
    line,
    marker,
    polyline,
    svg,
    text,
    upright,
)

LEFT, TOP, WIDE, HIGH = 52.0, 12.0, 300.0, 220.0
ROW, NAMES, BAR = 26.0, 250.0, 54.0


@dataclass(frozen=True)
class Series:
    """Points (x, y) under a name; ``style``: which of ``STYLES``; ``marked`` with a marker each."""

    name: str
    points: Sequence[Point]
    style: int = 0
    marked: bool = False


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; None where there is no value or no interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    style: int = 0


@dataclass(frozen=True)
class Bar:
    """A share in [0, 1] and another one to compare it with."""

    name: str
    value: float
    mark: float


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``low`` to ``high`` with a title."""

    title: str
    low: float
    high: float

    def ticks(self) -> list[float]:
        """Give up to seven round numbers within the axis.

        >>> Axis("", 0.0, 1.0).ticks()
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        """
        steps = (m * 10.0**e for e in range(-6, 9) for m in (1, 2, 5))
        step = next(s for s in steps if (self.high - self.low) / s <= 6 + 1e-9)
        first = ceil(self.low / step - 1e-9)
        found = [round((first + i) * step, 9) + 0.0 for i in range(8)]
        return [tick for tick in found if tick <= self.high + 1e-9]

    def part(self, value: float) -> float:
        """Where a value lies between the ends, from 0 to 1; what lies outside is at an end."""
        inside = min(max(value, self.low), self.high)
        return (inside - self.low) / (self.high - self.low)


def tick_text(value: float) -> str:
    """Write a tick's number.

    >>> tick_text(0.05), tick_text(2.0)
    ('0.05', '2')
    """
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def spanning(values: Iterable[float | None], *around: float) -> tuple[float, float]:
    """Give bounds of an axis that hold the values and the numbers ``around``, with some room.

    >>> spanning([0.1, None], 0.0)
    (-0.005, 0.105)
    """
    present = [value for value in values if value is not None] + list(around)
    low, high = (min(present), max(present)) if present else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.05
    return round(low - room, 6), round(high + room, 6)


def line_chart(
    title: str, series: Sequence[Series], across: Axis, up: Axis, *, diagonal: bool = False
) -> str:
    """Draw series over two axes, with a legend; ``diagonal``: also the line of equality."""

    def at(point: Point) -> Point:
        return LEFT + WIDE * across.part(point[0]), TOP + HIGH * (1 - up.part(point[1]))

    parts = [*_upright_axis(up, HIGH, WIDE), *_across_axis(across, LEFT, HIGH)]
    if diagonal:
        ends = [at((end, end)) for end in (across.low, across.high)]
        parts.append(line(ends[0], ends[1], "zero", "4 4"))
    for place, own in enumerate(series):
        css, dash, _ = STYLES[own.style % len(STYLES)]
        points = [at(point) for point in own.points]
        if points:
            parts.append(polyline(points, f"line {css}", dash))
        if own.marked:
            parts += [marker(point, own.style) for point in points]
        parts += _legend(own, TOP + HIGH + 54 + 18 * place)
    return svg(LEFT + WIDE + 14, TOP + HIGH + 46 + 18 * len(series), title, parts)


def _legend(own: Series, y: float) -> list[str]:
    css, dash, _ = STYLES[own.style % len(STYLES)]
    parts = [line((LEFT, y - 4), (LEFT + 28, y - 4), f"line {css}", dash)]
    if own.marked:
        parts.append(marker((LEFT + 14, y - 4), own.style))
    return [*parts, text((LEFT + 36, y), own.name, "legend", "start")]


def _across_axis(axis: Axis, left: float, high: float) -> list[str]:
    parts = []
    for tick in axis.ticks():
        x = left + WIDE * axis.part(tick)
        parts += [line((x, TOP), (x, TOP + high), "grid")]
        parts += [text((x, TOP + high + 16), tick_text(tick))]
    return [*parts, text((left + WIDE / 2, TOP + high + 34), axis.title, "axis")]


def _upright_axis(axis: Axis, high: float, wide: float) -> list[str]:
    parts = []
    for tick in axis.ticks():
        y = TOP + high * (1 - axis.part(tick))
        parts += [line((LEFT, y), (LEFT + wide, y), "grid")]
        parts += [text((LEFT - 6, y + 4), tick_text(tick), "tick", "end")]
    return [*parts, upright((14, TOP + high / 2), axis.title)]


def interval_chart(
    title: str, estimates: Sequence[Estimate], across: Axis, *, zero: float | None = None
) -> str:
    """Draw figures with their intervals, one per row; ``zero``: a value to compare with."""
    high = ROW * max(1, len(estimates))
    parts = _across_axis(across, NAMES, high)
    if zero is not None:
        x = NAMES + WIDE * across.part(zero)
        parts.append(line((x, TOP), (x, TOP + high), "zero"))
    for place, own in enumerate(estimates):
        y = TOP + ROW * (place + 0.5)
        parts.append(text((NAMES - 10, y + 4), own.name, "legend", "end"))
        parts += _estimate(own, across, y)
    return svg(NAMES + WIDE + 24, TOP + high + 44, title, parts)


def _estimate(own: Estimate, across: Axis, y: float) -> list[str]:
    if own.value is None:
        return [text((NAMES + 6, y + 4), "no value", "tick", "start")]
    parts = []
    if own.low is not None and own.high is not None:
        css, _, _ = STYLES[own.style % len(STYLES)]
        ends = [(NAMES + WIDE * across.part(end), y) for end in (own.low, own.high)]
        parts.append(line(ends[0], ends[1], f"line {css}"))
    return [*parts, marker((NAMES + WIDE * across.part(own.value), y), own.style)]


def bar_chart(title: str, bars: Sequence[Bar], across: str, up: str) -> str:
    """Draw bars of shares, each with a mark to compare it with."""
    high, wide = 180.0, BAR * max(1, len(bars))
    axis = Axis(up, 0.0, max([0.2, *(max(b.value, b.mark) for b in bars)]))
    parts = _upright_axis(axis, high, wide)
    for place, own in enumerate(bars):
        x = LEFT + BAR * place
        tall = high * axis.part(own.value)
        parts.append(bar((x + 9, TOP + high - tall), BAR - 18, tall))
        y = TOP + high * (1 - axis.part(own.mark))
        parts.append(line((x + 3, y), (x + BAR - 3, y), "chance"))
        parts.append(text((x + BAR / 2, TOP + high + 16), own.name))
    parts.append(text((LEFT + wide / 2, TOP + high + 34), across, "axis"))
    return svg(LEFT + max(wide, WIDE) + 14, TOP + high + 44, title, parts)
