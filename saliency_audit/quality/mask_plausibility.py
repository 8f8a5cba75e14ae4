"""Whether a mask can be the mask of its image: which side is foreground, and where it lies.

A mask alone shows whether black and white are exchanged. That a mask is of
another image shows in the colours only, and only where what is marked differs
from its surroundings in colour, as a skin lesion does and most findings of a
radiograph do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.measures.arrays import Mask

#: The enclosure from which a mask is taken to be inverted.
INVERTED = 0.2
#: How much better a mirror image of a mask must separate the colours to count as better.
MARGIN = 0.05
#: And how much better a moved one: a lesion that hardly shows comes to 0.16 beside a dark corner.
MARGIN_MOVED = 0.2

#: How many mirror images a mask has.
MIRRORED = 3
#: Pixels along the longer side that are enough to compare colours.
ENOUGH = 32

#: A colour direction whose variance is a smaller share of the largest is rounding.
FAINT = 1e-6

Pixels = NDArray[np.uint8]
Field = NDArray[np.float64]


def enclosure(mask: Mask) -> float | None:
    """Say how far the foreground of a mask, bool (H, W), encloses its background.

    1 - b / a, where a is the background's share of all pixels, and b its share of the outermost
    ones: 1 where no background reaches the border, 0 where it is as common there as elsewhere,
    below 0 where it is more common there, as about a lesion. None of an empty or full mask.
    Raises DataError where the mask is not bool (H, W).

    >>> ring = np.ones((5, 5), bool)
    >>> ring[2, 2] = False
    >>> enclosure(ring), round(enclosure(~ring), 3)
    (1.0, -0.042)
    """
    _check_mask(mask)
    foreground = np.count_nonzero(mask)
    if not 0 < foreground < mask.size:
        return None
    inside = mask[1:-1, 1:-1]
    outermost = mask.size - inside.size
    marked = foreground - np.count_nonzero(inside)
    return float(1 - (1 - marked / outermost) / (1 - foreground / mask.size))


@dataclass(frozen=True)
class Separation:
    """How well a mask separates the colours of an image where it lies, and elsewhere; in [0, 1].

    ``mask``: R² of the mask as it is; ``mirrored``: the best R² of it mirrored left to right, top
    to bottom, and both; ``moved``: by a quarter of the image in any of eight directions, what
    leaves on one side coming in on the other.
    """

    mask: float
    mirrored: float
    moved: float

    def misplaced(self, margin: float = MARGIN, margin_moved: float = MARGIN_MOVED) -> bool:
        """Whether the mask would fit the colours better elsewhere, by more than a margin.

        One such mask proves nothing: a lesion near the middle hides it, and dark corners of an
        image feign it. The share of them in a dataset tells.

        >>> Separation(mask=0.30, mirrored=0.45, moved=0.10).misplaced()
        True
        """
        return self.mirrored > self.mask + margin or self.moved > self.mask + margin_moved


def separation(pixels: Pixels, mask: Mask) -> Separation | None:
    """Measure how well a mask, bool (H, W), separates the colours of RGB uint8 (H, W, 3).

    R² is the coefficient of determination of the least-squares regression of the mask (0 or 1) on
    red, green and blue: the squared multiple correlation (Fisher 1936 for two classes). It is the
    same of a mask and its complement, and under any affine change of colours that can be undone.
    From 64 pixels along the longer side on, the middle of each cell is taken, 32 cells or more.
    None of an empty or full mask, or an image of one colour. Raises DataError of other arrays.

    >>> pixels = np.zeros((4, 4, 3), np.uint8)
    >>> pixels[:, :2] = 90, 60, 30
    >>> found = separation(pixels, pixels[..., 0] > 0)
    >>> round(found.mask, 6), round(found.mirrored, 6), round(found.moved, 6)
    (1.0, 1.0, 1.0)
    """
    _check_mask(mask)
    if pixels.shape != (*mask.shape, 3) or pixels.dtype != np.uint8:
        raise DataError(
            f"pixels are {pixels.dtype} of shape {pixels.shape}: give RGB as uint8 of the mask's "
            f"height and width, {mask.shape}"
        )
    # Neighbours say the same: beyond this size some of the pixels will do. From the middle of each
    # cell, so that those of a mirror image are the same ones, or next to them.
    step = max(1, max(mask.shape) // ENOUGH)
    seen = (slice(step // 2, None, step),) * 2
    pixels, mask = pixels[seen], mask[seen]
    colours = pixels.reshape(-1, 3).astype(np.float64)
    # A product with ones: numpy's sums along the long axis take ten times as long.
    colours -= np.ones(len(colours)) @ colours / len(colours)
    if not 0 < np.count_nonzero(mask) < mask.size or not colours.any():
        return None
    views = mask.ravel().astype(np.float64)[_places(mask.shape)]
    own, *others = _determination(colours, views)
    return Separation(own, max(others[:MIRRORED]), max(others[MIRRORED:]))


@lru_cache(maxsize=16)
def _places(shape: tuple[int, int]) -> NDArray[np.intp]:
    """Where the pixels of a mask are read, (k, n): as it lies, mirrored, and moved by quarters."""
    height, width = shape
    places = np.arange(height * width).reshape(shape)
    mirrored = (places[:, ::-1], places[::-1], places[::-1, ::-1])
    moved = [
        np.roll(places, (down * height // 4, across * width // 4), (0, 1))
        for down, across in product((-1, 0, 1), repeat=2)
        if down or across
    ]
    return np.stack([view.ravel() for view in (places, *mirrored, *moved)])


def _determination(colours: Field, masks: Field) -> list[float]:
    """R² of each of the masks (k, n), equally large, of 0 and 1, on centred colours (n, 3)."""
    share = np.count_nonzero(masks[0]) / len(colours)
    variance, axes = np.linalg.eigh(colours.T @ colours)
    kept = variance > FAINT * variance[-1]
    along = (masks @ colours @ axes[:, kept]) ** 2 / variance[kept]
    explained = along.sum(axis=1) / (len(colours) * share * (1 - share))
    found: list[float] = np.clip(explained, 0, 1).tolist()
    return found


def _check_mask(mask: Mask) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise DataError(f"mask is {mask.dtype} of shape {mask.shape}: give bool (H, W)")
