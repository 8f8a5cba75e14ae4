"""Max-sensitivity: how far a map moves with an imperceptible change of the image.

Source: Yeh et al. 2019, SENS_MAX, estimated as there by the maximum over random changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saliency_audit.errors import DataError
from saliency_audit.faithfulness.map_status import check_same_shape, map_status
from saliency_audit.faithfulness.scoring import check_image
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.status import Status
from saliency_audit.ranges import Interval, check_at_least, check_within

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MaxSensitivity:
    """The greatest change of a map that was found; a lower bound of the definition's.

    ``relative``: max ‖Φ(x + δ) - Φ(x)‖ / ‖Φ(x)‖, 0 or more, None where Φ(x) is zero;
    ``absolute``: without the division, as the paper defines it, in units of the map. Both are
    None where a map has NaN. ``status``: of Φ(x), or ``nan_map`` where a changed image's map is
    one; a constant map has a norm and is ``ok``.
    """

    relative: float | None
    absolute: float | None
    status: Status


def max_sensitivity(
    explain: Callable[[Tensor], SaliencyMap],
    image: Tensor,
    *,
    key: Sequence[int],
    radius: float = 0.02,
    samples: int = 10,
) -> MaxSensitivity:
    """Explain the image and changed images, and give the greatest change of the map.

    ``explain``: an image (C, H, W) to its map (H, W). A method that draws random numbers should
    draw the same for every image here, or else its noise counts as sensitivity. ``image``:
    (C, H, W) in [0, 1]; ``key``: non-negative integers that seed the changes; ``radius``: r in
    (0, 1], the most that a pixel value changes; ``samples``: changed images, 1 or more. They
    are uniform in the part of the ball that lies in [0, 1], since outside are no images. Norms
    are Euclidean, in float64. Raises ParameterError for numbers out of range, DataError for an
    image out of [0, 1] or maps of several shapes.

    >>> import torch
    >>> max_sensitivity(lambda image: np.ones((2, 2)), torch.zeros(3, 2, 2), key=(0,)).relative
    0.0
    """
    check_within(Interval(gt=0, le=1), radius=radius)
    check_at_least(1, samples=samples)
    check_image(image)
    if not bool(((image >= 0) & (image <= 1)).all()):
        raise DataError("the image has pixels outside [0, 1]: scale it to [0, 1]")
    original = explain(image)
    status = map_status(original)
    if status is Status.NAN_MAP:
        return MaxSensitivity(None, None, status)
    wide = original.astype(np.float64)
    absolute = 0.0
    for changed in _changed_images(image, key, radius, samples):
        moved = explain(changed)
        check_same_shape(original, moved)
        if map_status(moved) is Status.NAN_MAP:
            return MaxSensitivity(None, None, Status.NAN_MAP)
        absolute = max(absolute, float(np.linalg.norm(moved.astype(np.float64) - wide)))
    if status is Status.ZERO_MAP:
        return MaxSensitivity(None, absolute, status)
    return MaxSensitivity(absolute / float(np.linalg.norm(wide)), absolute, Status.OK)


def _changed_images(
    image: Tensor, key: Sequence[int], radius: float, samples: int
) -> Iterator[Tensor]:
    import torch

    random = np.random.default_rng(list(key))
    pixels = image.detach().double().cpu().numpy()
    low, high = np.maximum(pixels - radius, 0), np.minimum(pixels + radius, 1)
    for _ in range(samples):
        drawn = torch.from_numpy(random.uniform(low, high))
        # Rounding to the image's type may step over 1 by a bit.
        yield drawn.to(image.device, image.dtype).clamp(0, 1)
