"""Images that are one picture under two names: stored anew, brightened, rescaled, trimmed, noised.

Two thumbnails are compared by the tangent distance of Simard, LeCun and Denker
(NIPS 1992), one-sided: what is left of one when brightness, contrast, and a small shift
or stretch of the other explain as much of it as they can. Every pair is
compared, as blocks of matrix products, so that no coarser key has to be trusted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.ranges import Interval, check_within

#: Height and width of a thumbnail, pixels.
SIDE = 32
#: Height and width at which thumbnails are compared: finer ones show what a copy loses.
COARSE = 16
#: The tangent distance below which two images are one picture. Phantom radiographs of different
#: patients come nearly as close (0.077 among 600); dermoscopic images do not, and bear 0.10, which
#: also finds copies with a rim cut off.
DIFFERENCE = 0.07

#: Images whose tangents are held at a time.
BLOCK = 256
#: More than the products in float32 can be wrong by; nearer pairs are computed again in float64.
SLACK = 0.01
#: A tangent weaker than this, as a share of the others, is no direction but rounding.
FAINT = 1e-6

Thumbnail = NDArray[np.uint8]
Field = NDArray[np.float64]


def thumbnail(pixels: NDArray[np.uint8]) -> Thumbnail:
    """Give the grey thumbnail, uint8 (32, 32), of an image, RGB uint8 (H, W, 3).

    Grey is luma as of ITU-R BT.601; shrunk by area averages, enlarged bilinearly; the aspect ratio
    is not kept. Raises DataError of another array.

    >>> thumbnail(np.full((64, 96, 3), 200, np.uint8)).max()
    np.uint8(200)
    """
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DataError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}: give RGB as uint8 (H, W, 3)"
        )
    grey = Image.fromarray(pixels).convert("L")
    shrinks = min(grey.size) >= SIDE
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.array(grey.resize((SIDE, SIDE), how))


def near_duplicates(
    thumbnails: Thumbnail, difference: float = DIFFERENCE, others: Thumbnail | None = None
) -> Iterator[tuple[int, int, float]]:
    """Give the pairs of images that are one picture, first by first, then by second.

    ``thumbnails``: uint8 (n, 32, 32), as of ``thumbnail``; ``difference``: the tangent distance
    from the first of a pair to the second that it must be below, above 0 and below 1. A pair is
    the two positions, the smaller one first, and its distance; with ``others``, more thumbnails,
    pairs are of one of each, and those among themselves are left out. An image of one grey value
    alone is like no other. Of many copies of one picture every pair is given: take as many as you
    show. Memory: 256 by n numbers at a time, besides 1 KB an image. Raises DataError of another
    array, ParameterError of a difference out of its range.

    >>> rng = np.random.default_rng(0)
    >>> pictures = rng.integers(0, 200, (3, 32, 32), dtype=np.uint8)
    >>> pictures[2] = pictures[0] + 20
    >>> [pair[:2] for pair in near_duplicates(pictures)]
    [(0, 2)]
    """
    check_within(Interval(gt=0, lt=1), difference=difference)
    for given in (thumbnails, others):
        if given is not None:
            _check_thumbnails(given)
    return _pairs(thumbnails, others, difference)


def tangent_distance(first: Thumbnail, second: Thumbnail) -> float | None:
    """Give the one-sided distance of two thumbnails, uint8 (32, 32): 0 of one picture, at most 1.

    Both are averaged to 16 x 16, less their mean and to unit length. The distance is the length of
    what remains of ``second`` outside the span of ``first`` and its derivatives by shift and
    stretch along either axis; the other way round it differs a little. None where one is constant.

    >>> ramp = np.arange(1024, dtype=np.float64).reshape(32, 32) ** 2 / 5000
    >>> tangent_distance(ramp.astype(np.uint8), (ramp / 2 + 20).astype(np.uint8)) < 0.02
    True
    """
    pair = np.stack([first, second])
    _check_thumbnails(pair)
    one, other = _normalised(pair)
    if not (one.any() and other.any()):
        return None
    span = _spans(pair[:1])[0]
    return float(np.linalg.norm(other - span @ (span.T @ other)))


def _pairs(
    thumbnails: Thumbnail, others: Thumbnail | None, difference: float
) -> Iterator[tuple[int, int, float]]:
    seconds = thumbnails if others is None else others
    pictures = np.empty((len(seconds), COARSE**2), np.float32)
    for start in range(0, len(seconds), BLOCK):
        pictures[start : start + BLOCK] = _normalised(seconds[start : start + BLOCK])
    for start in range(0, len(thumbnails), BLOCK):
        block = thumbnails[start : start + BLOCK]
        first = start if others is None else 0
        for i, j in _candidates(block, pictures[first:], difference + SLACK):
            if others is None and i >= j:
                continue
            distance = tangent_distance(block[i], seconds[first + j])
            if distance is not None and distance < difference:
                yield start + i, first + j, distance


def _candidates(
    block: Thumbnail, pictures: NDArray[np.float32], bound: float
) -> Iterator[tuple[int, int]]:
    """Pairs of a block's images with normalised ones that may be below a bound, by float32."""
    explained = np.zeros((len(block), len(pictures)), np.float32)
    for tangent in np.moveaxis(_spans(block).astype(np.float32), 2, 0):
        explained += np.square(tangent @ pictures.T)
    yield from map(tuple, np.argwhere(explained > 1 - bound**2).tolist())


def _check_thumbnails(thumbnails: Thumbnail) -> None:
    if thumbnails.shape[1:] != (SIDE, SIDE) or thumbnails.dtype != np.uint8:
        raise DataError(
            f"thumbnails are {thumbnails.dtype} of shape {thumbnails.shape}: "
            f"give uint8 (n, {SIDE}, {SIDE})"
        )


def _normalised(thumbnails: Thumbnail) -> Field:
    """Thumbnails (n, 256) of mean 0 and length 1; of 0 alone where constant."""
    centred = _coarse(thumbnails.astype(np.float64)[..., None])[..., 0]
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    normalised: Field = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return normalised


def _coarse(fields: Field) -> Field:
    """Fields (n, 32, 32, k) averaged to (n, 256, k), less their means."""
    step = SIDE // COARSE
    # Sums of slices: numpy's mean along short axes takes several times as long.
    rows = sum((fields[:, first::step] for first in range(1, step)), fields[:, ::step])
    cells = sum((rows[:, :, first::step] for first in range(1, step)), rows[:, :, ::step])
    small = cells.reshape(len(fields), COARSE**2, fields.shape[3]) / step**2
    centred: Field = small - small.mean(axis=1, keepdims=True)
    return centred


def _spans(thumbnails: Thumbnail) -> Field:
    """Orthonormal columns (n, 256, 5) that span each thumbnail and its tangents, 0 where fewer."""
    grey = thumbnails.astype(np.float64)
    down, right = np.gradient(grey, axis=(1, 2))
    place = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    fields = np.stack([grey, right, down, right * place, down * place[:, None]], axis=-1)
    columns = _coarse(fields)
    length = np.linalg.norm(columns, axis=1, keepdims=True)
    unit = np.divide(columns, length, out=np.zeros_like(columns), where=length > 0)
    spread, axes = np.linalg.eigh(unit.transpose(0, 2, 1) @ unit)
    scale = np.where(spread > FAINT, 1 / np.sqrt(np.maximum(spread, FAINT)), 0)
    spans: Field = unit @ (axes * scale[:, None, :])
    return spans
