"""Where the cells of a block look in an image: found once for a network and a size of images.

From the network's geometry (`geometry`), else measured (`measured_centres`); rounded to a quarter
of a pixel of the image. How they are painted belongs to `grid`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from saliency_audit.attribution.blocks import INPUT
from saliency_audit.attribution.grid import Grid, Placement, stretched
from saliency_audit.attribution.layouts import Layout, layout_of
from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from saliency_audit.attribution.geometry import Geometry
    from saliency_audit.models.classifier import Classifier

#: Centres are rounded to a quarter of a pixel.
QUARTERS = 4
#: Dimensions of rows and columns, by how activations come.
DIMENSIONS = {"channels_first": [2, 3], "channels_last": [1, 2]}


@dataclass(frozen=True)
class _Seen:
    """A block's activations in one pass: how they lie, and where they look if that was followed."""

    layout: Layout
    geometry: Geometry | None


def grid_of(
    classifier: Classifier,
    block: str,
    placement: Placement,
    size: tuple[int, int],
    *,
    named: bool = True,
) -> Grid:
    """Give the cells of a block as they are painted on images of ``size`` (H, W).

    ``block``: a module of the network, its input where the name ends with ``:input``; ``named``:
    by a person, and not chosen, which looks for channels that come first alone. They are stretched
    where ``placement`` says so, and where nothing says where they look. Raises ModelError for a
    block that gives no grid, or one cell.
    """
    seen = _followed(classifier, block, size, named)
    if placement == "field" and (found := _placed(classifier, block, size, seen)) is not None:
        return found
    return stretched(block, seen.layout.grid, size)


def _placed(classifier: Classifier, block: str, size: tuple[int, int], seen: _Seen) -> Grid | None:
    from saliency_audit.attribution.measured_centres import measured_centres

    read = classifier.input_size or size
    cells = seen.layout.grid
    found: Literal["geometry", "gradients"] = "geometry"
    if seen.geometry is not None:
        lines = [(axis.start, axis.step) for axis in seen.geometry.axes]
    else:
        activations = _activations(block, seen.layout)
        measured = measured_centres(classifier.network, activations, read)
        if measured is None:
            return None
        found = "gradients"
        lines = [(line[0], line[1] - line[0] if len(line) > 1 else 1.0) for line in measured]
    rows, columns = (
        _in_image(line, cells[axis], size[axis] / read[axis]) for axis, line in enumerate(lines)
    )
    return Grid(block, cells, (rows[0], columns[0]), (rows[1], columns[1]), "field", found)


def _in_image(line: tuple[float, float], cells: int, scale: float) -> tuple[float, float]:
    """Round the line of centres to quarters of a pixel of the image, ``scale`` of the network's."""
    start, step = ((line[0] + 0.5) * scale - 0.5, line[1] * scale)
    first = round(start * QUARTERS) / QUARTERS
    last = round((start + step * (cells - 1)) * QUARTERS) / QUARTERS
    return first, (last - first) / (cells - 1) if cells > 1 else step


def _followed(classifier: Classifier, block: str, size: tuple[int, int], named: bool) -> _Seen:
    """Run the network once, and look at a block's activations; errors as of ``grid_of``."""
    import torch

    from saliency_audit.attribution.geometry import Following

    read = classifier.input_size or size
    noise = torch.rand((1, 3, *read), generator=torch.Generator().manual_seed(0)) * 4 - 2
    images = noise.to(classifier.get_buffer("mean"))
    following = Following()
    found: list[tuple[Tensor, Geometry | None]] = []

    def look(value: object) -> None:
        if isinstance(value, torch.Tensor):
            found.append((value, following.known(value)))

    listens = listening(classifier.network, block, look)
    with evaluating(classifier), torch.no_grad(), listens, following:
        following.begin(images)
        classifier.network(images)
    if not found or found[-1][0].ndim not in (3, 4):
        raise ModelError(
            f"block {block} does not give activations (B, C, h, w), (B, h, w, C) or tokens "
            "(B, N, C), or is not used by the network: name a module that does"
        )
    value, geometry = found[-1]
    if named:
        layout = layout_of(block, value, classifier, size)
    else:
        layout = Layout("channels_first", (int(value.shape[2]), int(value.shape[3])))
    if layout.order == "tokens":
        return _Seen(layout, following.laid_out(layout.grid))
    wanted = DIMENSIONS[layout.order]
    agrees = geometry is not None and [axis.dimension for axis in geometry.axes] == wanted
    return _Seen(layout, geometry if agrees else None)


def _activations(block: str, layout: Layout) -> Callable[[nn.Module, Tensor], Tensor]:
    """Give a function that reads a block's activations (B, C, h, w) from a network and images."""
    import torch

    def activations(network: nn.Module, images: Tensor) -> Tensor:
        found: list[Tensor] = []

        def look(value: object) -> None:
            if isinstance(value, torch.Tensor):
                found.append(value.clone())  # what follows may change it in place

        with listening(network, block, look):
            network(images)
        return layout.read(found[-1])

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
