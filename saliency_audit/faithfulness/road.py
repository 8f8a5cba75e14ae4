"""ROAD, remove and debias: the score without the most relevant pixels, and without the least.

Source: Rong et al. 2022. Removed pixels are imputed (``imputation``), not painted over, so that
the shape of what is removed tells the model little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import ParameterError
from saliency_audit.faithfulness.imputation import impute
from saliency_audit.faithfulness.map_status import map_status
from saliency_audit.faithfulness.scoring import check_image, scores_of
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import budget, ranking
from saliency_audit.ranges import check_at_least

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.faithfulness.scoring import Score

#: Nine tenths, as pytorch_grad_cam has them.
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Road:
    """Scores after removing a share of the pixels, all in units of the score.

    ``shares`` (S,): in (0, 1); ``morf`` (S,): most relevant first, low is good; ``lerf`` (S,):
    least relevant first, high is good; ``difference`` (S,): lerf - morf; ``mean_difference``:
    its mean, above 0 where the map knows better than chance what counts; ``original``: the score
    of the whole image. ``status``: ``ok``, or why the map ranks no pixels; then numbers are None
    and curves empty.
    """

    shares: NDArray[np.float64]
    morf: NDArray[np.float64]
    lerf: NDArray[np.float64]
    difference: NDArray[np.float64]
    mean_difference: float | None
    original: float | None
    status: Status


def road(
    score: Score,
    image: Tensor,
    saliency: SaliencyMap,
    *,
    compute: Compute,
    key: Sequence[int],
    shares: Sequence[float] = SHARES,
    noise: float = 0.01,
) -> Road:
    """Score the image with shares of its pixels imputed, most and least relevant first.

    ``score``: images (B, C, H, W) to (B,); ``image``: (C, H, W) in [0, 1]; ``saliency``: (H, W);
    ``key``: non-negative integers that seed the noise, as of ``measures.controls.shuffle_key``;
    ``shares``: in (0, 1), each removes ``budget`` pixels; ``noise``: standard deviation in pixel
    values, 0 or more. A pixel has one noise wherever it is removed, so differences are paired.
    Needs scipy. Raises ParameterError for numbers out of range, DataError for an image and map
    that do not fit, ModelError where a score is NaN.
    """
    check_at_least(0, noise=noise)
    status = map_status(saliency)
    check_image(image, saliency.shape)
    removed = _counts(shares, saliency.shape)
    if status is not Status.OK:
        empty = np.empty(0)
        return Road(empty, empty, empty, empty, None, None, status)
    field = noise * np.random.default_rng(list(key)).standard_normal(tuple(image.shape))
    order = ranking(saliency)

    def images() -> Iterator[Tensor]:
        yield image
        for ranked in (order, order[::-1]):
            for count in removed:
                mask = np.zeros(saliency.size, dtype=np.bool_)
                mask[ranked[:count]] = True
                yield impute(image, mask.reshape(saliency.shape), field)

    scores = scores_of(score, images(), compute)
    morf, lerf = scores[1 : 1 + len(removed)], scores[1 + len(removed) :]
    mean = float((lerf - morf).mean())
    return Road(np.array(shares), morf, lerf, lerf - morf, mean, float(scores[0]), status)


def _counts(shares: Sequence[float], shape: tuple[int, ...]) -> list[int]:
    """Give the pixels that each share removes; at least one stays, to impute from."""
    height, width = shape
    if not shares:
        raise ParameterError("shares is empty: give at least one share of the pixels to remove")
    counts = []
    for share in shares:
        if not 0 < share < 1:
            raise ParameterError(f"shares holds {share}: give shares of the pixels in (0, 1)")
        counts.append(budget(share, height, width))
        if counts[-1] == height * width:
            raise ParameterError(
                f"shares holds {share}, which is every pixel of {height}x{width}: give a lower one"
            )
    return counts
