"""Networks of TorchXRayVision and MONAI by name; the packages are extras, imported when asked for.

``xrv:densenet121`` is the network that TorchXRayVision has weights for (Cohen et al. 2022; its
ResNet is built with a download alone); ``monai:<class or function>`` is one of
``monai.networks.nets`` in two dimensions, ``monai:efficientnet-b0`` and its kin
those of ``EfficientNetBN``.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

from torch import nn

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.naming import hint

XRV, MONAI = "xrv:", "monai:"
FAMILIES = (XRV, MONAI)
#: What networks of MONAI call their numbers of inputs and outputs.
INPUTS = ("in_channels", "n_input_channels")
OUTPUTS = ("num_classes", "out_channels", "n_classes")


def medical_network(architecture: str, outputs: int, in_channels: int) -> nn.Module:
    """Build a network (B, in_channels, h, w) → (B, outputs), before softmax or sigmoid.

    Raises ModelError where its package is not installed, ParameterError for an unknown name and for
    a network that wants what only its maker knows.
    """
    if architecture.startswith(XRV):
        return _xrv(architecture.removeprefix(XRV), outputs, in_channels)
    return _monai(architecture.removeprefix(MONAI), outputs, in_channels)


def _package(name: str, module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name:
            raise
        raise ModelError(
            f"{name} is not installed: run pip install {name}, which is the extra [{extra}] of "
            "saliency-audit"
        ) from None


def _xrv(name: str, outputs: int, in_channels: int) -> nn.Module:
    known = ("densenet121",)
    if name not in known:
        raise ParameterError(f"unknown architecture {XRV + name!r}: {hint(name, known)}")
    models = _package("torchxrayvision", "torchxrayvision", "xray").models
    network: nn.Module = models.DenseNet(num_classes=outputs, in_channels=in_channels)
    return network


def _monai(name: str, outputs: int, in_channels: int) -> nn.Module:
    nets = _package("monai", "monai.networks.nets", "monai")
    options: dict[str, Any] = {"spatial_dims": 2}
    make: Any = getattr(nets, name, None)
    if name.startswith("efficientnet-"):
        make, options["model_name"] = nets.EfficientNetBN, name
    if not callable(make):
        known = [n for n in dir(nets) if callable(getattr(nets, n)) and n[0] != "_"]
        raise ParameterError(f"unknown architecture {MONAI + name!r}: {hint(name, known)}")
    taken = _parameters(make)
    options |= {key: in_channels for key in INPUTS if key in taken}
    options |= {key: outputs for key in OUTPUTS if key in taken}
    options |= {"pretrained": False} if "pretrained" in taken else {}
    try:
        network: nn.Module = make(**options)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"{MONAI}{name} is not built from a name alone ({error}): give an architecture.py that "
            "builds it, as trusted_architecture"
        ) from None
    return network


def _parameters(make: Any) -> set[str]:
    """Names that a class or function takes; of one that passes the rest on, those of its class."""
    taken = set(inspect.signature(make).parameters)
    kinds = inspect.signature(make).parameters.values()
    if any(kind.kind is inspect.Parameter.VAR_KEYWORD for kind in kinds):
        base = make.__mro__[1] if inspect.isclass(make) else make
        taken |= set(inspect.signature(base).parameters) if inspect.isclass(base) else set()
        taken |= {"n_input_channels", "num_classes"} if not inspect.isclass(make) else set()
    return taken
