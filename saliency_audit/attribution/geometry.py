"""Where the cells of a block look: the centre of each row and column of cells, in input pixels.

Found from the network's own geometry. While it runs once, every convolution, pooling, padding,
slice and change of size moves the centres as its kernel, stride, padding and dilation say; what
works pixel by pixel leaves them. Where a step is none of these (a reshape into windows, two paths
that look elsewhere) nothing is guessed: the centres are then measured (`measured_centres`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    pass

Centres = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Cells along one dimension of a tensor: cell o looks at ``start`` + ``step`` · o.

    Both in pixels of the input, whose first pixel has its centre at 0. ``dimension``: of the
    tensor, from 0.
    """

    start: float
    step: float
    dimension: int

    def windows(self, kernel: int, stride: int, padding: float, dilation: int = 1) -> Axis:
        """Give the cells of windows over these, of which the centre is what a window looks at.

        >>> Axis(0, 1, 2).windows(7, 2, 3)
        Axis(start=0.0, step=2, dimension=2)
        """
        middle = dilation * (kernel - 1) / 2 - padding
        return Axis(self.start + self.step * middle, self.step * stride, self.dimension)

    def resized(self, before: int, after: int, aligned: bool = False) -> Axis:
        """Give the cells after enlarging or shrinking from ``before`` to ``after`` of them.

        ``aligned``: with the corner cells held in place, as ``align_corners=True`` does.

        >>> Axis(0, 2, 2).resized(4, 8)
        Axis(start=-0.5, step=1.0, dimension=2)
        """
        if aligned:
            return Axis(self.start, self.step * (before - 1) / max(after - 1, 1), self.dimension)
        ratio = before / after
        return Axis(self.start + self.step * (ratio - 1) / 2, self.step * ratio, self.dimension)

    def centres(self, cells: int) -> Centres:
        """Give the centres (cells,) in pixels of the input."""
        return self.start + self.step * np.arange(cells, dtype=np.float64)


@dataclass(frozen=True)
class Geometry:
    """Where a tensor's cells look, along its rows and along its columns."""

    rows: Axis
    columns: Axis

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows, then columns."""
        return self.rows, self.columns


class Following(TorchFunctionMode):
    """Follows the geometry of the tensors that are computed from an image while it is entered.

    ``known``: the geometry of a tensor, if every step to it was understood.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[Tensor, Geometry]] = {}

    def begin(self, images: Tensor) -> None:
        """Say that a tensor (B, C, H, W) is the image itself."""
        self._keep(images, Geometry(Axis(0.0, 1.0, 2), Axis(0.0, 1.0, 3)))

    def known(self, tensor: Tensor) -> Geometry | None:
        """Give the geometry of a tensor, None where some step to it was not understood."""
        found = self._known.get(id(tensor))
        return None if found is None else found[1]

    def laid_out(self, cells: tuple[int, int]) -> Geometry | None:
        """Give the geometry of the last tensor (B, C, h, w) that had so many cells.

        Tokens are numbered as the grid that was flattened into them; None where there was none.
        """
        found = None
        for tensor, geometry in self._known.values():
            rows, columns = geometry.axes
            shape = (tensor.shape[rows.dimension], tensor.shape[columns.dimension])
            if shape == cells:
                found = geometry
        return found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute, and follow."""
        options = kwargs or {}
        result = func(*args, **options)
        name = getattr(func, "__name__", "")
        if name in ("__get__", "size", "dim") or not args:
            return result
        step = _STEPS.get(name) or _STEPS.get(name.rstrip("_"), _pixelwise)
        for number, given in enumerate(result if isinstance(result, tuple | list) else [result]):
            if isinstance(given, Tensor) and given.ndim > 2:
                found = step(self, given, args, options)
                if found is not None and (number == 0 or step is _pixelwise):
                    self._keep(given, found)
                else:
                    self._known.pop(id(given), None)
        return result

    def _keep(self, tensor: Tensor, geometry: Geometry) -> None:
        self._known[id(tensor)] = tensor, geometry  # held, or its id would be another's


#: What follows a call: the mode, what the call gave, its arguments; None where it is not known.
_Step = Callable[[Following, Tensor, tuple[Any, ...], dict[str, Any]], Geometry | None]


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += [each for each in value if isinstance(each, Tensor)]
    return found


def _pixelwise(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Keep the cells: each is made of the same cell, as of sums, activations and norms."""
    found: list[Geometry] = []
    for tensor in _tensors([*args, *options.values()]):
        geometry = following.known(tensor)
        if geometry is None or tensor.ndim != result.ndim:
            continue
        if all(tensor.shape[a.dimension] == result.shape[a.dimension] for a in geometry.axes):
            found.append(geometry)
    return found[0] if found and all(each == found[0] for each in found) else None


