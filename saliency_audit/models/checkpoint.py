"""The files in which training scripts leave weights, read without running code in them.

What a file holds beside the weights (optimisers, counters, arguments) is left
out; where it holds weights more than once, the person says which. Which network
the names are of is for ``renaming`` to find.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saliency_audit.errors import ModelError
from saliency_audit.naming import hint

#: Entries that hold what a network computes with, and not an optimiser's or an average's moments.
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
#: Entries that are another reading of the weights: taken where there is no other.
AVERAGES = ("ema", "model_ema", "ema_state_dict", "state_dict_ema", "swa")
#: What a global of a pickle is called that is no data.
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
SAVE = "torch.save(model.state_dict(), 'weights.pt')"


def read_checkpoint(path: Path, entry: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a ``.pt`` or ``.pth`` by name; no code in it is run.

    ``entry``: which of its entries holds them, dotted where it lies deeper, None: the only one.
    Numbers of numpy and ``argparse.Namespace`` may stand beside them. Raises ModelError for a file
    that is damaged, holds code, a whole model, a TorchScript program or no weights, and for one
    that holds several.
    """
    content = _content(path)
    found = dict(_entries(content))
    if not found:
        raise ModelError(f"{path} holds no weights by name: save model.state_dict(), {SAVE}")
    chosen = _chosen(path, found, entry)
    return {name: value for name, value in found[chosen].items() if isinstance(value, Tensor)}


def _content(path: Path) -> Any:
    _refuse_programs(path)
    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(_of_code(path, str(error))) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} is no readable weights file ({said}): get it anew") from None


def _harmless() -> list[Any]:
    """Types beside weights that hold numbers and words, and run nothing."""
    import numpy as np
    from numpy._core import multiarray

    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    scalar = multiarray.scalar
    return [
        argparse.Namespace,
        np.dtype,
        *kinds,
        (scalar, "numpy._core.multiarray.scalar"),
        (scalar, "numpy.core.multiarray.scalar"),
    ]


def _refuse_programs(path: Path) -> None:
    """Raise ModelError for TorchScript and other programs that come in a zip file."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise ModelError(
            f"{path} is a TorchScript program, which is not run here: take its weights, "
            "torch.save(torch.jit.load(file).state_dict(), 'weights.pt'), where it was made"
        )


def _of_code(path: Path, said: str) -> str:
    """Say what a pickle holds beside data, in words of its own."""
    kinds = [kind for kind in GLOBAL.findall(said) if not kind.startswith("torch._utils")]
    kind = kinds[0] if kinds else "an object"
    if kind.startswith(("torch.nn.", "torchvision.", "timm.", "monai.", "torchxrayvision.")):
        what = f"a whole model ({kind}), of which loading would run code"
    else:
        what = f"more than weights ({kind}), and loading it could run code"
    return (
        f"{path} holds {what}; it was not loaded. Where it was trained, save model.state_dict(): "
        f"{SAVE}, or save it as safetensors"
    )


def _entries(content: Any, path: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Give the mappings of names to tensors in a file, by their dotted path."""
    if not isinstance(content, Mapping) or not content:
        return
    tensors = [name for name, value in content.items() if isinstance(value, Tensor)]
    if tensors and all(isinstance(name, str) for name in tensors):
        yield path, content
        return
    for name, value in content.items():
        if depth and isinstance(name, str) and "optim" not in name and "sched" not in name:
            yield from _entries(value, f"{path}.{name}" if path else name, depth - 1)


def _chosen(path: Path, found: Mapping[str, Any], entry: str | None) -> str:
    if entry is not None:
        if entry not in found:
            said = hint(entry, list(found))
            raise ModelError(f"{path}: entry {entry!r} holds no weights: {said}")
        return entry
    if len(found) == 1:
        return next(iter(found))
    own = [name for name in found if name in WRAPPERS]
    averaged = [name for name in found if name.rpartition(".")[2] in AVERAGES]
    if len(own) == 1 and not averaged:
        return own[0]
    raise ModelError(
        f"{path} holds weights more than once ({', '.join(found)}): say which the classifier was "
        f"used with, as `entry: {(averaged or list(found))[0]}` under adopt in model.yaml"
    )
