"""The explanation map T: the share of a map's pixels that is kept, and how ties are broken.

Source: SegX paper, "we extract the top 5% saliency map as the explanation map".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from saliency_audit.measures.arrays import Mask, Pixels, SaliencyMap, area, check_map
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Interval, PositiveShare, check_within


def check_kept_fraction(kept_fraction: float) -> None:
    """Raise ParameterError unless the fraction is above 0 and at most 1."""
    check_within(Interval(gt=0, le=1), kept_fraction=kept_fraction)


@dataclass(frozen=True)
class TopFraction(Checked):
    """How much of a map is read as its explanation.

    ``kept_fraction``: share of the pixels kept, in (0, 1]; the paper's is 0.05.

    >>> TopFraction(kept_fraction=5)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: kept_fraction is 5: give above 0, at most 1
    """

    kept_fraction: PositiveShare = 0.05


def budget(kept_fraction: float, height: int, width: int) -> int:
    """Pixels k = ⌈q·H·W⌉ that a kept fraction q in (0, 1] stands for, in exact arithmetic.

    The fraction is the decimal that is written, not its nearest binary number, of which
    0.07 · 100 gives 8. Raises ParameterError where q is out of range.

    >>> budget(0.07, 10, 10)
    7
    """
    check_kept_fraction(kept_fraction)
    return math.ceil(Fraction(repr(float(kept_fraction))) * height * width)


@lru_cache(maxsize=32)
def pixel_order(height: int, width: int) -> Pixels:
    """Flat indices (H·W,) of the pixels in the one fixed pseudo-random order that breaks ties.

    By flat index, the ties of a superpixel map would all fall at the top of the image. The order
    is that of a hash (splitmix64) of height, width and index, so that it depends on no library's
    random stream. Read-only.

    >>> sorted(pixel_order(2, 3).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    indices: NDArray[np.uint64] = np.arange(height * width, dtype=np.uint64)
    indices += _splitmix64(np.array([height << 32 | width], dtype=np.uint64))
    hashes = _splitmix64(indices)
    order = np.argsort(hashes, kind="stable").astype(np.int64)
    order.flags.writeable = False
    return order


def _splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers one to one (Steele, Lea and Flood 2014)."""
    mixed = state + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def ranking(saliency: SaliencyMap) -> Pixels:
    """Flat indices (H·W,) of a map's pixels, the most salient first, ties in ``pixel_order``.

    ``saliency`` is (H, W), finite, float16, float32 or float64. Raises DataError otherwise.

    >>> ranking(np.array([[0.1, 0.9, 0.4]]))
    array([1, 2, 0])
    """
    check_map(saliency)
    order = pixel_order(*saliency.shape)
    values = saliency.reshape(-1)[order]
    return order[np.argsort(_falling(values), kind="stable")]


def _falling(values: SaliencyMap) -> NDArray[np.uint16] | SaliencyMap:
    """Keys that ascend where values fall; of halves an integer, which sorts ten times as fast."""
    if values.dtype != np.float16:
        return -values
    patterns = (values + np.float16(0)).view(np.uint16)  # adding 0 mends a negative zero
    return np.where(patterns & 0x8000, patterns, ~patterns & 0x7FFF).astype(np.uint16)


def top_fraction(saliency: SaliencyMap, kept_fraction: float) -> Mask:
    """T (H, W): exactly k = ``budget(q, H, W)`` most salient pixels, ties in ``pixel_order``.

    ``saliency`` is (H, W), finite; it depends on the map's ranking alone. Raises DataError on
    another map, ParameterError where the fraction is out of (0, 1].

    >>> top_fraction(np.array([[0.1, 0.9], [0.4, 0.2]]), 0.5)
    array([[False,  True],
           [ True, False]])
    """
    check_map(saliency)
    kept = budget(kept_fraction, *saliency.shape)
    above, level = _above_and_level(saliency, kept)
    order = pixel_order(*saliency.shape)
    tied = order[level[order]]
    above[tied[: kept - area(above)]] = True
    return above.reshape(saliency.shape)


def tie_share(saliency: SaliencyMap, kept_fraction: float) -> float:
    """Share in [0, 1] of the kept pixels that only the order of ties chose.

    These are the kept pixels that equal the lowest kept value, if not all such pixels are kept.
    Arguments and errors as of ``top_fraction``.

    >>> tie_share(np.array([[1.0, 0.5, 0.5, 0.0]]), 0.5)
    0.5
    """
    check_map(saliency)
    kept = budget(kept_fraction, *saliency.shape)
    above, level = _above_and_level(saliency, kept)
    places = kept - area(above)
    return 0.0 if places == area(level) else places / kept


def _above_and_level(saliency: SaliencyMap, kept: int) -> tuple[Mask, Mask]:
    """Flat masks of the pixels above the lowest kept value, and of those that equal it."""
    wide = np.float64 if saliency.dtype == np.float64 else np.float32
    values = saliency.reshape(-1).astype(wide)
    lowest = np.partition(values, values.size - kept)[values.size - kept]
    return values > lowest, values == lowest
