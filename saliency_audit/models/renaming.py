"""From the names that weights have in a checkpoint to those of the network that they are for.

Training scripts put a prefix before every name, keep losses and counters
beside, exchange the head; former versions of a library had other names. What
can be told for certain is done; else the message says the lines to write in
model.yaml, tensor by tensor where need be.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from saliency_audit.errors import ModelError
from saliency_audit.models.head import first_convolution, head_of, said_head
from saliency_audit.models.hugging_face import of_hugging_face, timm_names

#: The counter of a batch norm; it has no part in any output.
COUNTER = "num_batches_tracked"
#: Names beside a network's own that have no part in its outputs: counters, losses, second heads
#: for training, what a network computes anew.
BESIDE = re.compile(
    r"(^|\.)(n_averaged|total_ops|total_params|num_batches_tracked|pos_weight|class_weights?)$"
    r"|(^|\.)(criterion|criteria|crit|loss|losses|loss_\w+|\w+_loss|metrics?)\."
    r"|^(train|val|valid|test)_\w+\."
    r"|^(aux1|aux2|AuxLogits)\."
    r"|(^|\.)(relative_position_index|attn_mask|relative_coords_table)$"
)
#: torchvision's DenseNets before 0.4 had `norm.1`, where there is `norm1`.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
#: How many lines a message proposes.
LINES = 12


@dataclass(frozen=True)
class Renaming:
    """What a person says of the names: keys of ``adopt``, as ``AdoptSpecification`` has them."""

    prefix: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def __call__(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights by the names that they have then.

        >>> import torch
        >>> list(Renaming("net.", {"a": "b"})({"net.a.bias": torch.ones(1)}))
        ['b.bias']
        """
        found = dict(state)
        if self.prefix is not None:
            found = {n.removeprefix(self.prefix): t for n, t in found.items() if self._under(n)}
        kept = {n: t for n, t in found.items() if not any(_begins(n, key) for key in self.ignore)}
        renamed = {self._renamed(name): tensor for name, tensor in kept.items()}
        unused = [
            key for key in (*self.ignore, *self.rename) if not any(_begins(n, key) for n in found)
        ]
        if unused:
            raise ModelError(
                f"no weights have the name {unused[0]!r}, nor begin with it: mend ignore or rename "
                f"in model.yaml; there are {_some(list(found))}"
            )
        return renamed

    def _under(self, name: str) -> bool:
        return self.prefix is not None and name.startswith(self.prefix)

    def _renamed(self, name: str) -> str:
        for key in sorted(self.rename, key=len, reverse=True):
            if _begins(name, key):
                return self.rename[key] + name.removeprefix(key)
        return name


def _begins(name: str, key: str) -> bool:
    return name == key or name.startswith(key if key.endswith(".") else f"{key}.")


def names_of_network(
    network: nn.Module, state: Mapping[str, Tensor], architecture: str, said: Renaming
) -> dict[str, Tensor]:
    """Give weights by the names of the network that they are for; shapes may still differ.

    ``said``: what the person says of the names. Raises ModelError with the lines to write where the
    names are of another network, of two, or hold what the network has not.
    """
    own = [name for name in network.state_dict() if not name.endswith(COUNTER)]
    head = head_of(network)
    body = [name for name in own if not _begins(name, head)]
    given = said(state)
    found = next((s for s in _readings(network, given, body) if _has(s, body)), None)
    if found is None:
        raise ModelError(_of_another(network, given, own, architecture))
    found = _with_head(network, found, head, architecture)
    beside = [name for name in found if name not in own and not BESIDE.search(name)]
    if beside:
        raise ModelError(
            f"the weights hold what architecture {architecture} has not ({_some(beside)}): if it "
            "has no part in the outputs, write under adopt in model.yaml\n"
            f"  ignore: [{', '.join(_tops(beside))}]"
        )
    counters = {name for name in network.state_dict() if name.endswith(COUNTER)}
    return {name: tensor for name, tensor in found.items() if name in own or name in counters}


def _has(state: Mapping[str, Tensor], names: Sequence[str]) -> bool:
    return all(name in state for name in names)


def _readings(
    network: nn.Module, state: Mapping[str, Tensor], body: Sequence[str]
) -> Iterator[dict[str, Tensor]]:
    """Give weights by the names that they may have: as they are, then by what others are known."""
    known: tuple[Callable[[nn.Module, Mapping[str, Tensor]], Mapping[str, Tensor]], ...] = (
        lambda _, names: names,
        _old_densenet,
        _hugging_face,
        _old_timm,
    )
    for convert in known:
        for plain in (state, _without_shared(state)):
            yield _without_prefix(convert(network, plain), body)


