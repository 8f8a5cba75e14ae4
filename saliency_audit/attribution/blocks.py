"""The convolutional block whose activations a class activation map is made of.

The default is found by running the network once and looking at what comes
out of each module, because the order in which modules are declared says
little: timm's MobileNetV3 has its last convolution after the pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.passage import check_passage
from saliency_audit.errors import AuditError, ModelError, NotApplicable
from saliency_audit.naming import hint

if TYPE_CHECKING:
    import torch
    from torch import nn

    from saliency_audit.models.classifier import Classifier

#: The name that asks for the last convolution itself, as the SegX authors do.
LAST_CONV2D = "last_conv2d"
#: The name that asks for the last convolutional block, however few cells it has.
LAST_BLOCK = "last_block"
#: What asks for a block that is chosen here, and not named.
CHOSEN = (None, LAST_BLOCK, LAST_CONV2D)
#: Cells each way that the default block has: with fewer, its cells are larger than most lesions.
CELLS = 7
#: What a block's name ends with where its input is explained instead of its output.
INPUT = ":input"
#: Large enough that no usual network shrinks it to one pixel, and not square, so that channels
#: that come last are not taken for columns.
TRACED_SIZE = (128, 160)


@dataclass(frozen=True)
class _Tensor:
    """A tensor as it was when a module read or gave it: in-place changes raise its version."""

    values: torch.Tensor
    version: int
    rectified: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    def is_still(self, earlier: _Tensor) -> bool:
        """Whether nothing was computed between the two."""
        return self.values is earlier.values and self.version == earlier.version


@dataclass(frozen=True)
class _Call:
    """One call of a module: what it read and gave (None where that is not one tensor)."""

    name: str
    module: nn.Module
    given: _Tensor | None
    result: _Tensor | None


def explained_block(
    classifier: Classifier, name: str | None = None, *, image_size: tuple[int, int] = TRACED_SIZE
) -> tuple[str, nn.Module]:
    """Give the dotted name and the module whose activations are explained.

    The activations are the module's output, or its input where the name ends with ``:input``.

    ``name``: None for the deepest convolutional *block* that has at least ``CELLS`` cells each way
    for images of ``image_size``, or the one with the most where none has. A block is the outermost
    module around a convolution whose output still has the layout of the image, or what follows it
    at once in the same shape, if that is the last that is rectified. So, at 224 pixels: ResNet
    ``layer4``, DenseNet and VGG ``features``; of XAIMed's CNN, which calls a ReLU between
    ``conv2`` and ``bn2``, the input ``bn2:input`` (the output of ``bn2`` has negative sums, of
    which Grad-CAM++ makes nothing). ``last_block`` for the last of the blocks, whatever its cells,
    ``last_conv2d`` for the last convolution itself; any other name is a module of
    ``classifier.network``. ``image_size``: (H, W) in pixels of the images. Raises ModelError where
    there is no such module, NotApplicable where there is no such block (a transformer) or none that
    speaks for the network (an ensemble).

    >>> from torch import nn
    >>> from saliency_audit.labelling import Labelling
    >>> from saliency_audit.models.classifier import Classifier
    >>> layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    >>> network = nn.Sequential(*layers, nn.Linear(4, 2))
    >>> explained_block(Classifier(network, ("a", "b"), Labelling.MULTICLASS))
    ('1', ReLU())
    """
    if name is not None and name not in (LAST_CONV2D, LAST_BLOCK):
        return name, _named(classifier.network, name.removesuffix(INPUT))
    calls, size = _trace(classifier, image_size)
    layout = [_keeps_layout(call.result, size) for call in calls]
    last = _last_convolution(calls, layout)
    if last is None:
        raise _no_block()
    if name == LAST_CONV2D:
        return calls[last].name, calls[last].module
    block = _outermost(calls, last, layout)
    if _reads_tokens(calls[block + 1 :]):
        raise _no_block()
    found, module = _last_rectified(calls, block)
    check_passage(classifier, found, module, size, of_input=found.endswith(INPUT))
    if name == LAST_BLOCK:
        return found, module
    finer = _deepest(calls, layout, _calls_at(classifier, image_size), block)
    if finer == block:
        return found, module
    found, module = _last_rectified(calls, finer)
    check_passage(classifier, found, module, size, of_input=found.endswith(INPUT))
    return found, module


def _named(network: nn.Module, name: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(network.named_modules(remove_duplicate=False))
    if not name or name not in modules:
        known = [LAST_BLOCK, LAST_CONV2D, *(key for key in modules if key)]
        raise ModelError(f"block {name!r} is no module of the network: {hint(name, known)}")
    return modules[name]


def _no_block() -> NotApplicable:
    return NotApplicable(
        "the network has no convolutional block whose output keeps the image's layout, so Grad-CAM "
        "and its kin cannot explain it: name a module with `block`, or use shap, lime or rise"
    )


def _trace(
    classifier: Classifier, image_size: tuple[int, int]
) -> tuple[list[_Call], tuple[int, int]]:
    """Run the network on a blank image; give its modules' calls in order, and the size used."""
    size = classifier.input_size or image_size
    larger = (max(size[0], TRACED_SIZE[0]), max(size[1], TRACED_SIZE[1]))
    try:
        return _calls(classifier, larger), larger
    except (RuntimeError, ValueError, AssertionError, TypeError, AuditError):
        pass  # a network of one size only
    try:
        return _calls(classifier, size), size
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise _unreadable(size, error) from None


def _unreadable(size: tuple[int, int], error: Exception) -> ModelError:
    return ModelError(f"the network cannot read images of {size[0]}x{size[1]}: {error}")


