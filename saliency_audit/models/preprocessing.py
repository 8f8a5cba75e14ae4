"""From the pixels that a person sees to what a network reads: size, channels, range.

A classifier states all of it as data, so that it can be compared with what the
network's owner did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from saliency_audit.errors import ParameterError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Interval, Length, PositiveShare, Share

#: Pixels of a side that a network can see.
Side = Annotated[int, Interval(ge=4)]
#: A number that pixels are stretched to; 16 bits hold every one.
Level = Annotated[float, Interval(ge=-65536, le=65536)]
#: What a network's channels are, in their order: colours, grey, or colours and opacity.
Channels = Literal["RGB", "BGR", "L", "RGBA"]
COUNTS: Mapping[Channels, int] = {"RGB": 3, "BGR": 3, "L": 1, "RGBA": 4}
#: Red, green and blue in grey (ITU-R BT.601), as Pillow and OpenCV take them.
GREY = (0.299, 0.587, 0.114)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Preprocessing(Checked):
    """What happens to pixels (B, 3, H, W) in [0, 1] before a network reads them.

    ``input_size``: (height, width) that the network sees, in pixels, 4 or more, or None for the
    images' own; ``mean`` and ``std``: per channel, of pixels in [0, 1], ``std`` above 0;
    ``input_range``: (lowest, highest) that pixels are stretched to where the network takes them so,
    as [0, 255], instead of ``mean`` and ``std``; ``channels``: what the network's channels are: L
    is grey, A is 1 everywhere; ``interpolation``: by which images are scaled to ``input_size``;
    ``antialias``: whether they are smoothed before they are made smaller.
    """

    input_size: tuple[Side, Side] | None = None
    mean: Annotated[tuple[Share, ...], Length(1)] = MEAN
    std: Annotated[tuple[PositiveShare, ...], Length(1)] = STD
    input_range: tuple[Level, Level] | None = None
    channels: Channels = "RGB"
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    antialias: bool = True

    def __post_init__(self) -> None:
        """Check the values, and how they go together; raises ParameterError."""
        super().__post_init__()
        for name in ("mean", "std"):
            _per_channel(name, getattr(self, name), self.channels)
        if self.input_range is None:
            return
        low, high = self.input_range
        if low >= high:
            raise ParameterError(f"input_range is [{low}, {high}]: give the lowest number first")
        if (self.mean, self.std) != (MEAN, STD):
            raise ParameterError(
                f"input_range is [{low}, {high}] and there are mean and std: give input_range, or "
                "mean and std of pixels in [0, 1]"
            )

    @property
    def offset(self) -> Tensor:
        """What is taken from pixels in [0, 1], (1, channels, 1, 1)."""
        if self.input_range is None:
            return _per_channel("mean", self.mean, self.channels)
        low, high = self.input_range
        return torch.full((1, COUNTS[self.channels], 1, 1), -low / (high - low))

    @property
    def divisor(self) -> Tensor:
        """What is left is divided by, (1, channels, 1, 1)."""
        if self.input_range is None:
            return _per_channel("std", self.std, self.channels)
        low, high = self.input_range
        return torch.full((1, COUNTS[self.channels], 1, 1), 1 / (high - low))

    def scaled(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) at ``input_size``, their channels those of the network."""
        if self.input_size is not None and tuple(images.shape[-2:]) != self.input_size:
            images = self._resized(images, self.input_size)
        if self.channels == "BGR":
            return images.flip(1)
        if self.channels == "L":
            weights = images.new_tensor(GREY).view(1, 3, 1, 1)
            return (images * weights).sum(dim=1, keepdim=True)
        if self.channels == "RGBA":
            return torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
        return images

    def _resized(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        if self.interpolation == "nearest":
            return nn.functional.interpolate(images, size, mode="nearest")
        return nn.functional.interpolate(
            images, size, mode=self.interpolation, align_corners=False, antialias=self.antialias
        )


def _per_channel(name: str, values: tuple[float, ...], channels: Channels) -> Tensor:
    """Give numbers as (1, channels, 1, 1); numbers that are all the same are of any channels."""
    count = COUNTS[channels]
    if len(values) != count:
        if len(set(values)) != 1:
            raise ParameterError(
                f"{name} is {list(values)}: give {count} of them, as channels is {channels}"
            )
        values = (values[0],) * count
    return torch.tensor(values).view(1, count, 1, 1)
