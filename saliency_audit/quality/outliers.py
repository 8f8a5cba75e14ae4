"""What stands apart from all others: numbers far from the median, images that look like no other.

Whether an image may look so is not for a number to say: what stands apart is
worth a look, because a step that goes wrong for some images (a negative, red and
blue exchanged, another scale of grey levels) seldom leaves them among the others.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saliency_audit.errors import DataError

#: From the median of absolute deviations to the standard deviation of a normal distribution.
TO_DEVIATION = 1.4826
#: What is measured of an image, in the order of ``appearance``.
APPEARANCE = ("brightness", "red to green", "red to blue", "contrast", "sharpness")
#: Pixels along the longer side that are enough to see it.
ENOUGH = 64
#: Thumbnails that are held as numbers of 8 bytes at a time.
BLOCK = 256
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
    # In float32 the sums are exact: of at most 127 x 127 pixels, below 2^24.
    seen = pixels[::step, ::step].astype(np.float32)
    grey = seen @ np.ones(3, np.float32)
    colours = (np.ones(grey.size, np.float32) @ seen.reshape(-1, 3)).astype(np.float64)
    red, green, blue = (colours / (255 * grey.size) + FLOOR).tolist()
    steps = [np.abs(np.diff(grey, axis=axis)) for axis in (0, 1)]
    count = sum(step.size for step in steps)
    apart = sum(float(step.sum(dtype=np.float64)) for step in steps) / max(1, count)
    contrast = float(grey.std()) / 765 + FLOOR
    sharpness = apart / 765 + FLOOR
    brightness = float(colours.sum()) / (765 * grey.size) + FLOOR
    return tuple(map(log, (brightness, red / green, red / blue, contrast, sharpness / contrast)))


def likeness(thumbnails: NDArray[np.uint8]) -> Numbers:
    """Give how like the median picture each of the thumbnails (n, H, W) is, (n,).

    Fisher's z = artanh of Pearson's correlation of grey levels; 0 of a picture of one grey level.
    A negative is as unlike as it can be.

    >>> ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    >>> found = likeness(np.stack([ramp, ramp + 7, 15 - ramp]))
    >>> bool(found[0] == found[1] > 0 > found[2])
    True
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    r = np.zeros(len(flat))
    if not flat.size:
        return r
    middle = np.median(flat, axis=0)
    middle -= middle.mean()
    length = np.linalg.norm(middle)
    for start in range(0, len(flat), BLOCK):
        block = flat[start : start + BLOCK].astype(np.float64)
        # Of whole numbers, so that a constant picture's is 0 and not nearly 0.
        spread = flat.shape[1] * np.square(block).sum(axis=1) - block.sum(axis=1) ** 2
        scale = np.sqrt(spread / flat.shape[1]) * length
        np.divide(block @ middle, scale, out=r[start : start + BLOCK], where=scale > 0)
    # Rounding must not make a perfect correlation infinite.
    return np.asarray(np.arctanh(np.clip(r, -0.9999, 0.9999)))
