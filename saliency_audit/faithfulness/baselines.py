"""What a removed pixel is replaced by, and what the image is before any pixel is inserted.

A baseline is an image (C, H, W) beside the one that is explained. None is neutral: a flat one
makes edges that the model never saw, a blurred one leaves the large shapes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from saliency_audit.faithfulness.scoring import check_image
from saliency_audit.ranges import Interval, check_at_least, check_within

if TYPE_CHECKING:
    from torch import Tensor


def grey(image: Tensor, level: float = 0.5) -> Tensor:
    """Give one level in [0, 1] everywhere, (C, H, W). Raises ParameterError for another level.

    >>> import torch
    >>> grey(torch.zeros(1, 1, 2))
    tensor([[[0.5000, 0.5000]]])
    """
    check_image(image)
    check_within(Interval(ge=0, le=1), level=level)
    return image.new_full(tuple(image.shape), level)


def mean_colour(image: Tensor) -> Tensor:
    """Give the image's own mean of each channel everywhere, (C, H, W).

    RISE's code deletes to 0 in normalised pixels, which is the training images' mean colour.

    >>> import torch
    >>> mean_colour(torch.tensor([[[0.0, 1.0]]]))
    tensor([[[0.5000, 0.5000]]])
    """
    check_image(image)
    mean = image.double().mean(dim=(1, 2), keepdim=True).to(image.dtype)
    return mean.expand_as(image).contiguous()


def blurred(image: Tensor, sigma: float = 5.0, radius: int = 5) -> Tensor:
    """Blur the image by a Gaussian, (C, H, W), as what RISE inserts into.

    ``sigma``: pixels, above 0; ``radius``: pixels from the kernel's centre to its edge, 1 or more:
    RISE's kernel has 11 × 11 pixels and σ = 5. The kernel is a cut Gaussian that sums to 1, and
    the image goes on beyond its border with its border pixels, so a flat image stays as it is;
    the authors' code goes on with zeros, which darkens or lightens the border. Raises
    ParameterError for other numbers.

    >>> import torch
    >>> bool(torch.allclose(blurred(torch.full((3, 4, 4), 0.25)), torch.tensor(0.25)))
    True
    """
    import torch

    check_image(image)
    check_within(Interval(gt=0, lt=math.inf), sigma=sigma)
    check_at_least(1, radius=radius)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(image.device)
    rows = image.double()[:, None]
    padded = torch.nn.functional.pad(rows, (radius,) * 4, mode="replicate")
    vertical = torch.nn.functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    both = torch.nn.functional.conv2d(vertical, kernel.view(1, 1, 1, -1))
    return both[:, 0].to(image.dtype)
