"""What differs between two values, a recorded one and a rerun one: trees, texts and tensors.

JSON is compared by dotted key, weights by tensor, text line by line with its numbers read as
numbers. How far apart two numbers may be is stated here once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Names of columns and keys that hold the digest of another artifact. Where that one differs in
#: its last bits, this follows; it is judged where it lies, and not once more here.
DIGESTS = ("digest", "model_digest")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")


@dataclass(frozen=True)
class Tolerance:
    """How far two numbers may be apart and count as the same; docs/reproduction.md gives reasons.

    ``relative``, ``absolute``: of numbers with a fraction, ``|a - b| <= absolute + relative · |a|``
    for a recorded ``a``. Float32 carries 7 digits; sums of some thousand terms in another order
    move the sixth, and differences of two such sums lie near 0, where only ``absolute`` helps.
    ``map``: of a saliency map's values, which are in [0, 1] and kept as float16: two steps of
    float16 below 1. Whole numbers, words, images and masks are the same or they are not.
    """

    relative: float = 1e-5
    absolute: float = 1e-6
    map: float = 2**-10

    def holds(self, recorded: float, rerun: float, size: float = 0.0) -> bool:
        """Say whether two numbers are the same; ``size``: what ``relative`` is of, if larger.

        >>> Tolerance().holds(1.0, 1.000001), Tolerance().holds(1.0, 1.001)
        (True, False)
        """
        limit = self.absolute + self.relative * max(abs(recorded), size)
        return recorded == rerun or abs(recorded - rerun) <= limit


@dataclass(frozen=True)
class Difference:
    """A place where two artifacts differ, and both values there.

    ``place``: a file's row and column, key, tensor or line; ``within``: whether the tolerance
    covers it; ``more``: what else differs alike, in words.
    """

    place: str
    recorded: str
    rerun: str
    within: bool
    more: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        more = f" ({self.more})" if self.more else ""
        return f"{self.place}: {self.recorded} → {self.rerun}{more}"


def one_sided(place: str, was_there: bool) -> Difference:
    """Give the difference of what only one side has."""
    words = ("there", "not there") if was_there else ("not there", "there")
    return Difference(place, words[0], words[1], within=False)


def tree_differences(
    recorded: Any, rerun: Any, tolerance: Tolerance, place: str = ""
) -> Iterator[Difference]:
    """Give the leaves that differ between two JSON trees, by dotted key.

    A null is the same as a null alone, and NaN as NaN. Two whole numbers are the same or not.

    >>> [str(d) for d in tree_differences({"a": [1, 2.0]}, {"a": [1, 2.5]}, Tolerance())]
    ['a.1: 2.0 → 2.5']
    """
    if isinstance(recorded, Mapping) and isinstance(rerun, Mapping):
        for key in sorted({*recorded, *rerun}, key=str):
            inner = f"{place}.{key}" if place else str(key)
            if key not in rerun or key not in recorded:
                there = [shown(tree.get(key, "none")) for tree in (recorded, rerun)]
                yield Difference(inner, there[0], there[1], within=False)
            else:
                yield from tree_differences(recorded[key], rerun[key], tolerance, inner)
    elif _is_list(recorded) and _is_list(rerun):
        if len(recorded) != len(rerun):
            lengths = (f"{len(recorded)} items", f"{len(rerun)} items")
            yield Difference(place or "items", *lengths, within=False)
        for number, (one, other) in enumerate(zip(recorded, rerun, strict=False)):
            inner = f"{place}.{number}" if place else str(number)
            yield from tree_differences(one, other, tolerance, inner)
    elif not _same(recorded, rerun):
        key = place.rsplit(".", 1)[-1]
        within = key in DIGESTS or _close(recorded, rerun, tolerance)
        yield Difference(place or "value", shown(recorded), shown(rerun), within)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and isnan(one) and isnan(other):
        return True
    return type(one) is type(other) and bool(one == other)


def _close(one: Any, other: Any, tolerance: Tolerance) -> bool:
    numbers = (one, other)
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        return False
    if all(isinstance(n, int) for n in numbers) or not np.isfinite(numbers).all():
        return bool(one == other)
    return tolerance.holds(float(one), float(other))


def shown(value: Any) -> str:
    """Give a value in at most 60 characters."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def text_differences(recorded: str, rerun: str, tolerance: Tolerance) -> Iterator[Difference]:
    r"""Give the lines that differ between two texts, their numbers compared as numbers.

    >>> [str(d) for d in text_differences("a,1.0\nb,2.0", "a,1.0\nb,2.5", Tolerance())]
    ['line 2: b,2.0 → b,2.5']
    """
    lines, others = recorded.splitlines(), rerun.splitlines()
    for number, (one, other) in enumerate(zip(lines, others, strict=False), start=1):
        if one != other:
            within = _close_lines(one, other, tolerance)
            yield Difference(f"line {number}", *_apart(one, other), within)
    if len(lines) != len(others):
        lengths = (f"{len(lines)} lines", f"{len(others)} lines")
        yield Difference("end", *lengths, within=False)


