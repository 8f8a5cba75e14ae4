"""Deletion and insertion: the score while the most salient pixels are removed, or inserted.

Source: Petsiuk et al. 2018 (RISE), causal metric: pixels are removed, or inserted, in
falling saliency, and the area is taken under the probability over the share of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.faithfulness.map_status import map_status
from saliency_audit.faithfulness.scoring import check_image, scores_of
from saliency_audit.measures.arrays import Pixels, SaliencyMap
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import ranking
from saliency_audit.ranges import check_at_least

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.faithfulness.scoring import Score


@dataclass(frozen=True)
class PerturbationCurve:
    """The score over the share of pixels that have been changed, the most salient first.

    ``shares`` (S + 1,): 0 to 1, rising; ``scores`` (S + 1,): the score at each, in units of the
    score; ``auc``: the area under them, in units of the score, for probabilities in [0, 1].
    ``status``: ``ok``, or why the map ranks no pixels; then ``auc`` is None and the curve empty.
    """

    shares: NDArray[np.float64]
    scores: NDArray[np.float64]
    auc: float | None
    status: Status


def deletion(
    score: Score,
    image: Tensor,
    saliency: SaliencyMap,
    baseline: Tensor,
    *,
    compute: Compute,
    step: int = 224,
) -> PerturbationCurve:
    """Replace pixels of the image by the baseline's, the most salient first.

    A low area is good: the score falls at once. ``score``: images (B, C, H, W) to (B,);
    ``image`` and ``baseline``: (C, H, W), see ``baselines``; ``saliency``: (H, W), ties in the
    audit's ``pixel_order``; ``step``: pixels replaced between two scores, 1 or more, the last
    step perhaps fewer. The trapezoids have the true width of their step, in float64; the authors'
    code takes all as equally wide. Raises DataError for images and maps that do not fit,
    ParameterError for a wrong step or score, ModelError where a score is NaN.

    >>> import torch
    >>> from saliency_audit.compute import Compute
    >>> image = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]])
    >>> deletion(
    ...     lambda images: images.sum(dim=(1, 2, 3)), image, image[0].numpy(),
    ...     torch.zeros_like(image), compute=Compute(), step=1,
    ... ).scores
    array([4., 1., 0., 0., 0.])
    """
    return _curve(score, image, baseline, saliency, compute, step)


def insertion(
    score: Score,
    image: Tensor,
    saliency: SaliencyMap,
    baseline: Tensor,
    *,
    compute: Compute,
    step: int = 224,
) -> PerturbationCurve:
    """Put pixels of the image into the baseline, the most salient first.

    A high area is good: the score rises at once. Arguments and errors as of ``deletion``; the
    paper's baseline is the blurred image. Insertion is deletion from the baseline to the image.

    >>> import torch
    >>> from saliency_audit.compute import Compute
    >>> image = torch.tensor([[[1.0, 0.0], [3.0, 0.0]]])
    >>> insertion(
    ...     lambda images: images.sum(dim=(1, 2, 3)), image, image[0].numpy(),
    ...     torch.zeros_like(image), compute=Compute(), step=1,
    ... ).auc
    3.25
    """
    return _curve(score, baseline, image, saliency, compute, step)


def _curve(
    score: Score,
    start: Tensor,
    finish: Tensor,
    saliency: SaliencyMap,
    compute: Compute,
    step: int,
) -> PerturbationCurve:
    check_at_least(1, step=step)
    status = map_status(saliency)
    for image in (start, finish):
        check_image(image, saliency.shape)
    if start.shape != finish.shape or start.dtype != finish.dtype:
        raise DataError(
            f"an image {start.dtype} {tuple(start.shape)} came with a baseline {finish.dtype} "
            f"{tuple(finish.shape)} or the reverse: give both alike"
        )
    if status is not Status.OK:
        return PerturbationCurve(np.empty(0), np.empty(0), None, status)
    changed = np.minimum(np.arange(0, saliency.size + step, step), saliency.size)
    images = _changed_images(start, finish, ranking(saliency), changed)
    scores = scores_of(score, images, compute)
    shares = changed / saliency.size
    return PerturbationCurve(shares, scores, float(np.trapezoid(scores, shares)), status)


def _changed_images(
    start: Tensor, finish: Tensor, order: Pixels, changed: NDArray[np.int64]
) -> Iterator[Tensor]:
    import torch

    current, target = start.clone().flatten(1), finish.flatten(1)
    pixels = torch.from_numpy(order).to(start.device)
    before = 0
    for count in changed.tolist():
        added = pixels[before:count]
        current[:, added] = target[:, added]
        before = count
        yield current.view_as(start).clone()
