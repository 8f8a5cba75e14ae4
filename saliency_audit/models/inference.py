"""A classifier made ready for many passes: batch norms folded, precision lowered, outputs checked.

For methods that ask for the outputs, or for the gradient at the pixels. Whatever looks into the
network, as Grad-CAM does, needs the network as it was given.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError

if TYPE_CHECKING:
    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: How far folding may move an output, as a share of the largest: rounding, and no more.
FOLDED_CHANGE = 1e-4
#: How far a lower precision may: more, and maps are of another model.
LOWERED_CHANGE = 0.05
#: Side of the largest output, in pixels, that a convolution makes faster with channels first.
FEW_PIXELS = 6


def for_inference(classifier: Classifier, compute: Compute, size: tuple[int, int]) -> Classifier:
    """Give a copy of a classifier that makes the same passes with less work, in evaluation mode.

    Batch norms are folded into the convolutions before them, if that moves no output for noise
    images of ``size`` (H, W) by more than ``FOLDED_CHANGE``; else the network stays as it is, as
    it does where torch.fx cannot follow it. Then ``compute.precision`` applies. Raises ModelError
    where that moves an output by more than ``LOWERED_CHANGE``. On a CPU, in float32, convolutions
    whose output for images of ``size`` has few pixels take channels first whatever the rest takes.
    """
    with evaluating(classifier):
        ready = copy.deepcopy(classifier)
    probe = classifier.preprocess(_noise(size, compute))
    given = _outputs(ready.network, probe)
    folded = _folded(ready.network)
    if folded is not None and _change(given, _outputs(folded, probe)) <= FOLDED_CHANGE:
        ready.network = folded
    if compute.precision == "bfloat16":
        ready.network = _Autocast(ready.network)
    compute.prepare(ready)
    if compute.precision == "float32" and compute.device == "cpu" and compute.channels_last:
        _few_pixels_with_channels_first(ready.network, probe)
    if compute.precision != "float32":
        change = _change(given, _outputs(ready.network, probe))
        if change > LOWERED_CHANGE:
            raise ModelError(
                f"compute.precision {compute.precision} moves this model's outputs by "
                f"{change:.0%} of the largest: set compute.precision: float32"
            )
    return ready


class _Autocast(nn.Module):
    """A network whose convolutions and products run in bfloat16; takes and gives float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for module in network.modules():
            if type(module) in (nn.Conv2d, nn.Linear):  # autocast would, at each pass
                module.to(torch.bfloat16)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            outputs: Tensor = self.network(images)
        return outputs.float()


def _few_pixels_with_channels_first(network: nn.Module, images: Tensor) -> None:
    """Give the convolutions that have few pixels for ``images`` channels first, in place.

    With channels last, oneDNN brings the weights into its own order at every call in a way that
    takes longer than so small a convolution itself. They stay the modules that they are: a network
    may ask one for its kernel.
    """
    found: set[nn.Module] = set()

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        if max(output.shape[2:]) <= FEW_PIXELS and isinstance(module, nn.Conv2d):
            found.add(module)

    larger = [
        (name, module)
        for name, module in network.named_modules()
        if type(module) is nn.Conv2d and max(module.kernel_size) > 1
    ]
    hooks = [module.register_forward_hook(look) for _, module in larger]
    _outputs(network, images)
    for hook in hooks:
        hook.remove()
    for _, module in larger:
        if module in found:
            module.to(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(_first)
            module.register_forward_hook(_last)


def _first(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].contiguous(), *inputs[1:])


def _last(_: nn.Module, __: object, output: Tensor) -> Tensor:
    return output.contiguous(memory_format=torch.channels_last)


def _folded(network: nn.Module) -> nn.Module | None:
    """Give a copy with batch norms folded into convolutions, None where there is none to fold."""
    from torch.fx.experimental.optimization import fuse

    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return None
    try:
        return fuse(network)
    except Exception:
        # Tracing runs the network's own code on stand-ins for tensors; it may fail in any way.
        return None


def _noise(size: tuple[int, int], compute: Compute) -> Tensor:
    """Give pixels (n, 3, H, W) in [0, 1] that no model was trained on."""
    generator = torch.Generator().manual_seed(0)
    few = min(compute.batch, 4)
    return compute.place(torch.rand((few, 3, *size), generator=generator))


def _outputs(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images).double()  # type: ignore[no-any-return]


def _change(before: Tensor, after: Tensor) -> float:
    """Largest change of an output, as a share of the largest output; NaN that stays is none."""
    same = (before == after) | (before.isnan() & after.isnan())
    if bool(same.all()):
        return 0.0
    moved = ((after - before).abs() / before.abs().max()).where(~same, 0.0)
    return float(moved.nan_to_num(nan=torch.inf).max())