def _close_lines(one: str, other: str, tolerance: Tolerance) -> bool:
    if NUMBER.split(one) != NUMBER.split(other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(a == b or _close(_number(a), _number(b), tolerance) for a, b in pairs)


def _number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _apart(one: str, other: str) -> tuple[str, str]:
    """Give two lines, each from shortly before where they part."""
    if max(len(one), len(other)) <= 60:
        return one, other
    pairs = enumerate(zip(one, other, strict=False))
    start = next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
    start = max(0, start - 20)
    return shown(one[start:]), shown(other[start:])


def tensor_differences(recorded: Path, rerun: Path, tolerance: Tolerance) -> Iterator[Difference]:
    """Give the tensors that differ between two safetensors files, in the order of their names."""
    from safetensors import SafetensorError, safe_open

    try:
        with (
            safe_open(recorded, framework="numpy") as one,
            safe_open(rerun, framework="numpy") as other,
        ):
            names, others = set(one.keys()), set(other.keys())
            for name in sorted(names | others):
                if name not in names & others:
                    yield one_sided(f"tensor {name}", name in names)
                    continue
                yield from array_differences(
                    f"tensor {name}", one.get_tensor(name), other.get_tensor(name), tolerance
                )
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def array_differences(
    place: str, one: NDArray[Any], other: NDArray[Any], tolerance: Tolerance
) -> Iterator[Difference]:
    """Give the first number that differs between two tensors, and how many do by how much."""
    if one.shape != other.shape or one.dtype != other.dtype:
        kinds = [f"{array.dtype} {list(array.shape)}" for array in (one, other)]
        yield Difference(place, kinds[0], kinds[1], within=False)
        return
    apart, beyond = apart_and_beyond(one, other, tolerance.relative, tolerance.absolute)
    if not apart.any():
        return
    decisive = beyond if beyond.any() else apart
    index = tuple(int(i) for i in np.argwhere(np.atleast_1d(decisive))[0])
    values = [f"{np.atleast_1d(array)[index]:.9g}" for array in (one, other)]
    more = f"{int(apart.sum())} of {apart.size} numbers differ{_largest(one, other)}"
    within = not beyond.any()
    yield Difference(f"{place}{list(index)}", values[0], values[1], within, more)


def apart_and_beyond(
    one: NDArray[Any], other: NDArray[Any], relative: float, absolute: float, size: Any = 0.0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say of each pair of numbers whether they differ, and whether by more than they may."""
    if not np.issubdtype(one.dtype, np.floating):
        apart = one != other
        return apart, apart
    left, right = one.astype(np.float64), other.astype(np.float64)
    apart = (left != right) & ~(np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        limit = absolute + relative * np.maximum(np.abs(left), size)
        close = np.isfinite(left) & np.isfinite(right) & (np.abs(left - right) <= limit)
    return apart, apart & ~close


def _largest(one: NDArray[Any], other: NDArray[Any]) -> str:
    if not np.issubdtype(one.dtype, np.floating):
        return ""
    with np.errstate(invalid="ignore"):
        by = np.abs(one.astype(np.float64) - other.astype(np.float64))
    finite = by[np.isfinite(by)]
    return f", by at most {finite.max():.3g}" if finite.size else ""
