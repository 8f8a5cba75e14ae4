"""Which images of a phantom show the same patient or lesion.

Images come in blocks of ten, and groups lie within a block. So the group of
an image depends on its number alone, and the first 500 images of 5,000 are
the 500 images of a smaller phantom.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BLOCK = 10

#: What a random generator is for: keys keep the streams of numbers apart.
GROUPING, GROUP, STRUCTURE, IMAGE, SHORTCUT = range(5)


def group_of(seed: int, index: int) -> int:
    """Give the number of the first image of the group of an image.

    Half of the groups have one image, the others two to four.

    >>> all(group_of(0, n) <= n < group_of(0, n) + 4 for n in range(100))
    True
    """
    block, place = divmod(index, BLOCK)
    return block * BLOCK + _block(seed, block)[place]


def generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Give the random generator of a group or an image."""
    return np.random.default_rng([seed, purpose, number])


@lru_cache(maxsize=16)
def _block(seed: int, block: int) -> tuple[int, ...]:
    rng = generator(seed, GROUPING, block)
    firsts: list[int] = []
    while len(firsts) < BLOCK:
        first = len(firsts)
        firsts += [first] * int(rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))
    return tuple(firsts[:BLOCK])