def _calls(classifier: Classifier, size: tuple[int, int]) -> list[_Call]:
    import torch

    from saliency_audit.compute import evaluating

    network = classifier.network
    calls: list[_Call] = []

    def record(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def hook(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            given = inputs[0] if inputs else None
            calls.append(_Call(name, module, _tensor(given), _tensor(output, module)))

        return module.register_forward_hook(hook)

    handles = [record(name, module) for name, module in network.named_modules() if name]
    mean = classifier.get_buffer("mean")
    shape = (1, mean.shape[1], *size)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
    try:
        with evaluating(network), torch.no_grad():
            network(noise.to(mean))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _tensor(value: object, giver: nn.Module | None = None) -> _Tensor | None:
    """Describe what a module read, or what ``giver`` gave, if it is a tensor.

    What a convolution or a normalisation gives is never called rectified: whether it has negative
    values is up to its weights, and the block is not to be.
    """
    import torch

    if not isinstance(value, torch.Tensor):
        return None
    rectified = not _is_affine(giver) and bool((value >= 0).all())
    return _Tensor(value, value._version, rectified)


def _is_affine(module: nn.Module | None) -> bool:
    from torch import nn

    affine = (nn.Conv2d, nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
    return isinstance(module, affine) and not list(module.children())


def _keeps_layout(tensor: _Tensor | None, size: tuple[int, int]) -> bool:
    """Whether a tensor is (B, C, h, w) with more than one pixel each way, scaled alike."""
    if tensor is None or len(tensor.shape) != 4 or min(tensor.shape[2:]) < 2:
        return False
    strides = size[0] / tensor.shape[2], size[1] / tensor.shape[3]
    return max(strides) < 1.5 * min(strides)


def _calls_at(classifier: Classifier, image_size: tuple[int, int]) -> list[_Call]:
    size = classifier.input_size or image_size
    try:
        return _calls(classifier, size)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise _unreadable(size, error) from None


def _deepest(calls: list[_Call], layout: list[bool], seen: list[_Call], last: int) -> int:
    """Find the deepest block with enough cells in ``seen``, the calls at the explained size.

    The ``last`` block where other modules are called for images of another size.
    """
    if len(seen) != len(calls):
        return last
    fine = _fine(seen, layout)
    inner = _last_convolution(calls, fine)
    return last if inner is None else _outermost(calls, inner, fine)


def _fine(calls: list[_Call], layout: list[bool]) -> list[bool]:
    """Leave of the calls with the image's layout those with enough cells, or with the most.

    Left out, too, is what lies within a block that reads as many cells and gives fewer: its first
    half. ``calls``: of an image of the size that is explained.
    """
    from torch import nn

    cells = [_cells(call.result) for call in calls]
    shrinking = [
        (call.name + ".", _cells(call.given))
        for call in calls
        if _cells(call.given) > _cells(call.result)
    ]
    whole = [
        keeps and not any(c.name.startswith(name) and many == given for name, given in shrinking)
        for keeps, c, many in zip(layout, calls, cells, strict=True)
    ]
    most = max(
        (cells[n] for n, c in enumerate(calls) if whole[n] and isinstance(c.module, nn.Conv2d)),
        default=0,
    )
    return [keeps and many >= min(CELLS, most) for keeps, many in zip(whole, cells, strict=True)]


def _cells(tensor: _Tensor | None) -> int:
    """Count cells, the fewer of the two ways; 0 for what has no rows and columns."""
    return min(tensor.shape[2:]) if tensor is not None and len(tensor.shape) == 4 else 0


def _last_convolution(calls: list[_Call], layout: list[bool]) -> int | None:
    from torch import nn

    for index in reversed(range(len(calls))):
        if isinstance(calls[index].module, nn.Conv2d) and layout[index]:
            return index
    return None


def _outermost(calls: list[_Call], inner: int, layout: list[bool]) -> int:
    """Find the last-ending call around ``inner`` whose output keeps the layout, or itself."""
    name = calls[inner].name
    around = [
        index
        for index in range(inner + 1, len(calls))
        if name.startswith(calls[index].name + ".") and layout[index]
    ]
    return around[-1] if around else inner


def _last_rectified(calls: list[_Call], block: int) -> tuple[str, nn.Module]:
    """Find the last rectified activations from a block's output on, in one shape.

    Followed are the normalisations and activations called right after the block, and the input of
    the first module that is none of them, such as the pooling: between modules, a network may
    have called functions. Where nothing is rectified it is the last output.
    """
    previous = calls[block].result
    last = calls[block].name, calls[block].module
    if previous is None:
        return last
    shape, found = previous.shape, previous.rectified
    for call in calls[block + 1 :]:
        if call.given is None or call.given.shape != shape:
            break
        if call.given.rectified and not previous.rectified and not call.given.is_still(previous):
            last, found = (call.name + INPUT, call.module), True
        if call.result is None or call.result.shape != shape or _mixes(call.module):
            break
        if call.result.rectified or not found:
            last = call.name, call.module
        previous = call.result
        found = found or previous.rectified
    return last


def _mixes(module: nn.Module) -> bool:
    """Whether a module has weights that mix channels or pixels."""
    from torch import nn

    mixing = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
    return any(isinstance(part, mixing) for part in module.modules())


def _reads_tokens(calls: list[_Call]) -> bool:
    """Whether some of the calls attend to, or multiply, a sequence of tokens."""
    from torch import nn

    return any(
        isinstance(call.module, nn.MultiheadAttention)
        or (
            isinstance(call.module, nn.Linear)
            and call.given is not None
            and len(call.given.shape) > 2
        )
        for call in calls
    )
