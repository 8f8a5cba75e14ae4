"""How alike two maps are: rank correlation, and structural similarity of magnitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import ParameterError
from saliency_audit.faithfulness.map_status import check_same_shape, map_status
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.status import Status
from saliency_audit.statistics.ranking import mid_ranks


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's ρ of two maps.

    ``spearman``: in [-1, 1]; None where a map ranks no pixels, and ``status`` says why.
    """

    spearman: float | None
    status: Status


def rank_correlation(first: SaliencyMap, second: SaliencyMap) -> RankCorrelation:
    """Spearman's rank correlation over the pixels of two maps (H, W), equal values sharing ranks.

    Raises DataError where shapes or types differ from that.

    >>> rank_correlation(np.array([[1.0, 2.0, 3.0]]), np.array([[0.1, 0.9, 0.2]])).spearman
    0.5
    """
    status = _pair_status(first, second)
    if status is not Status.OK:
        return RankCorrelation(None, status)
    middle = (first.size + 1) / 2
    one, other = (mid_ranks(m.reshape(-1)) - middle for m in (first, second))
    spread = np.sqrt(np.sum(one * one) * np.sum(other * other))
    correlation = float(np.sum(one * other)) / float(spread)
    return RankCorrelation(min(1.0, max(-1.0, correlation)), status)


@dataclass(frozen=True)
class Similarity:
    """How alike the magnitudes of two maps are.

    ``spearman``: in [-1, 1]; ``ssim``: in [-1, 1], None too where it was not asked. Both are None
    where one of the maps of magnitudes ranks no pixels, and ``status`` says why.
    """

    spearman: float | None
    ssim: float | None
    status: Status


def similarity(
    first: SaliencyMap, second: SaliencyMap, *, ssim_window: int | None = None
) -> Similarity:
    """Compare the magnitudes of two maps (H, W), as Adebayo et al. 2018 do.

    ``ssim_window``: side in pixels of the window of SSIM (Wang et al. 2004), odd, from 3 to the
    map's shorter side; None leaves SSIM, which needs scikit-image, out. For SSIM, each map of
    magnitudes is scaled to [0, 1]: maps of other weights have another scale. Raises DataError on
    other maps, ParameterError on another window.

    >>> similarity(np.array([[-1.0, 0.0, 2.0]]), np.array([[1.0, 0.0, 2.0]])).spearman
    1.0
    """
    _check_window(ssim_window, first.shape)
    one, other = np.abs(first), np.abs(second)
    correlation = rank_correlation(one, other)
    if correlation.spearman is None or ssim_window is None:
        return Similarity(correlation.spearman, None, correlation.status)
    from skimage.metrics import structural_similarity

    ssim = structural_similarity(  # type: ignore[no-untyped-call]
        _scaled(one), _scaled(other), win_size=ssim_window, data_range=1.0
    )
    return Similarity(correlation.spearman, float(ssim), correlation.status)


def _scaled(saliency: SaliencyMap) -> NDArray[np.float64]:
    wide = saliency.astype(np.float64)
    lowest = wide.min()
    return np.asarray((wide - lowest) / (wide.max() - lowest))


def _pair_status(first: SaliencyMap, second: SaliencyMap) -> Status:
    check_same_shape(first, second)
    found = [map_status(first), map_status(second)]
    return next((status for status in found if status is not Status.OK), Status.OK)


def _check_window(window: int | None, shape: tuple[int, ...]) -> None:
    if window is not None and (window < 3 or window % 2 == 0 or window > min(shape)):
        raise ParameterError(
            f"ssim_window is {window} for maps of {shape} pixels: give an odd number from 3 to "
            "the shorter side, or None"
        )
