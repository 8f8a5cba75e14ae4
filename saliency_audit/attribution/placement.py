"""Where the cells of a block look in an image: found once for a network and a size of images.

From the network's geometry (`geometry`), else measured (`measured_centres`); rounded to a quarter
of a pixel of the image. How they are painted belongs to `grid`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from saliency_audit.attribution.blocks import INPUT
from saliency_audit.attribution.grid import Grid, Placement, stretched
from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from saliency_audit.attribution.geometry import Geometry
    from saliency_audit.models.classifier import Classifier

#: Centres are rounded to a quarter of a pixel.
QUARTERS = 4


def placed(classifier: Classifier, block: str, size: tuple[int, int]) -> Grid | None:
    """Find where the cells of a block look in images of ``size`` (H, W).

    ``block``: the name of a module of the network, with ``:input`` where its input is meant. None
    where that cannot be found: the block gives no grid, or looks nowhere in particular.
    """
    from saliency_audit.attribution.measured_centres import measured_centres

    read = classifier.input_size or size
    cells, geometry = _followed(classifier, block, read)
    if cells is None:
        return None
    found: Literal["geometry", "gradients"] = "geometry"
    if geometry is not None:
        lines = [(axis.start, axis.step) for axis in geometry.axes]
    else:
        measured = measured_centres(classifier.network, _activations(block), read)
        if measured is None:
            return None
        found = "gradients"
        lines = [(line[0], line[1] - line[0] if len(line) > 1 else 1.0) for line in measured]
    first, step = zip(
        *(_in_image(line, cells[axis], size[axis] / read[axis]) for axis, line in enumerate(lines)),
        strict=True,
    )
    return Grid(block, cells, (first[0], first[1]), (step[0], step[1]), "field", found)


def grid_of(
    classifier: Classifier, block: str, placement: Placement, size: tuple[int, int]
) -> Grid:
    """Give the cells of a block as they are painted on images of ``size`` (H, W)."""
    if placement == "field" and (found := placed(classifier, block, size)) is not None:
        return found
    return stretched(block, cells_of(classifier, block, size), size)


def cells_of(classifier: Classifier, block: str, size: tuple[int, int]) -> tuple[int, int]:
    """Give the cells (h, w) of a block for images of ``size``; raises ModelError for no grid."""
    cells, _ = _followed(classifier, block, classifier.input_size or size)
    if cells is None:
        raise ModelError(
            f"block {block} does not give activations (B, C, h, w): name a module that does"
        )
    return cells


def _in_image(line: tuple[float, float], cells: int, scale: float) -> tuple[float, float]:
    """Round the line of centres to quarters of a pixel of the image, ``scale`` of the network's."""
    start, step = ((line[0] + 0.5) * scale - 0.5, line[1] * scale)
    first = round(start * QUARTERS) / QUARTERS
    last = round((start + step * (cells - 1)) * QUARTERS) / QUARTERS
    return first, (last - first) / (cells - 1) if cells > 1 else step


def _followed(
    classifier: Classifier, block: str, size: tuple[int, int]
) -> tuple[tuple[int, int] | None, Geometry | None]:
    """Give the cells (h, w) of a block's activations, and where they look if that can be said."""
    import torch

    from saliency_audit.attribution.geometry import Following

    mean = classifier.get_buffer("mean")
    noise = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 4 - 2
    images = noise.to(mean)
    following = Following()
    found: list[tuple[tuple[int, int] | None, Geometry | None]] = []

    def look(value: object) -> None:
        if isinstance(value, torch.Tensor) and value.ndim == 4:
            cells = (int(value.shape[2]), int(value.shape[3]))
            found.append((cells, following.known(value)))

    listens = listening(classifier.network, block, look)
    with evaluating(classifier), torch.no_grad(), listens, following:
        following.begin(images)
        classifier.network(images)
    if not found:
        return None, None
    cells, geometry = found[-1]
    laid_out = geometry is not None and [a.dimension for a in geometry.axes] == [2, 3]
    return cells, geometry if laid_out else None


def _activations(block: str) -> Callable[[nn.Module, Tensor], Tensor]:
    """Give a function that reads a block's activations from a network and its images."""
    import torch

    def activations(network: nn.Module, images: Tensor) -> Tensor:
        found: list[Tensor] = []

        def look(value: object) -> None:
            if isinstance(value, torch.Tensor):
                found.append(value.clone())  # what follows may change it in place

        with listening(network, block, look):
            network(images)
        return found[-1]

    return activations


@contextmanager
def listening(network: nn.Module, block: str, look: Callable[[object], None]) -> Iterator[None]:
    """Have ``look`` called with what a block of the network gives, or gets where named so."""
    module = dict(network.named_modules(remove_duplicate=False))[block.removesuffix(INPUT)]

    def before(_: nn.Module, inputs: tuple[object, ...]) -> None:
        look(inputs[0] if inputs else None)

    def after(_: nn.Module, inputs: object, output: object) -> None:
        look(output)

    handle = (
        module.register_forward_pre_hook(before)
        if block.endswith(INPUT)
        else module.register_forward_hook(after)
    )
    try:
        yield
    finally:
        handle.remove()