def _without_shared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take away the modules that nine of ten names lie in: what was put around the network."""
    found = dict(state)
    while found:
        first, _ = Counter(name.partition(".")[0] for name in found).most_common(1)[0]
        inner = [name for name in found if name.startswith(f"{first}.")]
        if len(inner) < 0.9 * len(found) or first in ("features", "layers", "blocks", "encoder"):
            break
        if re.match(r"(vit|deit|swin)$", first):
            break
        found = {name.removeprefix(f"{first}."): tensor for name, tensor in found.items()}
    return found


def _without_prefix(state: Mapping[str, Tensor], body: Sequence[str]) -> dict[str, Tensor]:
    """Take away what the names of a whole network begin with; raises ModelError where of two."""
    if not body or _has(state, body):
        return dict(state)
    last = body[0]
    prefixes = [name.removesuffix(last) for name in state if name.endswith(f".{last}")]
    whole = [p for p in prefixes if all(f"{p}{name}" in state for name in body)]
    if len(whole) > 1:
        raise ModelError(
            f"the weights are of {len(whole)} networks ({', '.join(whole)}): say which is the "
            f"classifier under adopt in model.yaml, as\n  prefix: {whole[0]}"
        )
    if not whole:
        return dict(state)
    return {name.removeprefix(whole[0]): tensor for name, tensor in state.items()}


def _old_densenet(_: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {OLD_DENSENET.sub(r"\1\2.", name): tensor for name, tensor in state.items()}


def _hugging_face(_: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return timm_names(state) if of_hugging_face(state) else state


def _old_timm(network: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Have timm give its own former names those of today; what it would resample stays as it is."""
    module = sys.modules[type(network).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    if convert is None or not module.__name__.startswith("timm."):
        return state
    try:
        found = convert(dict(state), network)
    except Exception:  # written for the names that it knows
        return state
    given = {id(tensor) for tensor in state.values()}
    return found if all(id(tensor) in given for tensor in found.values()) else state


def _with_head(
    network: nn.Module, state: dict[str, Tensor], head: str, architecture: str
) -> dict[str, Tensor]:
    """Give the head's weights its own name, where one layer alone can be them."""
    own = network.state_dict()
    if f"{head}.weight" in state:
        return state
    rest = {n: t for n, t in state.items() if n not in own and not BESIDE.search(n)}
    wanted = own[f"{head}.weight"]
    layers = [n for n, t in rest.items() if n.endswith("weight") and t.ndim == wanted.ndim]
    if len(layers) == 1 and rest[layers[0]].shape[1:] == wanted.shape[1:]:
        old = layers[0].removesuffix("weight")
        return {
            f"{head}.{n.removeprefix(old)}" if n.startswith(old) else n: t for n, t in state.items()
        }
    line = said_head(rest)
    if line is not None:
        raise ModelError(
            f"the head of these weights has {len(layers)} layers ({_some(list(rest))}), and "
            f"architecture {architecture} has one: write under adopt in model.yaml\n  {line}\n"
            "with the activations that it was trained with, which weights do not hold"
        )
    raise ModelError(
        f"the weights hold no head for architecture {architecture}: {head}.weight "
        f"(labels, {', '.join(map(str, wanted.shape[1:]))}) is missing; there are "
        f"{_some(_with_shapes(rest)) or 'no others'}"
        + (
            f". Write under adopt in model.yaml\n  rename: {{{layers[0]}: {head}.weight}}"
            if layers
            else ""
        )
    )


def _of_another(
    network: nn.Module, state: Mapping[str, Tensor], own: Sequence[str], architecture: str
) -> str:
    """Say what to write, where the order of the shapes tells which weights are which."""
    given = {n: t for n, t in state.items() if not BESIDE.search(n)}
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items() if name in own}
    if list(shapes.values()) == [tensor.shape for tensor in given.values()]:
        lines = _lines(list(given), list(shapes))
        return (
            f"the weights have other names than those of architecture {architecture}, and shapes "
            "as if they were its own, one after the other. If they are, write under adopt in "
            "model.yaml\n  rename:\n" + "\n".join(f"    {old}: {new}" for old, new in lines)
        )
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    words = f"the weights are not of architecture {architecture}: missing {_some(missing)}"
    words += f"; not known {_some(unknown)}" if unknown else ""
    if of_hugging_face(given):
        return (
            f"{words}; they are of Hugging Face: take the architecture of the same size from timm"
        )
    return (
        f"{words}; check architecture in model.yaml. If they are the same weights by other names, "
        "write each under adopt as\n  rename: {" + f"{_first(unknown)}: {_first(missing)}" + "}"
    )


def _lines(given: list[str], own: list[str]) -> list[tuple[str, str]]:
    """Pairs of names, short where what they lie in explains the pairs of all within it."""
    pairs: dict[str, str] = {}
    for old, new in zip(given, own, strict=True):
        before, after = old.split("."), new.split(".")
        while before and after and before[-1] == after[-1]:
            before, after = before[:-1], after[:-1]
        if before and after:
            pairs.setdefault(".".join(before), ".".join(after))
    said = Renaming(rename=pairs)
    if [said._renamed(name) for name in given] != own:
        pairs = {old: new for old, new in zip(given, own, strict=True) if old != new}
    return list(pairs.items())


def check_shapes(network: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Raise ModelError with the line to write where right names have other shapes."""
    own = network.state_dict()
    wrong = [n for n, t in state.items() if n in own and own[n].shape != t.shape]
    if not wrong:
        return
    first = first_convolution(network)
    for name in wrong:
        if line := _line_for(name, own[name], state[name], first):
            raise ModelError(
                f"{name} has shape {tuple(state[name].shape)} instead of {tuple(own[name].shape)}: "
                f"write in model.yaml\n  {line}"
            )
    raise ModelError(
        f"the weights are not of architecture {architecture}: of another shape "
        + _some([f"{n} {tuple(state[n].shape)} instead of {tuple(own[n].shape)}" for n in wrong])
        + "; check architecture, labels and input_size in model.yaml"
    )


def _line_for(name: str, own: Tensor, given: Tensor, first: str | None) -> str | None:
    if first is not None and name == f"{first}.weight" and own.shape[2:] == given.shape[2:]:
        kinds = {1: "channels: L", 3: "channels: RGB", 4: "channels: RGBA"}
        return kinds.get(given.shape[1])
    if re.search(r"pos_embed(ding)?$", name) and given.ndim == 3:
        return "input_size: [height, width]   # of the images that it was trained on"
    return None


def _with_shapes(state: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {tuple(tensor.shape)}" for name, tensor in state.items()]


def _tops(names: Sequence[str]) -> list[str]:
    """Names, or the modules that they lie in, each once."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))[:LINES]


def _first(names: Sequence[str]) -> str:
    return names[0] if names else "..."


def _some(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
