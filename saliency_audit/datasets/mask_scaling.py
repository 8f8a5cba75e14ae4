"""Masks at working resolution, and what is odd about them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def scale_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """Scale a mask, bool (h, w), to ``size`` (H, W) by nearest neighbour.

    A pixel takes the value of the source pixel in which its centre lies.

    >>> scale_mask(np.eye(4, dtype=bool), (2, 2)).astype(int).tolist()
    [[1, 0], [0, 1]]
    """
    rows, columns = (_nearest(old, new) for old, new in zip(mask.shape, size, strict=True))
    return mask[rows[:, None], columns[None, :]]


def _nearest(old: int, new: int) -> NDArray[np.intp]:
    # In whole numbers: a centre that falls on an edge belongs to the pixel after it.
    return (2 * np.arange(new) + 1) * old // (2 * new)


def mask_notes(mask: Mask, scaled: Mask, source_size: tuple[int, int]) -> tuple[str, ...]:
    """Say what is odd about a mask, given as read and as scaled.

    ``source_size``: (width, height) of its image. The notes are ``mask_rescaled`` (of another
    size than its image), ``mask_aspect`` (of another shape, by more than 2 %), ``mask_empty``,
    ``mask_full``, ``mask_inverted`` (all of the border is foreground, and some of the inside is
    not: perhaps black and white are exchanged; the mask is kept as it is) and ``mask_lost``
    (foreground so small that none is left at working resolution).

    >>> mask_notes(np.ones((4, 6), bool), np.ones((2, 3), bool), (6, 4))
    ('mask_full',)
    """
    height, width = mask.shape
    notes = []
    if (width, height) != source_size:
        notes.append("mask_rescaled")
        if abs(width * source_size[1] / (height * source_size[0]) - 1) > 0.02:
            notes.append("mask_aspect")
    if not mask.any():
        notes.append("mask_empty")
    elif mask.all():
        notes.append("mask_full")
    else:
        if _all_border(mask):
            notes.append("mask_inverted")
        if not scaled.any():
            notes.append("mask_lost")
    return tuple(notes)


def _all_border(mask: Mask) -> bool:
    return bool(mask[[0, -1]].all() and mask[:, [0, -1]].all())
