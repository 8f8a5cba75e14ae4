"""Where the cells of a block look, measured by gradients where geometry does not say it.

The squared gradient of a row of cells, summed over columns, is largest at the rows of pixels that
the cells look at. Its centre is taken near that peak alone, because attention and
squeeze-and-excitation spread a little of the gradient over the whole image. Two rows away from the
border, where nothing is cut off, say where all lie: the step between rows is a whole number of
pixels that the number of cells allows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Images of noise that are averaged over.
IMAGES = 4
#: Share of a step by which the two rows may be nearer or farther than they should.
BESIDE = 0.25


def measured_centres(
    network: nn.Module,
    activations: Callable[[nn.Module, Tensor], Tensor],
    size: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Give the centres of rows (h,) and of columns (w,) of a block's cells, in input pixels.

    ``activations``: gives those of the block (B, C, h, w), with their graph, of a network like
    this one and images (B, 3, H, W); ``size``: (H, W) that the network reads. In float64, on one
    thread, of noise with a fixed seed. None where no line fits: the cells look nowhere in
    particular, or not in order, or there are more of them for one image than for another.
    """
    double = copy.deepcopy(network).to("cpu", torch.float64).eval()
    generator = torch.Generator().manual_seed(0)
    profiles: tuple[dict[int, NDArray[np.float64]], ...] = ({}, {})
    cells: tuple[int, int] | None = None
    with _one_thread(), torch.enable_grad():
        for _ in range(IMAGES):
            noise = torch.rand((1, 3, *size), generator=generator, dtype=torch.float64) * 4 - 2
            images = noise.requires_grad_()
            given = activations(double, images)
            if cells not in (None, tuple(given.shape[2:])):
                return None
            cells = (int(given.shape[2]), int(given.shape[3]))
            for axis in (0, 1):
                for number in _inner(cells[axis]):
                    signs = torch.randint(0, 2, given.shape, generator=generator).double() * 2 - 1
                    only = torch.zeros_like(given)
                    only.select(2 + axis, number).fill_(1.0)
                    (gradient,) = torch.autograd.grad(
                        given, images, signs * only, retain_graph=True
                    )
                    profile = gradient[0].square().sum(dim=(0, 2 - axis)).numpy()
                    profiles[axis][number] = profiles[axis].get(number, 0.0) + profile
    assert cells is not None
    rows, columns = (_line(profiles[axis], cells[axis], size[axis]) for axis in (0, 1))
    return None if rows is None or columns is None else (rows, columns)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _inner(cells: int) -> list[int]:
    """Two numbers of rows, a third of them from each border; one where there are no two."""
    return sorted({cells // 3, cells - 1 - cells // 3})


def _line(
    profiles: dict[int, NDArray[np.float64]], cells: int, size: int
) -> NDArray[np.float64] | None:
    numbers = sorted(profiles)
    centres = np.array([_peak(profiles[number], size / cells) for number in numbers])
    if not np.isfinite(centres).all():
        return None
    step = size / cells
    if len(numbers) > 1:
        apart = float(centres[1] - centres[0]) / (numbers[1] - numbers[0])
        step = _step(apart, cells, size)
        if abs(apart - step) > BESIDE * step:
            return None
    start = float(np.mean(centres - step * np.array(numbers)))
    return np.asarray(start + step * np.arange(cells, dtype=np.float64))


def _step(measured: float, cells: int, size: int) -> float:
    """Give the stride that a network has which makes so many cells of so many pixels.

    The one that divides the image, or of the whole numbers that leave a rest the one nearest to
    what was measured.

    >>> _step(33.4, 7, 224), _step(31.7, 8, 225)
    (32.0, 32.0)
    """
    if size % cells == 0:
        return size / cells
    whole = [
        stride for stride in range(1, size + 1) if cells in (size // stride, -(-size // stride))
    ]
    return float(min(whole, key=lambda stride: abs(stride - measured), default=size / cells))


def _peak(profile: NDArray[np.float64], reach: float) -> float:
    """Centre of a profile (pixels,) within ``reach`` pixels of where it is largest."""
    places = np.arange(len(profile), dtype=np.float64)
    smooth = np.convolve(profile, np.ones(max(int(reach) | 1, 1)), mode="same")
    centre = float(np.argmax(smooth))
    background = float(np.median(profile))
    weights = np.maximum(profile - background, 0.0)
    for _ in range(30):
        # Pixels at the edge of the window count in part, or the centre would move in steps.
        near = np.clip(reach + 0.5 - np.abs(places - centre), 0.0, 1.0) * weights
        if near.sum() <= 0:
            return float("nan")
        moved = float((near * places).sum() / near.sum())
        if abs(moved - centre) < 1e-6:
            break
        centre = moved
    return centre