def _joined(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Take the middle of parts side by side that look at different pixels."""
    parts = [following.known(tensor) for tensor in _tensors(args)]
    if not parts or any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    axes = []
    for which in ("rows", "columns"):
        each: list[Axis] = [getattr(part, which) for part in known]
        if len({(axis.step, axis.dimension) for axis in each}) > 1:
            return None
        middle = float(np.mean([axis.start for axis in each]))
        axes.append(Axis(middle, each[0].step, each[0].dimension))
    joined = Geometry(axes[0], axes[1])
    joins = args[1] if len(args) > 1 else options.get("dim", 0)
    if joins % result.ndim in (joined.rows.dimension, joined.columns.dimension):
        return None
    return joined


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list):
        return (value[0], value[-1])
    return (value, value)


def _argument(
    args: tuple[Any, ...], options: dict[str, Any], place: int, name: str, default: Any
) -> Any:
    if len(args) > place:
        return args[place]
    return options.get(name, default)


def _of_image(following: Following, args: tuple[Any, ...]) -> Geometry | None:
    """Give the geometry of the first argument where it is laid out (…, h, w)."""
    if not isinstance(args[0], Tensor):
        return None
    geometry = following.known(args[0])
    if geometry is None:
        return None
    last = args[0].ndim - 1
    laid_out = (geometry.rows.dimension, geometry.columns.dimension) == (last - 1, last)
    return geometry if laid_out else None


def _windows(geometry: Geometry, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Geometry:
    kernels, strides = _pair(kernel), _pair(stride)
    dilations = _pair(dilation)
    if padding == "same":
        paddings = tuple(d * (k - 1) // 2 for k, d in zip(kernels, dilations, strict=True))
    else:
        paddings = _pair(0 if padding == "valid" else padding)
    first, second = (
        axis.windows(k, s, p, d)
        for axis, k, s, p, d in zip(
            geometry.axes, kernels, strides, paddings, dilations, strict=True
        )
    )
    return Geometry(first, second)


def _convolved(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = _of_image(following, args)
    if geometry is None:
        return None
    weight = _argument(args, options, 1, "weight", None)
    stride = _argument(args, options, 3, "stride", 1)
    padding = _argument(args, options, 4, "padding", 0)
    dilation = _argument(args, options, 5, "dilation", 1)
    return _windows(geometry, tuple(weight.shape[2:]), stride, padding, dilation)


def _convolved_back(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Follow a transposed convolution: each cell spreads over a window of finer ones."""
    geometry = _of_image(following, args)
    if geometry is None:
        return None
    weight = _argument(args, options, 1, "weight", None)
    strides = _pair(_argument(args, options, 3, "stride", 1))
    paddings = _pair(_argument(args, options, 4, "padding", 0))
    dilations = _pair(_argument(args, options, 7, "dilation", 1))
    axes = []
    for number, axis in enumerate(geometry.axes):
        step = axis.step / strides[number]
        spread = dilations[number] * (weight.shape[2 + number] - 1) / 2
        start = axis.start + step * (paddings[number] - spread)
        axes.append(Axis(start, step, axis.dimension))
    return Geometry(axes[0], axes[1])


def _pooled(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = _of_image(following, args)
    if geometry is None:
        return None
    kernel = _argument(args, options, 1, "kernel_size", None)
    stride = _argument(args, options, 2, "stride", None)
    padding = _argument(args, options, 3, "padding", 0)
    return _windows(geometry, kernel, kernel if stride in (None, []) else stride, padding, 1)


def _max_pooled(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    if _pair(_argument(args, options, 4, "dilation", 1)) != (1, 1):
        return None
    return _pooled(following, result, args, options)


def _divided(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Follow an adaptive pooling, where it is an ordinary one."""
    geometry = _of_image(following, args)
    if geometry is None:
        return None
    kernels = []
    for axis in geometry.axes:
        before, after = args[0].shape[axis.dimension], result.shape[axis.dimension]
        if before % after:
            return None
        kernels.append(before // after)
    return _windows(geometry, tuple(kernels), tuple(kernels), 0, 1)


def _resized(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = _of_image(following, args)
    if geometry is None:
        return None
    aligned = bool(options.get("align_corners") or (len(args) > 4 and args[4]))
    first, second = (
        axis.resized(args[0].shape[axis.dimension], result.shape[axis.dimension], aligned)
        for axis in geometry.axes
    )
    return Geometry(first, second)


def _padded(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = following.known(args[0]) if isinstance(args[0], Tensor) else None
    if geometry is None:
        return None
    pads = list(_argument(args, options, 1, "pad", []))
    axes = []
    for axis in geometry.axes:
        place = 2 * (args[0].ndim - 1 - axis.dimension)
        before = pads[place] if place < len(pads) else 0
        axes.append(Axis(axis.start - axis.step * before, axis.step, axis.dimension))
    return Geometry(axes[0], axes[1])


def _sliced(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = following.known(args[0]) if isinstance(args[0], Tensor) else None
    if geometry is None:
        return None
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    if not all(isinstance(each, slice) or each is Ellipsis for each in index):
        return None
    if Ellipsis in index:
        place = index.index(Ellipsis)
        missing = args[0].ndim - (len(index) - 1)
        index = (*index[:place], *[slice(None)] * missing, *index[place + 1 :])
    axes = []
    for axis in geometry.axes:
        taken = index[axis.dimension] if axis.dimension < len(index) else slice(None)
        first, _, step = taken.indices(args[0].shape[axis.dimension])
        axes.append(Axis(axis.start + axis.step * first, axis.step * step, axis.dimension))
    return Geometry(axes[0], axes[1])


def _permuted(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = following.known(args[0]) if isinstance(args[0], Tensor) else None
    order = _argument(args, options, 1, "dims", None)
    if len(args) > 2:
        order = args[1:]
    if geometry is None or order is None:
        return None
    order = [each % result.ndim for each in order]
    axes = [Axis(a.start, a.step, order.index(a.dimension)) for a in geometry.axes]
    return Geometry(axes[0], axes[1])


def _transposed(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    if len(args) < 3:
        return None
    order = list(range(result.ndim))
    one, other = args[1] % result.ndim, args[2] % result.ndim
    order[one], order[other] = order[other], order[one]
    return _permuted(following, result, (args[0], order), {})


def _reshaped(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Keep the cells where only what comes before rows and columns is divided otherwise."""
    geometry = _of_image(following, args)
    if geometry is None or result.shape[-2:] != args[0].shape[-2:]:
        return None
    rows, columns = geometry.axes
    last = result.ndim - 1
    return Geometry(Axis(rows.start, rows.step, last - 1), Axis(columns.start, columns.step, last))


def _multiplied(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Keep the cells of a linear layer, unless the dimension that it mixes is theirs."""
    found = _pixelwise(following, result, args, options)
    mixed = found is not None and result.ndim - 1 in (a.dimension for a in found.axes)
    return None if mixed else found


def _unshuffled(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    geometry = _of_image(following, args)
    factor = _argument(args, options, 1, "downscale_factor", 1)
    return None if geometry is None else _windows(geometry, factor, factor, 0, 1)


def _unknown(
    following: Following, result: Tensor, args: tuple[Any, ...], options: dict[str, Any]
) -> Geometry | None:
    """Give up: cells move in ways that are not followed."""
    return None


_STEPS: dict[str, _Step] = {
    "conv2d": _convolved,
    "conv_transpose2d": _convolved_back,
    "max_pool2d": _max_pooled,
    "max_pool2d_with_indices": _max_pooled,
    "avg_pool2d": _pooled,
    "adaptive_avg_pool2d": _divided,
    "adaptive_max_pool2d": _divided,
    "interpolate": _resized,
    "upsample": _resized,
    "pad": _padded,
    "__getitem__": _sliced,
    "permute": _permuted,
    "transpose": _transposed,
    "cat": _joined,
    "concat": _joined,
    "pixel_unshuffle": _unshuffled,
    "linear": _multiplied,
    **dict.fromkeys(("reshape", "view", "flatten", "unflatten"), _reshaped),
    **dict.fromkeys(
        (
            *("pixel_shuffle", "roll", "flip", "rot90", "scatter", "take_along_dim", "softmin"),
            *("unfold", "fold", "matmul", "bmm", "__matmul__", "einsum", "grid_sample", "gather"),
            *("scaled_dot_product_attention", "multi_head_attention_forward", "index_select"),
            *("repeat_interleave", "repeat", "sort", "cumsum", "squeeze", "unsqueeze", "expand"),
            *("swapaxes", "movedim", "lp_pool2d", "fractional_max_pool2d", "conv3d", "fft"),
        ),
        _unknown,
    ),
}
