"""Random changes of training images that leave their label true.

Each image's draw depends on the seed, the epoch and the image alone: not on
its neighbours in the batch, nor on how far a training had come when it was
killed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saliency_audit.parameters import Checked
from saliency_audit.ranges import Interval, Share


@dataclass(frozen=True)
class Augmentation(Checked):
    """How far training images are changed; all zero changes nothing.

    ``horizontal_flip`` and ``vertical_flip``: whether half of the images are mirrored;
    ``rotation``: up to this angle either way, degrees in [0, 180]; ``shift``: up to this share of
    height and of width, in [0, 0.5]; ``brightness``: up to this is added to pixels in [0, 1],
    in [0, 1]; ``contrast``: the distance from the image's mean is multiplied by 1 ± up to this,
    in [0, 1].

    >>> Augmentation(shift=2)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: shift is 2: give 0 to 0.5
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotation: Annotated[float, Interval(ge=0, le=180)] = 0.0
    shift: Annotated[float, Interval(ge=0, le=0.5)] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0

    @property
    def moves(self) -> bool:
        """Whether pixels change their place."""
        flips = self.horizontal_flip or self.vertical_flip
        return bool(flips or self.rotation or self.shift)


def draws(entropy: Sequence[int], indices: Sequence[int]) -> NDArray[np.float64]:
    """Seven uniform numbers in [0, 1) per image, (n, 7), from ``entropy`` and its index."""
    return np.stack([np.random.default_rng([*entropy, index]).random(7) for index in indices])


def augment(
    images: Tensor, masks: Tensor | None, augmentation: Augmentation, drawn: NDArray[np.float64]
) -> tuple[Tensor, Tensor | None]:
    """Change images (B, 3, H, W) in [0, 1], and with them masks (B, C, H, W) of 0 and 1.

    ``drawn``: (B, 7) from ``draws``. Images are sampled bilinearly and masks at the nearest pixel;
    what lies beyond the border is the reflection. Masks keep their place in brightness and
    contrast.
    """
    if augmentation.moves:
        height, width = images.shape[-2:]
        matrices = placements(augmentation, drawn, height / width).to(images)
        grid = nn.functional.affine_grid(matrices, [len(images), 1, height, width], False)
        images = _sample(images, grid, "bilinear")
        masks = None if masks is None else _sample(masks, grid, "nearest")
    if augmentation.brightness or augmentation.contrast:
        light = torch.from_numpy(2 * drawn[:, 5:7] - 1).to(images)
        added = light[:, 0].view(-1, 1, 1, 1) * augmentation.brightness
        factor = 1 + light[:, 1].view(-1, 1, 1, 1) * augmentation.contrast
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = ((images - mean) * factor + mean + added).clamp(0, 1)
    return images, masks


def _sample(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    return nn.functional.grid_sample(
        images, grid, mode=mode, padding_mode="reflection", align_corners=False
    )


def placements(augmentation: Augmentation, drawn: NDArray[np.float64], aspect: float) -> Tensor:
    """Affine maps (B, 2, 3) from the place of a new pixel to that of the old one.

    Places run from -1 to 1 over width and height, as in torch's ``affine_grid``; ``aspect`` is
    height / width, so that a rotation does not shear an image that is not square.
    """
    mirror_x = np.where(augmentation.horizontal_flip & (drawn[:, 0] < 0.5), -1.0, 1.0)
    mirror_y = np.where(augmentation.vertical_flip & (drawn[:, 1] < 0.5), -1.0, 1.0)
    angle = (2 * drawn[:, 2] - 1) * math.radians(augmentation.rotation)
    # A share s of the width is 2s of the range from -1 to 1.
    shift = (2 * drawn[:, 3:5] - 1) * 2 * augmentation.shift
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [
        [cosine * mirror_x, -sine * aspect * mirror_y, shift[:, 0]],
        [sine / aspect * mirror_x, cosine * mirror_y, shift[:, 1]],
    ]
    return torch.from_numpy(np.moveaxis(np.array(rows), 2, 0).astype(np.float32))
