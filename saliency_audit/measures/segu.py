"""SegU: how far a map meets the segmenter's mask P, as a score of certainty, with confounders.

No ground truth is needed. With M in place of P the segmenter's error is
taken out; that is sound only where one mask holds for every label, since a
wrong label has no mask. Source: SegX paper, Eqs 9 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.measures.area_curve import rank, whole_curve
from saliency_audit.measures.arrays import Mask, SaliencyMap, area, check_mask, stored_patterns
from saliency_audit.measures.controls import centred, shuffled
from saliency_audit.measures.localisation import Saliency
from saliency_audit.measures.overlap import iou_ceiling
from saliency_audit.measures.status import VALUELESS_MAPS, Status
from saliency_audit.measures.top_fraction import budget


@dataclass(frozen=True)
class CertaintyRow:
    """Certainty of one map or control, and what could explain it away; None where undefined.

    All in [0, 1]. ``c_iou``: IoU(T, P) (Eq 9); ``c_iou_ceiling``: the highest at the areas of T
    and P; ``c_iou_over_ceiling``; ``c_auitc``: AUITC(m, P) (Eq 10); ``c_auitc_area``: over the
    kept area; ``precision``: |T∩P| / |T|; ``predicted_area``: P's share of the image;
    ``mean_mask_probability``: the segmenter's mean probability in P; ``status``: see ``status``.
    """

    saliency: Saliency
    c_iou: float | None
    c_iou_ceiling: float | None
    c_iou_over_ceiling: float | None
    c_auitc: float | None
    c_auitc_area: float | None
    precision: float | None
    predicted_area: float
    mean_mask_probability: float | None
    status: str


def mean_mask_probability(probability: NDArray[np.floating[Any]], predicted: Mask) -> float | None:
    """Mean of the segmenter's probability (H, W) inside P (H, W), in [0, 1]; None of an empty P.

    Raises DataError where the shapes differ or a probability is outside [0, 1].
    """
    check_mask(predicted, probability.shape)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("a segmenter's probability is outside [0, 1] or NaN: apply its sigmoid")
    inside = probability[predicted]
    return float(inside.mean(dtype=np.float64)) if inside.size else None


def certainty(
    saliency: SaliencyMap | None,
    predicted: Mask,
    kept_fraction: float,
    segmenter_probability: NDArray[np.floating[Any]] | float | None = None,
    *,
    map_status: str = Status.OK,
    name: Saliency = Saliency.MAP,
) -> CertaintyRow:
    """SegU's scores of one map and mask, IoU (Eq 9) and AUITC (Eq 10), with their confounders.

    Raises DataError on another map or mask, ParameterError where the fraction is out of range.

    Parameters
    ----------
    saliency
        a stored map (H, W), float16 in [0, 1], or None where there is none to read.
    predicted
        P (H, W). Where it is empty both scores are 0, with status ``empty_mask``.
    kept_fraction
        share of the pixels that T keeps, in (0, 1].
    segmenter_probability
        (H, W) in [0, 1], or its mean in P where that is known already.
    map_status
        the map's status. Of one in ``VALUELESS_MAPS`` nothing is read; of a
        ``sparse_map`` only positive pixels are kept.
    name
        what the row is called.
    """
    shape = saliency.shape if saliency is not None else predicted.shape
    check_mask(predicted, shape)
    kept = budget(kept_fraction, *predicted.shape)
    if isinstance(segmenter_probability, np.ndarray):
        segmenter_probability = mean_mask_probability(segmenter_probability, predicted)
    if saliency is None or map_status in VALUELESS_MAPS:
        status = map_status if map_status != Status.OK else Status.NAN_MAP
        scores: _Scores = (None, None, None, None, None, None)
    elif not area(predicted):
        stored_patterns(saliency)
        status, scores = Status.EMPTY_MASK, (0.0, 0.0, None, 0.0, 0.0, 0.0)
    else:
        status = map_status
        scores = _scores(saliency, predicted, kept, sparse=map_status == Status.SPARSE_MAP)
    share = area(predicted) / predicted.size
    return CertaintyRow(name, *scores, share, segmenter_probability, str(status))


_Scores = tuple[float | None, float | None, float | None, float | None, float | None, float | None]


def _scores(saliency: SaliencyMap, predicted: Mask, kept: int, *, sparse: bool) -> _Scores:
    """Scores against a P that is not empty, in the order of the row's fields."""
    stored_patterns(saliency)
    ranked = rank(saliency, sparse=sparse)
    curve = whole_curve(ranked, predicted)
    explained = ranked.order[: min(kept, ranked.ranked)]
    ceiling = iou_ceiling(len(explained), area(predicted))
    iou = curve.at(kept)
    return (
        iou,
        ceiling,
        iou / ceiling if ceiling else None,
        curve.threshold_integral(),
        curve.area_mean(),
        area(predicted.reshape(-1)[explained]) / len(explained) if len(explained) else None,
    )


def certainty_with_controls(
    saliency: SaliencyMap | None,
    predicted: Mask,
    kept_fraction: float,
    key: Sequence[int],
    segmenter_probability: NDArray[np.floating[Any]] | float | None = None,
    *,
    map_status: str = Status.OK,
) -> list[CertaintyRow]:
    """Rows of the map, of its shuffled and of its centred control, with the same P.

    Arguments and errors as of ``certainty``; ``key`` seeds the shuffle, as of
    ``controls.shuffle_key``.
    """
    if isinstance(segmenter_probability, np.ndarray):
        segmenter_probability = mean_mask_probability(segmenter_probability, predicted)
    read = None if map_status in VALUELESS_MAPS else saliency
    candidates = {
        Saliency.MAP: read,
        Saliency.SHUFFLED: None if read is None else shuffled(read, key),
        Saliency.CENTRED: None if read is None else centred(read),
    }
    return [
        certainty(
            candidate,
            predicted,
            kept_fraction,
            segmenter_probability,
            map_status=map_status,
            name=name,
        )
        for name, candidate in candidates.items()
    ]
