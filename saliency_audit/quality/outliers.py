"""What stands apart from all others: numbers far from the median, images that look like no other.

Whether an image may look so is not for a number to say: what stands apart is
worth a look, because a step that goes wrong for some images (a negative, red and
blue exchanged, another scale of grey levels) seldom leaves them among the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saliency_audit.errors import DataError

#: From the median of absolute deviations to the standard deviation of a normal distribution.
TO_DEVIATION = 1.4826
#: What is measured of an image, in the order of ``appearance``.
APPEARANCE = ("brightness", "red to green", "red to blue", "contrast", "sharpness")
#: Pixels along the longer side that are enough to see it.
ENOUGH = 64
#: Keeps logarithms finite: a few grey levels of 255.
FLOOR = 0.01

Numbers = NDArray[np.float64]


def robust_deviations(values: ArrayLike) -> Numbers:
    """Give how far numbers (n,) are from their median, in robust standard deviations.

    (x - median) / (1.4826 MAD), MAD being the median of absolute deviations: 0.6745 (x - median) /
    MAD of Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), §3.3. 0 of all where half
    of the numbers are equal: nothing tells then what is far.

    >>> robust_deviations([1, 2, 3, 4, 100]).round(1).tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    """
    numbers = np.asarray(values, np.float64)
    if not numbers.size:
        return numbers
    apart = numbers - np.median(numbers)
    scale = TO_DEVIATION * float(np.median(np.abs(apart)))
    return apart / scale if scale > 0 else np.zeros_like(apart)


def appearance(pixels: NDArray[np.uint8]) -> tuple[float, ...]:
    """Measure what an image, uint8 (H, W, 3), looks like: the numbers of ``APPEARANCE``.

    Logarithms: of the mean grey level, of ratios of mean colours, of the deviation of grey levels,
    and of the mean difference of neighbours over that deviation. Raises DataError of another array.

    >>> [round(value, 2) + 0.0 for value in appearance(np.full((4, 4, 3), 255, np.uint8))]
    [0.01, 0.0, 0.0, -4.61, 0.0]
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DataError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}: give RGB as uint8 (H, W, 3)"
        )
    # Beyond this size every other pixel will do, at a quarter of the cost.
    step = max(1, max(pixels.shape) // ENOUGH)
    pixels = pixels[::step, ::step]
    colours = pixels.reshape(-1, 3).sum(axis=0, dtype=np.int64)
    red, green, blue = colours / (255 * pixels.shape[0] * pixels.shape[1]) + FLOOR
    grey = (pixels[..., 0].astype(np.int16) + pixels[..., 1]) + pixels[..., 2]
    steps = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1)]
    count = sum(step.size for step in steps)
    apart = sum(int(step.sum(dtype=np.int64)) for step in steps) / max(1, count)
    contrast = float(grey.std(dtype=np.float32)) / 765 + FLOOR
    sharpness = apart / 765 + FLOOR
    brightness = float(colours.sum()) / (765 * grey.size) + FLOOR
    found = (brightness, red / green, red / blue, contrast, sharpness / contrast)
    return tuple(float(np.log(value)) for value in found)


def likeness(thumbnails: NDArray[np.uint8]) -> Numbers:
    """Give how like the median picture each of the thumbnails (n, H, W) is, (n,).

    Fisher's z = artanh of Pearson's correlation of grey levels; 0 of a picture of one grey level.
    A negative is as unlike as it can be.

    >>> ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    >>> found = likeness(np.stack([ramp, ramp + 7, 15 - ramp]))
    >>> bool(found[0] == found[1] > 0 > found[2])
    True
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    if not flat.size:
        return np.zeros(len(thumbnails))
    middle = np.median(flat, axis=0)
    middle -= middle.mean()
    flat -= flat.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(flat, axis=1) * np.linalg.norm(middle)
    r = np.divide(flat @ middle, scale, out=np.zeros(len(flat)), where=scale > 0)
    # Rounding must not make a perfect correlation infinite.
    return np.asarray(np.arctanh(np.clip(r, -0.9999, 0.9999)))
