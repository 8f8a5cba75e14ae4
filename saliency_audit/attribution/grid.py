"""The cells that a map is made of, and how a grid of values becomes a map of pixels.

``field``: each cell is a point at the centre of what it looks at, and between points the map is
bilinear. Nothing is known beyond the outermost centres; there the map returns to the mean of all
cells over one step (simple kriging with a triangular covariance), so that a cell at the border
does not own the corner, and a flat grid stays flat. ``stretched``: the grid is laid over the
whole image and scaled up, as every library does; a cell is then painted where it lies in the grid,
whatever it looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Placement = Literal["field", "stretched"]


@dataclass(frozen=True)
class Grid:
    """The cells that a map is made of.

    ``block``: whose they are; ``cells``: (h, w); ``first`` and ``step``: rows, then columns: the
    centre of the first cell, and from one cell to the next, in pixels of the image, whose first
    pixel has its centre at 0; ``placement``: how they were put there; ``found``: where the centres
    come from, ``geometry``, ``gradients`` or, of stretched ones, ``stretched``.
    """

    block: str
    cells: tuple[int, int]
    first: tuple[float, float]
    step: tuple[float, float]
    placement: Placement
    found: Literal["geometry", "gradients", "stretched"]

    @property
    def words(self) -> str:
        """What a report says of the cells.

        >>> Grid("layer2", (8, 8), (0.0, 0.0), (8.0, 8.0), "field", "geometry").words
        'layer2: 8x8 cells, one every 8 px, painted where they look (by geometry)'
        """
        rows, columns = self.step
        every = f"{rows:g} px" if rows == columns else f"{rows:g} px down and {columns:g} across"
        how = (
            "stretched"
            if self.found == "stretched"
            else f"painted where they look (by {self.found})"
        )
        return f"{self.block}: {self.cells[0]}x{self.cells[1]} cells, one every {every}, {how}"

    def centres(self, axis: int) -> NDArray[np.float64]:
        """Give the centres of rows (``axis`` 0) or of columns (1), in pixels of the image."""
        return self.first[axis] + self.step[axis] * np.arange(self.cells[axis], dtype=np.float64)

    def painted(self, values: Tensor, size: tuple[int, int]) -> NDArray[np.float64]:
        """Give maps (B, H, W), float64, of values (B, h, w) of the cells.

        ``size``: (H, W). A grid of one value is a map of that value. Raises ModelError where a
        network gave another number of cells than for the image that they were placed with.
        """
        import torch

        values = values.detach().double()
        if self.placement == "stretched":
            return upsampled(values, size)
        if tuple(values.shape[1:]) != self.cells:
            raise ModelError(
                f"{self.block} gives {values.shape[1]}x{values.shape[2]} cells for one image and "
                f"{self.cells[0]}x{self.cells[1]} for another: say placement: stretched"
            )
        rows, columns = (
            torch.tensor(weights(tuple(self.centres(axis)), size[axis])).to(values.device)
            for axis in (0, 1)
        )
        mean = values.mean(dim=(1, 2), keepdim=True)
        # Of equal values the mean may be off by rounding, which would become a pattern.
        flat = (values == values[:, :1, :1]).all(dim=2).all(dim=1)
        mean = mean.where(~flat[:, None, None], values[:, :1, :1])
        maps = mean + rows @ (values - mean) @ columns.T
        # Rounding may leave the range of the cells by a bit, and a map is not negative.
        lowest, highest = values.amin(dim=(1, 2)), values.amax(dim=(1, 2))
        maps = torch.clamp(maps, lowest[:, None, None], highest[:, None, None])
        return np.asarray(maps.cpu().numpy())

    def pooled(self, values: NDArray[np.floating[Any] | np.bool_]) -> NDArray[np.float64]:
        """Give the mean of an image's values (H, W) over each cell, (h, w).

        A cell is one step wide around its centre; of one whose window lies outside the image it
        is the nearest pixel.

        >>> Grid("x", (1, 2), (0.0, 0.5), (1.0, 2.0), "field", "geometry").pooled(np.eye(1, 4))
        array([[0.5, 0. ]])
        """
        rows, columns = (self._shares(axis, values.shape[axis]) for axis in (0, 1))
        return np.asarray(rows @ values.astype(np.float64) @ columns.T)

    def _shares(self, axis: int, pixels: int) -> NDArray[np.float64]:
        """Shares (cells, pixels) that pixels have in the windows of cells; a row sums to 1."""
        centres, places = self.centres(axis)[:, None], np.arange(pixels, dtype=np.float64)
        half = self.step[axis] / 2
        low = np.maximum(centres - half, places - 0.5)
        shares = np.clip(np.minimum(centres + half, places + 0.5) - low, 0.0, None)
        outside = shares.sum(axis=1) == 0
        shares[outside, np.abs(centres - places).argmin(axis=1)[outside]] = 1.0
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def grid_from(content: Mapping[str, Any]) -> Grid:
    """Read a grid from what ``dataclasses.asdict`` made of one, by way of JSON."""
    pairs = {name: tuple(content[name]) for name in ("cells", "first", "step")}
    return Grid(**{**content, **pairs})


@lru_cache(maxsize=32)
def weights(centres: tuple[float, ...], pixels: int) -> NDArray[np.float64]:
    """Weights (pixels, cells) in [0, 1] of cells at pixels: 1 at a centre, 0 one step away.

    ``centres``: ascending, in pixels. A row sums to 1 between the outermost centres and falls to 0
    over one step beyond them. One cell alone weighs 1 everywhere. Read-only.

    >>> weights((0.0, 2.0), 5).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.0, 0.5], [0.0, 0.0]]
    """
    places = np.arange(pixels, dtype=np.float64)
    if len(centres) == 1:
        found = np.ones((pixels, 1))
    else:
        known = np.array(centres)
        beyond = [2 * known[0] - known[1], *known, 2 * known[-1] - known[-2]]
        found = np.stack(
            [
                np.interp(places, beyond[number : number + 3], [0.0, 1.0, 0.0], 0.0, 0.0)
                for number in range(len(centres))
            ],
            axis=1,
        )
    found.flags.writeable = False
    return found


def upsampled(maps: Tensor, size: tuple[int, int]) -> NDArray[np.float64]:
    """Scale maps (B, h, w) up to (B, H, W), bilinear, ``align_corners=False``."""
    from torch.nn.functional import interpolate

    scaled = interpolate(
        maps.detach().double()[:, None], size, mode="bilinear", align_corners=False
    )
    return np.asarray(scaled[:, 0].cpu().numpy())


def stretched(block: str, cells: tuple[int, int], size: tuple[int, int]) -> Grid:
    """Give the grid that is laid over images of ``size`` (H, W).

    >>> stretched("layer4", (2, 2), (64, 64)).centres(0).tolist()
    [15.5, 47.5]
    """
    step = (size[0] / cells[0], size[1] / cells[1])
    first = (step[0] / 2 - 0.5, step[1] / 2 - 0.5)
    return Grid(block, cells, first, step, "stretched", "stretched")
