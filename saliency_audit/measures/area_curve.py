"""IoU with a mask while the kept area grows pixel by pixel: from it follow IoU@q and both AUITCs.

A curve needs one sort of a map, which its readings share. What a reading
keeps of the ranked pixels is decided here; which readings there are, in
``segx`` and ``explained``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saliency_audit.measures.arrays import Mask, Pixels, SaliencyMap, area
from saliency_audit.measures.top_fraction import ranking


@dataclass(frozen=True)
class RankedMap:
    """A map's pixels, the most salient first.

    ``order``: flat indices (N,); ``values``: their saliency (N,), falling; ``ranked``: how many
    of them a budget can keep: N, or of a sparse map only those above 0.
    """

    order: Pixels
    values: NDArray[np.float64]
    ranked: int


def rank(saliency: SaliencyMap, *, sparse: bool = False) -> RankedMap:
    """Rank the pixels of a map (H, W) in [0, 1]; of a ``sparse`` one only the positive count.

    Raises DataError where the map is not finite.
    """
    order = ranking(saliency)
    values = saliency.reshape(-1)[order].astype(np.float64)
    return RankedMap(order, values, _positive(values) if sparse else len(values))


def _positive(falling: NDArray[np.float64]) -> int:
    return int(np.searchsorted(-falling, 0.0, side="left"))


@dataclass(frozen=True)
class AreaCurve:
    """Explanations of 1, 2, …, N kept pixels beside a mask.

    ``ious``: (N,) in [0, 1], IoU with the mask; ``values``: (N,), the saliency of the pixel that
    each step adds; ``shared`` and ``kept``: pixels that the explanation has in the mask, and that
    it has at all, (N,) or as many steps as there are pixels to add.
    """

    ious: NDArray[np.float64]
    values: NDArray[np.float64]
    shared: NDArray[np.int32]
    kept: NDArray[np.int32]

    def at(self, kept: int) -> float:
        """IoU of the explanation of ``kept`` pixels (1 to N)."""
        return float(self.ious[kept - 1])

    def pixels_at(self, kept: int) -> tuple[int, int]:
        """Pixels of the explanation of ``kept`` pixels (1 to N): in the mask, and all."""
        step = min(kept, len(self.kept)) - 1
        return (int(self.shared[step]), int(self.kept[step])) if len(self.kept) else (0, 0)

    def area_mean(self) -> float:
        """AUITC over area: the mean of the IoU over the kept area, in [0, 1].

        The explanation of an area fraction α in (0, 1] has ⌈αN⌉ pixels, so the integral over
        α of the step function is the mean over 1, …, N kept pixels.
        """
        return min(1.0, float(self.ious.mean()))

    def threshold_integral(self) -> float:
        """AUITC (Eq 10): the integral of the IoU over thresholds τ in (0, 1], in [0, 1].

        The set {m ≥ τ} is that of the first k pixels for τ between the (k+1)-th value and the
        k-th; among equal values a step has no width, so the order of ties does not matter.
        """
        widths = self.values.copy()
        widths[:-1] -= self.values[1:]
        widths *= self.ious
        return min(1.0, float(widths.sum()))


#: Counts of pixels; half the width of the default is twice as fast.
_COUNT = np.int32


def _ious(shared: NDArray[np.int32], kept: NDArray[np.int32], mask: Mask) -> NDArray[np.float64]:
    union = kept - shared
    union += area(mask)
    return shared / union


def whole_curve(ranked: RankedMap, mask: Mask) -> AreaCurve:
    """Curve of the top pixels themselves against a non-empty mask (H, W)."""
    inside = mask.reshape(-1)[ranked.order]
    inside[ranked.ranked :] = False
    shared = np.cumsum(inside, dtype=_COUNT)
    kept = np.minimum(np.arange(1, len(inside) + 1, dtype=_COUNT), _COUNT(ranked.ranked))
    return AreaCurve(_ious(shared, kept, mask), ranked.values, shared, kept)


def intersected_curve(ranked: RankedMap, predicted: Mask, mask: Mask) -> AreaCurve:
    """Curve of the top pixels that lie in P: T∩P at every budget of T. ``mask`` is not empty."""
    within = predicted.reshape(-1)[ranked.order]
    within[ranked.ranked :] = False
    inside = within & mask.reshape(-1)[ranked.order]
    shared, kept = np.cumsum(inside, dtype=_COUNT), np.cumsum(within, dtype=_COUNT)
    return AreaCurve(_ious(shared, kept, mask), ranked.values, shared, kept)


def refilled_curve(ranked: RankedMap, predicted: Mask, mask: Mask) -> AreaCurve:
    """Curve of the top positive pixels of m·P, whose values are divided by their maximum.

    Once all of them are kept the explanation stays. Where there is none, every IoU is 0.
    ``mask`` is not empty.
    """
    total = len(ranked.order)
    positive = _positive(ranked.values)
    chosen = predicted.reshape(-1)[ranked.order[:positive]]
    order, values = ranked.order[:positive][chosen], ranked.values[:positive][chosen]
    shared = np.cumsum(mask.reshape(-1)[order], dtype=_COUNT)
    kept = np.arange(1, len(order) + 1, dtype=_COUNT)
    ious, falling = np.zeros(total), np.zeros(total)
    if len(order):
        ious[: len(order)] = _ious(shared, kept, mask)
        ious[len(order) :] = ious[len(order) - 1]
        falling[: len(order)] = values / values[0]
    return AreaCurve(ious, falling, shared, kept)
