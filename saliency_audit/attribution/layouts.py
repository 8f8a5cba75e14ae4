"""How the activations of a named block lie: as channels of a grid, or as tokens of one.

A convolution gives (B, C, h, w), a Swin stage (B, h, w, C), a ViT's block (B, N, C) with a class
token and registers before the patches. Which it is follows from the shape beside the image's; what
a shape leaves open is refused, because a grid that is read in the wrong order gives noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from saliency_audit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from saliency_audit.models.classifier import Classifier

Order = Literal["channels_first", "channels_last", "tokens"]
#: What the parameters of tokens that are no patches are called, where a network does not say how
#: many it has.
PREFIX_NAMES = ("cls_token", "class_token", "dist_token", "distillation_token", "reg_token")


@dataclass(frozen=True)
class Layout:
    """How activations are read as (B, C, h, w).

    ``order``: how they come; ``grid``: (h, w); ``prefix``: tokens before those of the grid.
    """

    order: Order
    grid: tuple[int, int]
    prefix: int = 0

    def read(self, values: Tensor) -> Tensor:
        """Give activations, or their gradients, as (B, C, h, w).

        >>> import torch
        >>> Layout("tokens", (2, 3), prefix=1).read(torch.zeros(4, 7, 5)).shape
        torch.Size([4, 5, 2, 3])
        """
        if self.order == "channels_first":
            return values
        if self.order == "tokens":
            values = values[:, self.prefix :]
            values = values.reshape(len(values), *self.grid, values.shape[-1])
        return values.permute(0, 3, 1, 2)


def layout_of(name: str, values: Tensor, classifier: Classifier, size: tuple[int, int]) -> Layout:
    """Say how the activations of the block ``name`` lie, for images of ``size`` (H, W).

    Raises ModelError, naming the block, where they are no grid, are one cell, or may be read in
    two ways.
    """
    shape = tuple(values.shape[1:])
    pixels = classifier.input_size or size
    found = (
        _of_tokens(name, shape[0], classifier.network, pixels)
        if len(shape) == 2
        else _of_planes(name, (shape[0], shape[1], shape[2]), classifier.network, pixels)
    )
    if found.grid == (1, 1):
        raise ModelError(
            f"block {name} gives one cell for images of {size[0]}x{size[1]}, which says nothing of "
            "where: name a module before it"
        )
    return found


def _of_planes(
    name: str, shape: tuple[int, int, int], network: nn.Module, pixels: tuple[int, int]
) -> Layout:
    first, last = (shape[1], shape[2]), (shape[0], shape[1])
    either = _is_grid(first, pixels) == _is_grid(last, pixels)
    if either and _normalises_channels_last(network):
        said = "x".join(map(str, shape))
        raise ModelError(
            f"block {name} gives {said} per image of {pixels[0]}x{pixels[1]}, and which of these "
            "is the channels cannot be told: name another module"
        )
    if either or _is_grid(first, pixels):
        return Layout("channels_first", first)
    return Layout("channels_last", last)


def _of_tokens(name: str, tokens: int, network: nn.Module, pixels: tuple[int, int]) -> Layout:
    known = prefix_tokens(network)
    for prefix in dict.fromkeys((known, 0)):
        grid = _grid_of(tokens - prefix, pixels)
        if grid is not None:
            return Layout("tokens", grid, prefix)
    raise ModelError(
        f"block {name} gives {tokens} tokens per image, which are no grid over images of "
        f"{pixels[0]}x{pixels[1]} ({known} of them counted as class and register tokens): name "
        "another module, or say how many are none of the grid as the network's attribute "
        "num_prefix_tokens"
    )


def prefix_tokens(network: nn.Module) -> int:
    """Give how many tokens stand before those of the patches: class, distillation, registers.

    timm's networks say so (``num_prefix_tokens``); of others the parameters of such tokens are
    counted, by their usual names.

    >>> from torch import nn
    >>> prefix_tokens(nn.Linear(1, 1))
    0
    """
    for module in network.modules():
        said = getattr(module, "num_prefix_tokens", None)
        if isinstance(said, int):
            return said
    return sum(
        int(values.shape[1])
        for name, values in network.named_parameters()
        if name.rpartition(".")[2] in PREFIX_NAMES and values.ndim == 3
    )


def _grid_of(cells: int, pixels: tuple[int, int]) -> tuple[int, int] | None:
    """Give the grid (h, w) of so many cells, as far apart down as across, or None."""
    if cells < 1:
        return None
    height = round(math.sqrt(cells * pixels[0] / pixels[1]))
    if height < 1 or cells % height:
        return None
    grid = height, cells // height
    return grid if _is_grid(grid, pixels) else None


def _is_grid(grid: tuple[int, int], pixels: tuple[int, int]) -> bool:
    """Whether (h, w) cells cover (H, W) pixels alike both ways."""
    if min(grid) < 1 or grid[0] > pixels[0] or grid[1] > pixels[1]:
        return False
    if pixels[0] == pixels[1]:
        return grid[0] == grid[1]
    # Of images that are no multiple of the stride, a side has up to a cell more or less.
    stride = math.sqrt(pixels[0] * pixels[1] / (grid[0] * grid[1]))
    return all(
        abs(cells - length / stride) <= 1 for cells, length in zip(grid, pixels, strict=True)
    )


def _normalises_channels_last(network: nn.Module) -> bool:
    """Whether some module may take the last dimension for the channels."""
    kinds = {type(module).__name__.lower() for module in network.modules()}
    return any("layernorm" in kind or "rmsnorm" in kind for kind in kinds)
