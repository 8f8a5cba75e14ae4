"""RISE's random masks: coarse grids, scaled up smoothly and shifted, in a stream.

How grids are drawn decides how many masks a map needs. Each grid of each
design is, on its own, the paper's: every cell visible with the given
probability, whatever the others are. Designs differ in how the grids of a
stream go together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.orthogonal import Design, orthogonal_block
from saliency_audit.attribution.quasi_random import square_points
from saliency_audit.attribution.seeds import generator

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def mask_stream(
    samples: int,
    grid: int,
    visible: float,
    size: tuple[int, int],
    *,
    seed: int,
    key: str,
    rows: int,
    design: Design = "independent",
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """Give ``samples`` masks in tensors (at most ``rows``, 1, H, W), float32 in [0, 1].

    A grid of ``grid`` × ``grid`` cells, each 1 with probability ``visible``, is scaled up
    bilinearly to ``grid`` + 1 cells of ⌈H/grid⌉ × ⌈W/grid⌉ pixels, and H × W are cut from it at a
    random shift of less than a cell (Petsiuk et al. 2018, §3.2). ``design``: how the grids are
    drawn; ``orthogonal`` is for ``visible`` 0.5 only. The masks depend on ``seed`` and ``key``,
    not on ``rows``.

    >>> [len(masks) for masks in mask_stream(5, 3, 0.5, (8, 8), seed=0, key="a", rows=2)]
    [2, 2, 1]
    """
    import torch

    along = [_interpolation(grid, length).to(device) for length in size]
    steps = np.array([-(-length // grid) for length in size])
    random = generator(seed, key, 0), generator(seed, key, 1)
    grids = (
        _orthogonal(samples, grid, steps, rows, *random)
        if design == "orthogonal"
        else _independent(samples, grid, visible, steps, rows, *random)
    )
    for shown, shift in grids:
        starts = torch.from_numpy(shift).to(device)
        cut = [
            weights[starts[:, axis, None] + torch.arange(length, device=device)]
            for axis, (weights, length) in enumerate(zip(along, size, strict=True))
        ]
        cells = torch.from_numpy(shown).to(device, torch.float32)
        yield (cut[0] @ cells @ cut[1].transpose(1, 2))[:, None]


#: Which cells are visible, (n, grid, grid), and the shifts of each grid in pixels, (n, 2).
Grids = tuple[NDArray[np.bool_], NDArray[np.int64]]


def _independent(
    samples: int,
    grid: int,
    visible: float,
    steps: NDArray[np.int64],
    rows: int,
    cells: np.random.Generator,
    shifts: np.random.Generator,
) -> Iterator[Grids]:
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        yield cells.random((count, grid, grid)) < visible, _shift(shifts, count, steps)


def _orthogonal(
    samples: int,
    grid: int,
    steps: NDArray[np.int64],
    rows: int,
    cells: np.random.Generator,
    shifts: np.random.Generator,
) -> Iterator[Grids]:
    """Give grids in pairs of opposites, in blocks of twice the order of a Hadamard matrix.

    The grids of a block of ``orthogonal_block`` have one shift; the shifts of the blocks are quasi-
    random, as there are few.
    """
    offset = shifts.random(2)
    start, blocks = 0, 0
    while start < samples:
        block = orthogonal_block(grid**2, cells).reshape(-1, grid, grid)
        count = min(len(block), samples - start)
        shift = (square_points(offset, blocks, 1) * steps).astype(np.int64)
        for first in range(0, count, rows):
            part = block[first : min(first + rows, count)]
            yield part, shift.repeat(len(part), axis=0)
        start += count
        blocks += 1


def _shift(shifts: np.random.Generator, count: int, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    return (shifts.random((count, 2)) * steps).astype(np.int64)


def _interpolation(grid: int, length: int) -> Tensor:
    """Weights ((grid + 1) · ⌈length/grid⌉, grid) that scale a row of cells up, bilinearly."""
    import torch

    scaled = torch.nn.functional.interpolate(
        torch.eye(grid)[None],
        size=(grid + 1) * -(-length // grid),
        mode="linear",
        align_corners=False,
    )
    return scaled[0].T.contiguous()
