"""Superpixels: the parts of an image that LIME hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saliency_audit.parameters import Checked
from saliency_audit.ranges import Count, Positive, Share


@dataclass(frozen=True)
class Quickshift(Checked):
    """Quickshift segmentation (Vedaldi and Soatto 2008), with the parameters of the lime package.

    ``size``: pixels of the shorter side at which it runs, at least; smaller images are scaled up
    bilinearly first, because at 96 px it leaves 5 to 9 superpixels. ``kernel_size``: width of the
    density's Gaussian in pixels, above 0; ``max_dist``: cut-off of distances in colour and space,
    above 0; ``ratio``: weight of colour against space, in [0, 1].
    """

    size: Count = 224
    kernel_size: Positive = 4
    max_dist: Positive = 200
    ratio: Share = 0.2

    def segments(self, image: NDArray[np.float32]) -> NDArray[np.int64]:
        """Give the superpixel of each pixel, (H, W), numbered from 0 without gaps.

        ``image``: (3, H, W) in [0, 1].
        """
        from skimage.segmentation import quickshift

        found = quickshift(  # type: ignore[no-untyped-call]
            _at_least(image, self.size).transpose(1, 2, 0),
            ratio=self.ratio,
            kernel_size=self.kernel_size,
            max_dist=self.max_dist,
            channel_axis=-1,
            rng=0,
        )
        return numbered(scaled_down(found, (image.shape[1], image.shape[2])))


def _at_least(image: NDArray[np.float32], size: int) -> NDArray[np.float64]:
    import torch

    height, width = image.shape[1:]
    pixels = torch.from_numpy(np.array(image, dtype=np.float64))
    shorter = min(height, width)
    if shorter < size:
        larger = (round(height * size / shorter), round(width * size / shorter))
        pixels = torch.nn.functional.interpolate(
            pixels[None], larger, mode="bilinear", align_corners=False
        )[0]
    return np.asarray(pixels.numpy())


def scaled_down(segments: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.int64]:
    """Give the segment at the centre of each of the (H, W) pixels that the segments cover.

    >>> scaled_down(np.arange(16).reshape(4, 4), (2, 2)).tolist()
    [[5, 7], [13, 15]]
    """
    rows, columns = (
        ((2 * np.arange(new) + 1) * old) // (2 * new)
        for old, new in zip(segments.shape, size, strict=True)
    )
    return segments[np.ix_(rows, columns)]


def numbered(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give segments (H, W) new numbers from 0 without gaps, in the order of the old.

    >>> numbered(np.array([[7, 3], [3, 9]])).tolist()
    [[1, 0], [0, 2]]
    """
    _, inverse = np.unique(segments, return_inverse=True)
    return np.asarray(inverse, dtype=np.int64).reshape(segments.shape)


def mean_colours(image: NDArray[np.float32], segments: NDArray[np.int64]) -> NDArray[np.float32]:
    """Fill each segment (H, W) of an image (3, H, W) with its mean colour.

    >>> mean_colours(np.array([[[0.0, 1.0]]] * 3, dtype=np.float32), np.array([[0, 0]]))[0]
    array([[0.5, 0.5]], dtype=float32)
    """
    flat = segments.reshape(-1)
    sizes = np.bincount(flat)
    means = [np.bincount(flat, channel.reshape(-1)) / sizes for channel in image]
    return np.stack(means).astype(np.float32)[:, segments]
