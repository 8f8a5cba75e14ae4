"""LIME's linear surrogate: which superpixels are hidden, how near that is, and the weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.orthogonal import hadamard, orthogonal_block


def designs(
    samples: int, superpixels: int, random: np.random.RandomState, rows: int
) -> Iterator[NDArray[np.bool_]]:
    """Give which superpixels are visible, in arrays (at most ``rows``, superpixels).

    The first row shows all. The others are drawn as the lime package draws them.

    >>> [len(part) for part in designs(9, 5, np.random.RandomState(0), 4)]
    [4, 4, 1]
    """
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        part = random.randint(0, 2, count * superpixels).reshape(count, superpixels) == 1
        if start == 0:
            part[0] = True
        yield part


def orthogonal_designs(
    samples: int, superpixels: int, random: np.random.Generator, rows: int
) -> Iterator[NDArray[np.bool_]]:
    """Give which superpixels are visible, in arrays (at most ``rows``, superpixels), in blocks.

    The first row shows all. The others are those of ``orthogonal_block``, each of which tells the
    superpixels' own effects apart from each other and from what pairs of them do. That holds of
    whole blocks, so there are ``whole_blocks`` rows, ``samples`` or more.

    >>> first, second, third = orthogonal_designs(9, 5, np.random.default_rng(0), 8)
    >>> bool(first[0].all()), bool((first[1] == ~first[2]).all()), len(third)
    (True, True, 1)
    """

    def single() -> Iterator[NDArray[np.bool_]]:
        yield np.ones(superpixels, bool)
        while True:
            yield from orthogonal_block(superpixels, random)

    drawn = islice(single(), whole_blocks(samples, superpixels))
    while part := list(islice(drawn, rows)):
        yield np.stack(part)


def whole_blocks(samples: int, superpixels: int) -> int:
    """Give the rows of an orthogonal design of ``samples`` or more: one, and blocks that are whole.

    A block has 2·2^⌈log₂ S⌉ rows of S superpixels.

    >>> [whole_blocks(333, superpixels) for superpixels in (20, 64, 65, 196, 257)]
    [385, 385, 513, 513, 1025]
    """
    block = 2 * len(hadamard(superpixels))
    return 1 + -(-(samples - 1) // block) * block


def all_designs(superpixels: int, rows: int) -> Iterator[NDArray[np.bool_]]:
    """Give all 2^superpixels choices of visible ones, each once, the first showing all.

    >>> [part.astype(int).tolist() for part in all_designs(1, 4)]
    [[[1], [0]]]
    """
    choices = 2**superpixels
    bits = np.arange(superpixels)
    for start in range(0, choices, rows):
        numbers = np.arange(choices - 1 - start, max(choices - 1 - start - rows, -1), -1)
        yield (numbers[:, None] >> bits & 1).astype(bool)


def proximity(visible: NDArray[np.bool_], kernel_width: float) -> NDArray[np.float64]:
    """Weights (N,) of rows (N, S): √exp(-d²/width²), d the cosine distance from all visible.

    >>> proximity(np.array([[True, True], [False, False]]), 1.0).round(4).tolist()
    [1.0, 0.6065]
    """
    distance = 1 - np.sqrt(visible.mean(axis=1))
    return np.asarray(np.sqrt(np.exp(-(distance**2) / kernel_width**2)))


class WeightedRidge:
    """Ridge regression with an unpenalised intercept and weighted rows, solved in closed form.

    Rows are added in a stream, and only sums over them are kept, in float64. ``features`` S and
    ``targets`` L are the columns of what is added; ``alpha`` is the penalty, 0 or more. Each
    target is summed and solved on its own, so that its bits do not depend on the others.

    >>> ridge = WeightedRidge(1, 1, alpha=0.0)
    >>> ridge.add(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]), np.ones(2))
    >>> ridge.coefficients().round(6).tolist()
    [[2.0]]
    """

    def __init__(self, features: int, targets: int, alpha: float) -> None:
        self._alpha = alpha
        self._weight = 0.0
        self._x = np.zeros(features)
        self._y = np.zeros(targets)
        self._xx = np.zeros((features, features))
        self._xy = np.zeros((features, targets))

    def add(
        self, x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> None:
        """Add rows: x (N, S), y (N, L), weights (N,)."""
        weighted = x * weights[:, None]
        self._weight += float(weights.sum())
        self._x += weighted.sum(axis=0)
        self._xx += weighted.T @ x
        for target, column in enumerate(np.ascontiguousarray(y.T)):
            self._y[target] += weights @ column
            self._xy[:, target] += column @ weighted

    def coefficients(self) -> NDArray[np.float64]:
        """Give the coefficients (S, L); NaN for targets that hold NaN or infinity."""
        xx = self._xx - np.outer(self._x, self._x) / self._weight
        penalised = xx + self._alpha * np.eye(len(xx))
        found = np.full(self._xy.shape, np.nan)
        for target, (y, xy) in enumerate(zip(self._y, self._xy.T, strict=True)):
            right = xy - self._x * (y / self._weight)
            if np.isfinite(right).all():
                found[:, target] = np.linalg.lstsq(penalised, right, rcond=None)[0]
        return found
