"""Two-level designs in which no factor's effect is mistaken for another's.

Of factorial experiments (Plackett and Burman 1946; fold-over: Box and Wilson 1951): which parts
of an image are visible in which of its copies.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: ``independent``: each part of an image at random; ``orthogonal``: in blocks in which parts are
#: uncorrelated.
Design = Literal["independent", "orthogonal"]


def orthogonal_block(factors: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Give levels (2n, factors), n the order of a Hadamard matrix, in pairs of opposite rows.

    The rows are those of the matrix, in random order, each followed by its opposite; the factors
    are random columns, with random signs. So each factor is on in half of the rows, any two are
    on together in a quarter, and what factors do in even numbers cancels in each pair.

    >>> block = orthogonal_block(3, np.random.default_rng(0))
    >>> block.shape, block.mean(axis=0).tolist(), bool((block[0::2] == ~block[1::2]).all())
    ((8, 3), [0.5, 0.5, 0.5], True)
    """
    matrix = hadamard(factors)
    order = len(matrix)
    columns = random.permutation(order)[:factors]
    signs = np.where(random.random(factors) < 0.5, 1, -1)
    half = matrix[random.permutation(order)][:, columns] * signs > 0
    return np.stack([half, ~half], axis=1).reshape(-1, factors)


def hadamard(least: int) -> NDArray[np.int8]:
    """Give Sylvester's Hadamard matrix (n, n) of the first power of two n ≥ ``least``.

    Its entries are 1 and -1, and its columns are orthogonal.

    >>> hadamard(3).tolist()
    [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]
    """
    matrix = np.ones((1, 1), np.int8)
    while len(matrix) < least:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix
