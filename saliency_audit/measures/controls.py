"""Maps that know nothing of the image, made of the values of the map that they control.

A control has the map's value histogram, hence its budget and its ties, so a
measure of it says what the measure gives for free. The third control, the
mask P alone, needs no map.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import numpy as np

from saliency_audit.measures.arrays import Pixels, SaliencyMap, check_map
from saliency_audit.measures.top_fraction import pixel_order, ranking


class Saliency(StrEnum):
    """Whose figures a row holds: the map's, or a control's."""

    MAP = "map"
    SHUFFLED = "shuffled"
    CENTRED = "centred"
    MASK_ALONE = "mask_alone"


def shuffle_key(seed: int, *names: str) -> tuple[int, ...]:
    """Integers that seed the shuffle of one map, from the audit's seed and what names the map.

    They depend on the names alone and not on the order in which maps are measured.

    >>> shuffle_key(7, "ISIC_0024306", "nv") == shuffle_key(7, "ISIC_0024306nv")
    False
    """
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return (seed, *np.frombuffer(digest[:16], dtype="<u4").tolist())


def shuffled(saliency: SaliencyMap, key: Sequence[int]) -> SaliencyMap:
    """Give the map (H, W) with its own values in a seeded random order of the pixels.

    ``key``: non-negative integers, as of ``shuffle_key``. Raises DataError on a map that is not
    finite.

    >>> sorted(shuffled(np.array([[0.0, 0.5, 1.0]]), (1,)).ravel().tolist())
    [0.0, 0.5, 1.0]
    """
    check_map(saliency)
    permutation = np.random.default_rng(list(key)).permutation(saliency.size)
    return saliency.reshape(-1)[permutation].reshape(saliency.shape)


def centred(saliency: SaliencyMap) -> SaliencyMap:
    """Give the map (H, W) with its own sorted values laid out by distance from the centre.

    The highest is nearest to the centre; pixels at one distance come in ``pixel_order``. Raises
    DataError on a map that is not finite.

    >>> centred(np.array([[0.9, 0.5, 0.0]]))[0, 1]
    np.float64(0.9)
    """
    falling = saliency.reshape(-1)[ranking(saliency)]
    laid_out = np.empty_like(falling)
    laid_out[centre_order(*saliency.shape)] = falling
    return laid_out.reshape(saliency.shape)


@lru_cache(maxsize=32)
def centre_order(height: int, width: int) -> Pixels:
    """Flat indices (H·W,) of the pixels by distance from the centre, nearest first. Read-only.

    >>> int(centre_order(3, 3)[0])
    4
    """
    # Twice the distance in each direction is whole, so equal distances compare equal.
    rows = (2 * np.arange(height) - (height - 1)) ** 2
    columns = (2 * np.arange(width) - (width - 1)) ** 2
    squared = (rows[:, np.newaxis] + columns).reshape(-1)
    ties = pixel_order(height, width)
    order = ties[np.argsort(squared[ties], kind="stable")]
    order.flags.writeable = False
    return order
