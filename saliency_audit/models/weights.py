"""Weights in files: written as safetensors, read without ever running what is in them.

A network's own opinion of its weights (names, shapes, finite numbers) is
checked here, too.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError

#: Keys under which training scripts keep the weights in a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model")
#: What torch.nn.DataParallel and torch.compile put before every name.
PREFIXES = ("module.", "_orig_mod.")
# The counter of a batch norm; it has no part in any output.
COUNTER = "num_batches_tracked"


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


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read weights from ``.safetensors``, or ``.pt``/``.pth`` without running code in them.

    A ``.pt`` may hold the state dictionary, or one under ``state_dict``; a prefix ``module.``
    that all names share is dropped. Raises ModelError for a file that is missing, damaged, holds
    code or holds no weights, and for NaN or infinite numbers.
    """
    if not path.is_file():
        raise ModelError(f"the weights {path} are missing: put the file there")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
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


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path} holds more than weights, and loading it could run code; it was not loaded. "
            "Save model.state_dict() with torch.save, or save it as safetensors"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} is no readable weights file ({said}): get it anew") from None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds no weights by name: save model.state_dict()")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(
                f"{path}: {name!r} is no tensor: save model.state_dict(), or that under state_dict"
            )
    return dict(content)


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
    network.load_state_dict(dict(state), strict=False)


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
