"""Repeatability: how alike the maps of one image are that differ in the method's seed alone.

LIME, RISE and SHAP draw random samples. Where their maps differ from seed to seed, what is read
from one of them is in part noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.faithfulness.map_status import check_same_shape, map_status
from saliency_audit.faithfulness.similarity import rank_correlation
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import check_kept_fraction, top_fraction


@dataclass(frozen=True)
class Repeatability:
    """How far maps of several seeds agree.

    ``spearman``: mean over pairs of maps, in [-1, 1]; ``iou``: mean over pairs of their top
    fractions' IoU, in [0, 1]. ``standard_error`` (H, W): of the mean map, per pixel, in units of
    the map; a pixel's s/√n with s of n - 1. ``maps``: n. ``status``: ``ok``, or that of the first
    map that ranks no pixels: then the means over pairs are None, and of a NaN map also the
    standard error.
    """

    spearman: float | None
    iou: float | None
    standard_error: NDArray[np.float64] | None
    maps: int
    status: Status


def repeatability(maps: Sequence[SaliencyMap], kept_fraction: float) -> Repeatability:
    """Compare every two maps of one image, each from another seed.

    ``maps``: two or more (H, W), not scaled one by one, or else their standard error says
    nothing; ``kept_fraction``: q in (0, 1] of the regions compared. Raises DataError for fewer
    maps or several shapes, ParameterError for a wrong fraction.

    >>> one, other = np.array([[1.0, 0.0, 2.0]]), np.array([[1.0, 0.0, 4.0]])
    >>> found = repeatability([one, other], 0.5)
    >>> found.spearman, found.iou, found.standard_error
    (1.0, 1.0, array([[0., 0., 1.]]))
    """
    check_kept_fraction(kept_fraction)
    if len(maps) < 2:
        raise DataError(f"{len(maps)} maps have no repeatability: give those of two seeds or more")
    for other in maps[1:]:
        check_same_shape(maps[0], other)
    statuses = [map_status(m) for m in maps]
    status = next((found for found in statuses if found is not Status.OK), Status.OK)
    error = None if Status.NAN_MAP in statuses else _standard_error(maps)
    if status is not Status.OK:
        return Repeatability(None, None, error, len(maps), status)
    correlations = [rank_correlation(one, other).spearman for one, other in combinations(maps, 2)]
    regions = [top_fraction(m, kept_fraction) for m in maps]
    overlaps = [iou(one, other) for one, other in combinations(regions, 2)]
    return Repeatability(_mean(correlations), _mean(overlaps), error, len(maps), status)


def _standard_error(maps: Sequence[SaliencyMap]) -> NDArray[np.float64]:
    stacked = np.stack([m.astype(np.float64) for m in maps])
    return np.asarray(stacked.std(axis=0, ddof=1) / np.sqrt(len(maps)))


def _mean(values: Sequence[float | None]) -> float:
    # No map is constant and no region empty, so none is None.
    return float(np.mean([value for value in values if value is not None]))
