"""RISE's random masks: coarse random grids, scaled up smoothly and shifted, in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

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
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """Give ``samples`` masks in tensors (at most ``rows``, 1, H, W), float32 in [0, 1].

    A grid of ``grid`` × ``grid`` cells, each 1 with probability ``visible``, is scaled up
    bilinearly to ``grid`` + 1 cells of ⌈H/grid⌉ × ⌈W/grid⌉ pixels, and H × W are cut from it at a
    random shift of less than a cell (Petsiuk et al. 2018, §3.2). The masks depend on ``seed`` and
    ``key``, not on ``rows``.

    >>> [len(masks) for masks in mask_stream(5, 3, 0.5, (8, 8), seed=0, key="a", rows=2)]
    [2, 2, 1]
    """
    import torch

    cells, shifts = generator(seed, key, 0), generator(seed, key, 1)
    along = [_interpolation(grid, length).to(device) for length in size]
    steps = np.array([-(-length // grid) for length in size])
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        shown = torch.from_numpy(cells.random((count, grid, grid)) < visible)
        shift = torch.from_numpy((shifts.random((count, 2)) * steps).astype(np.int64))
        cut = [
            weights[shift[:, axis, None].to(device) + torch.arange(length, device=device)]
            for axis, (weights, length) in enumerate(zip(along, size, strict=True))
        ]
        masks = cut[0] @ shown.to(device, torch.float32) @ cut[1].transpose(1, 2)
        yield masks[:, None]


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
