"""The two ends of a network that fine-tuning replaces: its last layer, and what its first reads.

A checkpoint says their shapes: how many outputs the head has, how many
channels the first convolution reads. Its activations it does not hold; these
the person says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from saliency_audit.errors import ModelError

#: Layers of a head that hold no weights, by their name in model.yaml.
PLAIN: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "dropout": nn.Dropout,
    "flatten": nn.Flatten,
    "identity": nn.Identity,
}
LAYER = re.compile(r"(.*?)(\d+)\.weight$")


def head_of(network: nn.Module) -> str:
    """Give the path of a network's last layer: its last linear one, or convolution.

    >>> head_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    '2'
    """
    layers = (nn.Linear, nn.Conv2d)
    found: list[str] = [n for n, m in network.named_modules() if isinstance(m, layers) and n]
    if not found:
        raise ModelError("the network has neither linear layers nor convolutions: give another")
    return found[-1]


def first_convolution(network: nn.Module) -> str | None:
    """Give the path of the convolution that reads the images, None where there is none."""
    found = (name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))
    return next(found, None)


def read_channels(network: nn.Module, channels: int) -> None:
    """Have a network read images of as many channels, in place: another first convolution.

    Its weights are random. Raises ModelError where there is none that can be exchanged.
    """
    path = first_convolution(network)
    if path is None:
        raise ModelError("the network has no convolution that reads images: it reads 3 channels")
    old = network.get_submodule(path)
    assert isinstance(old, nn.Conv2d)
    if old.groups != 1:
        raise ModelError(f"the first convolution {path} is in groups: the network reads 3 channels")
    new = nn.Conv2d(
        channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    put(network, path, new)


def put(network: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a path of a network, in place of what is there."""
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)


def replace_head(network: nn.Module, layers: Sequence[str], state: Mapping[str, Tensor]) -> None:
    """Put a head of several layers where a network has its last, in place.

    ``layers``: as ``adopt.head`` names them; their widths are those of the weights in ``state``.
    Raises ModelError where ``state`` holds no weights for them.
    """
    head = head_of(network)
    places = [place for place in (head, head.rpartition(".")[0]) if place]
    for place in places:
        if all(f"{place}.{i}.weight" in state for i, name in enumerate(layers) if _held(name)):
            made = [_layer(name, state, f"{place}.{i}") for i, name in enumerate(layers)]
            put(network, place, nn.Sequential(*made))
            return
    raise ModelError(
        f"head is [{', '.join(layers)}], and the weights hold no such layers under "
        f"{' or '.join(places)}: see the names of the weights"
    )


def _held(layer: str) -> bool:
    return layer not in PLAIN


def _layer(name: str, state: Mapping[str, Tensor], path: str) -> nn.Module:
    if name in PLAIN:
        return PLAIN[name]()
    weight = state[f"{path}.weight"]
    if name == "linear":
        if weight.ndim != 2:
            raise ModelError(f"{path}.weight has shape {tuple(weight.shape)}: it is not linear")
        return nn.Linear(weight.shape[1], weight.shape[0], bias=f"{path}.bias" in state)
    return nn.BatchNorm1d(len(weight))


def said_head(names: Mapping[str, Tensor]) -> str | None:
    """Say which ``head`` weights by name would be of, activations as they mostly are; or None.

    >>> import torch
    >>> said_head({"fc.0.weight": torch.zeros(8, 4), "fc.3.weight": torch.zeros(2, 8)})
    'head: [linear, relu, dropout, linear]'
    """
    found = [(LAYER.match(name), tensor) for name, tensor in names.items()]
    layers = {int(of[2]): tensor.ndim for of, tensor in found if of is not None}
    if len(layers) < 2 or len({of[1] for of, _ in found if of is not None}) != 1:
        return None
    last = max(layers)
    said: list[str] = []
    for place in range(last + 1):
        if place in layers:
            said.append("linear" if layers[place] == 2 else "batch_norm")
        else:
            said.append("relu" if said and said[-1] in ("linear", "batch_norm") else "dropout")
    return f"head: [{', '.join(said)}]"
