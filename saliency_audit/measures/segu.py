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

from saliency_audit.measures.area_curve import rank
from saliency_audit.measures.arrays import (
    Mask,
    SaliencyMap,
    area,
    check_mask,
    share,
    stored_patterns,
)
from saliency_audit.measures.certainty_figures import CERTAINTY_FIGURES
from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.explained import whole
from saliency_audit.measures.mask_probability import mean_mask_probability
from saliency_audit.measures.status import VALUELESS_MAPS, Status
from saliency_audit.measures.top_fraction import budget


@dataclass(frozen=True)
class CertaintyRow:
    """Certainty of one map or control, and what could explain it away; None where undefined.

    All in [0, 1]. ``figures``: by key, those of ``CERTAINTY_FIGURES``; ``predicted_area``: P's
    share of the image; ``mean_mask_probability``: the segmenter's mean probability in P;
    ``status``: see ``status``.
    """

    saliency: Saliency
    figures: dict[str, float | None]
    predicted_area: float
    mean_mask_probability: float | None
    status: str


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
    figures: dict[str, float | None]
    if saliency is None or map_status in VALUELESS_MAPS:
        status = map_status if map_status != Status.OK else Status.NAN_MAP
        figures = {figure.key: None for figure in CERTAINTY_FIGURES}
    elif not area(predicted):
        stored_patterns(saliency)
        status, figures = Status.EMPTY_MASK, _of_empty_mask()
    else:
        stored_patterns(saliency)
        ranked = rank(saliency, sparse=map_status == Status.SPARSE_MAP)
        found = whole(ranked, kept, predicted)
        status = map_status
        figures = {figure.key: figure.compute(found) for figure in CERTAINTY_FIGURES}
    return CertaintyRow(name, figures, share(predicted), segmenter_probability, str(status))


def _of_empty_mask() -> dict[str, float | None]:
    """Give the figures where P marks nothing: 0, if their rule does not say null."""
    return {
        figure.key: None if Status.EMPTY_MASK in figure.null.statuses else 0.0
        for figure in CERTAINTY_FIGURES
    }


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
