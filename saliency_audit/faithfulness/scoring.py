"""Scores of changed images: what may be asked of a model here, and the one way it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ModelError, ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute

    #: The explained score of images: (B, C, H, W) in, (B,) out, as the probability of one label.
    Score: TypeAlias = Callable[[Tensor], Tensor]


def check_image(image: Tensor, shape: tuple[int, ...] | None = None) -> None:
    """Raise DataError unless the image is floating, finite and (C, H, W).

    ``shape``: (H, W) that it must have, the map's.
    """
    if image.ndim != 3 or image.numel() == 0 or not image.is_floating_point():
        raise DataError(
            f"an image is {image.dtype} {tuple(image.shape)}: give one, floating (C, H, W)"
        )
    if not bool(image.isfinite().all()):
        raise DataError("an image has pixels that are NaN or infinite: mend or leave it out")
    if shape is not None and tuple(image.shape[1:]) != shape:
        raise DataError(
            f"a map of {shape} pixels came with an image of {tuple(image.shape[1:])}: "
            "give the map of this image, in its size"
        )


def scores_of(score: Score, images: Iterable[Tensor], compute: Compute) -> NDArray[np.float64]:
    """Score images (C, H, W) one after the other, in batches of ``compute``; gives (N,).

    Only one batch of them is held at a time. No gradients. Raises ParameterError where ``score``
    does not give a number per image, ModelError where the number is NaN or infinite.
    """
    import torch

    waiting = iter(images)
    found: list[NDArray[np.float64]] = []
    with torch.no_grad():
        while batch := list(islice(waiting, compute.batch)):
            given = compute.call(score, torch.stack(batch))
            if given.shape != (len(batch),):
                raise ParameterError(
                    f"score gives {tuple(given.shape)} for {len(batch)} images: give one number "
                    "per image, as probabilities[:, label] is"
                )
            found.append(given.double().cpu().numpy())
    scores: NDArray[np.float64] = np.concatenate(found)
    if not np.isfinite(scores).all():
        step = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ModelError(
            f"the model's score of changed image {step} is {scores[step]}: check the model on "
            "images whose pixels are replaced"
        )
    return scores
