"""Weights in files: written as safetensors, read without ever running what is in them.

A network's own opinion of its weights (names, shapes, finite numbers) is
checked here, too.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError
from saliency_audit.models.checkpoint import read_checkpoint
from saliency_audit.models.renaming import COUNTER


def save_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write weights as safetensors; the same weights give the same bytes.

    No metadata goes in: several keys would be written in random order.
    """
    from safetensors.torch import save

    # Written by Python, so that a full disk is an OSError that names the file.
    path.write_bytes(save({name: _plain(tensor) for name, tensor in state.items()}))


def _plain(tensor: Tensor) -> Tensor:
    """Give a copy in row-major order on the CPU that shares no memory with another tensor."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def load_weights(path: Path, entry: str | None = None) -> dict[str, Tensor]:
    """Read weights from ``.safetensors``, or ``.pt``/``.pth`` without running code in them.

    A ``.pt`` may hold the state dictionary, or one among its entries (``checkpoint``), where
    ``entry`` says which. Raises ModelError for a file that is missing, damaged, holds code or holds
    no weights, and for NaN or infinite numbers.
    """
    if not path.is_file():
        raise ModelError(f"the weights {path} are missing: put the file there")
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
    else:
        state = read_checkpoint(path, entry)
    check_finite(state, path.name)
    return state


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is no readable safetensors file ({error}): get it anew") from None
    return state


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Raise ModelError naming the first tensor of ``source`` that holds NaN or infinity."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite()).sum())
            raise ModelError(
                f"{source}: {name} holds {bad} values that are NaN or infinite: "
                "such a model says nothing; get or train other weights"
            )


def load_into(network: nn.Module, state: Mapping[str, Tensor], architecture: str) -> None:
    """Load weights into a network; every name and shape must fit.

    Raises ModelError naming some of the names that are missing, not known or of another shape.
    The counters of batch norms may be missing.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state and not name.endswith(COUNTER)]
    unknown = [name for name in state if name not in own]
    shapes = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in state.items()
        if name in own and own[name].shape != tensor.shape
    ]
    if missing or unknown or shapes:
        raise ModelError(
            f"the weights are not of architecture {architecture}: "
            + "; ".join(
                f"{what} {_some(names)}"
                for what, names in (
                    ("missing", missing),
                    ("not known", unknown),
                    ("of another shape", shapes),
                )
                if names
            )
            + "; check architecture, labels and input_size in model.yaml"
        )
    put_weights(network, state)


def put_weights(network: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False) -> None:
    """Put weights into a network by name, as of its own version; ``strict``: all of them.

    A state dict tells the version of each module beside the names, and some modules (MNASNet)
    refuse one that does not.
    """
    versions = getattr(network.state_dict(), "_metadata", None)
    whole = OrderedDict(state)
    if versions is not None:
        whole._metadata = versions  # type: ignore[attr-defined]
    network.load_state_dict(whole, strict=strict)


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def model_digest(state: Mapping[str, Tensor], extra: str) -> str:
    """SHA-256 of names, types, shapes and values of weights and of the text ``extra``.

    The same for the same weights, whatever file they came from and in what order.

    >>> one = {"a": torch.zeros(2), "b": torch.ones(1)}
    >>> two = {"b": torch.ones(1), "a": torch.zeros(2)}
    >>> model_digest(one, "cnn") == model_digest(two, "cnn")
    True
    """
    digest = hashlib.sha256(extra.encode())
    for name in sorted(state):
        tensor = _plain(state[name])
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
