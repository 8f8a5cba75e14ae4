"""What Grad-CAM and its kin share: a block's activations, their gradients, and a map of the two.

The body of the network runs without gradients; only the head, from the block
on, is differentiated. What a map is made of both belongs to each method.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from saliency_audit.attribution.blocks import (
    CELLS,
    INPUT,
    LAST_BLOCK,
    LAST_CONV2D,
    explained_block,
)
from saliency_audit.attribution.grid import Grid, Placement
from saliency_audit.attribution.layouts import Layout, layout_of
from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap
from saliency_audit.attribution.placement import grid_of
from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError
from saliency_audit.ranges import Text

if TYPE_CHECKING:
    from torch import Tensor, nn

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


class _Captured:
    """The activations of a block during one forward pass.

    ``own``: as the block gave (or got) them; ``read``: as the head reads them, after what the
    network did to them in place (torchvision's DenseNet applies its last ReLU so).
    """

    own: Tensor | None = None
    read: Tensor | None = None


@contextmanager
def _capturing(name: str, block: nn.Module) -> Iterator[_Captured]:
    """Cut the graph at a block: gradients are recorded from its activations on, not before."""
    import torch

    captured = _Captured()

    def cut(value: object) -> Tensor:
        if not isinstance(value, torch.Tensor) or value.ndim not in (3, 4):
            raise ModelError(
                f"block {name} does not give activations (B, C, h, w), (B, h, w, C) or tokens "
                "(B, N, C): name a module that does"
            )
        torch.set_grad_enabled(True)
        captured.own = value.detach().requires_grad_()
        captured.read = captured.own.clone()
        return captured.read

    def before(_: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
        return (cut(inputs[0] if inputs else None), *inputs[1:])

    def after(_: nn.Module, inputs: object, output: object) -> Tensor:
        return cut(output)

    handle = (
        block.register_forward_pre_hook(before)
        if name.endswith(INPUT)
        else block.register_forward_hook(after)
    )
    try:
        with torch.no_grad():  # until the hook; the mode from before is restored here
            yield captured
    finally:
        handle.remove()


#: What a report says of a block that is chosen rather than named.
DEFAULTS: Mapping[str | None, str] = {
    None: f"the deepest block with {CELLS}x{CELLS} cells",
    LAST_BLOCK: "the last convolutional block",
    LAST_CONV2D: "the last convolution",
}
#: A grid whose range is below this share of the sums of absolute terms is flat: what is left is
#: rounding of float32.
ROUNDING = 2.0**-19


@dataclass(frozen=True)
class BlockMethod(Method):
    """A method whose maps are made of a block's activations A, painted where its cells look.

    A is the output of ``block``, or its input (see ``blocks.explained_block``). The default
    block's activations are those that the head reads, and so are the gradients; a block that is
    named gives its own, and tokens or channels that come last are brought into the grid's order
    (see ``layouts``). ``placement``: how cells are painted (see ``grid``); where it cannot be found
    where they look, the map is stretched, and its grid says so.
    """

    block: Text | None = None
    placement: Placement = "field"

    @property
    def words(self) -> str:
        """Which activations are read, and how they are painted."""
        placed = "placed where its cells look" if self.placement == "field" else "stretched"
        return f"activations of {DEFAULTS.get(self.block, self.block)}, {placed}"


@dataclass(frozen=True)
class ClassActivation(BlockMethod):
    """A method whose maps are made of activations A and gradients ∂y/∂A."""

    @abstractmethod
    def combine(self, activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give maps (B, h, w), 0 or more, and per row (B,) whether they are ill-defined.

        Both arguments are float64 (B, C, h, w). NaN gives NaN.
        """

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``."""
        return _ClassActivationExplainer(self, classifier, compute)

    def cost(self) -> Cost:
        """Count one forward pass, shared, and a backward pass through the head alone."""
        return Cost(forward=1, backward=1)


@dataclass(frozen=True)
class ChannelWeighted(ClassActivation):
    """A method whose maps are m = ReLU(Σ w_k A_k): a channel weighs the same in every pixel."""

    @staticmethod
    @abstractmethod
    def weigh(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give weights (B, C), and per row (B,) whether they are ill-defined.

        Both arguments are float64 (B, C, h, w). NaN gives NaN.
        """

    def combine(self, activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give the positive part of the weighted sum; see ``ClassActivation.combine``."""
        weights, doubtful = self.weigh(activations, gradients)
        return (weights[:, :, None, None] * activations).sum(dim=1).relu(), doubtful


class BlockExplainer(Explainer):
    """Explains batches of images by a block's activations; the block is found once."""

    def __init__(self, method: BlockMethod, classifier: Classifier, compute: Compute) -> None:
        super().__init__(classifier, compute)
        self._method = method
        self._block = cache(self._at_size)
        self._placed = cache(self._grid_at)

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        size = (int(images.shape[2]), int(images.shape[3]))
        name, module = self._block(size)
        self.grid(size)  # found before the network is cut, as gradients may have to reach the image
        rows = self.compute.batch
        found: list[list[RawMap]] = []
        with evaluating(self.classifier):
            for start in range(0, len(images), rows):
                chunk = slice(start, start + rows)
                with _capturing(name, module) as captured:
                    scores = self.classifier(self.compute.place(padded(images[chunk], rows)))
                    default = self._method.block in (None, LAST_BLOCK)
                    activations = captured.read if default else captured.own
                    if activations is None:
                        raise ModelError(
                            f"block {name} is not used by the network: name another one"
                        )
                    layout = (
                        None if default else layout_of(name, activations, self.classifier, size)
                    )
                    found += self.combined(
                        images[chunk], scores, activations, layout, labels[chunk]
                    )
        return found

    def _at_size(self, size: tuple[int, int]) -> tuple[str, nn.Module]:
        return explained_block(self.classifier, self._method.block, image_size=size)

    def grid(self, size: tuple[int, int]) -> Grid:
        """Give the block's cells, as they are painted on images of ``size`` (H, W)."""
        return self._placed(size)

    def _grid_at(self, size: tuple[int, int]) -> Grid:
        block, placement = self._block(size)[0], self._method.placement
        named = self._method.block not in DEFAULTS
        return grid_of(self.classifier, block, placement, size, named=named)

    @abstractmethod
    def combined(
        self,
        images: Tensor,
        scores: Tensor,
        activations: Tensor,
        layout: Layout | None,
        labels: Sequence[Sequence[int]],
    ) -> list[list[RawMap]]:
        """Give the maps of a batch's first images, those whose labels are asked.

        ``scores`` (B, labels) were made of ``activations``, as the block gives them, and can be
        differentiated for them; ``layout`` says how these lie, None for (B, C, h, w).
        """


class _ClassActivationExplainer(BlockExplainer):
    """Differentiates each image's score for the activations."""

    def __init__(self, method: ClassActivation, classifier: Classifier, compute: Compute) -> None:
        super().__init__(method, classifier, compute)
        self._class_activation = method

    def combined(
        self,
        images: Tensor,
        scores: Tensor,
        activations: Tensor,
        layout: Layout | None,
        labels: Sequence[Sequence[int]],
    ) -> list[list[RawMap]]:
        """Give a batch's maps: one backward pass through the head for each image's r-th label."""
        import torch

        size = (int(images.shape[2]), int(images.shape[3]))
        found: list[list[RawMap]] = [[] for _ in labels]
        values = read_activations(activations, layout)
        grid = self.grid(size)
        finite = scores.detach().isfinite().tolist()
        for turn in range(max(map(len, labels), default=0)):
            rows = [row for row, asked in enumerate(labels) if turn < len(asked)]
            wanted = torch.zeros_like(scores)
            wanted[rows, [labels[row][turn] for row in rows]] = 1
            (gradients,) = torch.autograd.grad(
                scores, activations, wanted, retain_graph=True, materialize_grads=True
            )
            slopes = read_activations(gradients, layout)
            if layout is not None and bool(gradients.any()) and not bool(slopes.any()):
                raise _unread(self._method.block)
            coarse, doubtful = self._class_activation.combine(values, slopes)
            terms, _ = self._class_activation.combine(values.abs(), slopes.abs())
            maps = grid.painted(levelled(coarse, terms), size)
            for row in rows:
                status = "nonpositive_denominator" if bool(doubtful[row]) else None
                # Behind a later block the score may be NaN and its gradient still a number.
                number = finite[row][labels[row][turn]]
                found[row].append(RawMap(maps[row] if number else maps[row] * np.nan, status))
        return found


def read_activations(values: Tensor, layout: Layout | None) -> Tensor:
    """Give activations, or their gradients, as float64 (B, C, h, w)."""
    detached = values.detach()
    return (detached if layout is None else layout.read(detached)).double()


def _unread(block: str | None) -> ModelError:
    return ModelError(
        f"of the tokens of block {block} the head reads the class token alone, so the patches have "
        "no gradient: name a module before the last attention, such as the last block's norm1"
    )


def padded(images: Tensor, rows: int) -> Tensor:
    """Images (N, …) with rows of zeros up to ``rows``: the one batch shape."""
    import torch

    return torch.cat([images, images.new_zeros((rows - len(images), *images.shape[1:]))])


def levelled(coarse: Tensor, terms: Tensor) -> Tensor:
    """Make grids (B, h, w) flat whose range is no more than rounding of what was summed.

    ``terms``: the same sums of absolute values (B, h, w). NaN stays.
    """
    lowest, highest = coarse.amin(dim=(1, 2), keepdim=True), coarse.amax(dim=(1, 2), keepdim=True)
    flat = highest - lowest <= ROUNDING * terms.amax(dim=(1, 2), keepdim=True)
    return lowest.expand_as(coarse).where(flat, coarse)
