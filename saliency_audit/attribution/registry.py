"""The methods by name, and the digest of one with all its parameters.

Classes are named, not imported: choosing one does not load the others, and
checking the parameters of ours loads no torch. Those of other distributions
are found by entry point, as ``saliency_audit.plugins`` says.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, cast

from saliency_audit import plugins
from saliency_audit.attribution.method import Method
from saliency_audit.attribution.parameters import described
from saliency_audit.errors import ParameterError
from saliency_audit.naming import hint
from saliency_audit.parameters import build, parameter_defaults, parameter_types

#: Name to ``module:class``; the class is the dataclass of the method's parameters.
METHODS: Mapping[str, str] = {
    "gradcam": "saliency_audit.attribution.gradcam:GradCam",
    "gradcam_plus_plus": "saliency_audit.attribution.gradcam_plus_plus:GradCamPlusPlus",
    "hirescam": "saliency_audit.attribution.hirescam:HiResCam",
    "layercam": "saliency_audit.attribution.layercam:LayerCam",
    "xgradcam": "saliency_audit.attribution.xgradcam:XGradCam",
    "scorecam": "saliency_audit.attribution.scorecam:ScoreCam",
    "attention_rollout": "saliency_audit.attribution.attention_rollout:AttentionRollout",
    "attention_relevance": "saliency_audit.attribution.attention_relevance:AttentionRelevance",
    "shap": "saliency_audit.attribution.shap:Shap",
    "integrated_gradients": ("saliency_audit.attribution.integrated_gradients:IntegratedGradients"),
    "smoothgrad": "saliency_audit.attribution.smoothgrad:SmoothGrad",
    "lime": "saliency_audit.attribution.lime:Lime",
    "rise": "saliency_audit.attribution.rise:Rise",
}
#: What other libraries compute, by what stands under ``class``.
REFERENCES: Mapping[str, str] = {
    "shap:GradientExplainer": "saliency_audit.attribution.reference_shap:GradientExplainer",
    "lime:LimeImageExplainer": "saliency_audit.attribution.reference_lime:LimeImageExplainer",
}
CAPTUM = "captum:"


def method_names() -> list[str]:
    """Give the names of all methods, sorted: those of this package and those of plugins."""
    return sorted({*METHODS, *plugins.names(plugins.METHODS)})


def method_plugin(kind: str) -> plugins.Plugin | None:
    """Give the plugin that registers a method, or None; errors as of ``plugins.find``."""
    return plugins.find(plugins.METHODS, kind, {*METHODS, *REFERENCES})


def method_kind(name: str, parameters: Mapping[str, object]) -> str:
    """Give what implements a method: a name of ``method_names``, or its ``class``.

    Errors as of ``method_from_parameters``, of an unknown name or class.

    >>> method_kind("rise", {}), method_kind("rise_plain", {"class": "rise"})
    ('rise', 'rise')
    """
    return _resolve(name, parameters)[0]


def method_from_parameters(name: str, parameters: Mapping[str, object]) -> Method:
    """Build a method from its name and its parameters, as under ``method.<name>`` in params.yaml.

    A name of ``method_names`` stands for itself. Any other name needs the parameter ``class``: one
    of those or of ``REFERENCES``, or ``captum:<Class>``. Raises ParameterError for an unknown name,
    class or parameter (naming the nearest right one), a wrong type or a wrong range, and for a
    plugin that cannot be imported or is no method.

    >>> method_from_parameters("rise", {"samples": 100}).cost().forward
    100
    >>> method_from_parameters("rise_plain", {"class": "rise", "estimator": "plain"}).estimator
    'plain'
    >>> method_from_parameters("gradcamm", {})
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: unknown method 'gradcamm': did you mean gradcam?
    """
    kind, rest = _resolve(name, parameters)
    if kind.startswith(CAPTUM):
        return cast("Method", _captum().captum_method(kind.removeprefix(CAPTUM), rest))
    return cast("Method", build(_dataclass(kind), rest))


def parameters_schema(name: str, kind: str | None = None) -> dict[str, dict[str, object]]:
    """Give the type and the default of each parameter that a method takes, by its key.

    ``kind``: its ``class``, for a name that is not of ``method_names``. Errors as of
    ``method_from_parameters``.

    >>> parameters_schema("rise")["samples"]
    {'type': 'int', 'default': 512}
    """
    kind, _ = _resolve(name, {} if kind is None else {"class": kind})
    if kind.startswith(CAPTUM):
        schema: dict[str, dict[str, object]] = _captum().captum_schema(kind.removeprefix(CAPTUM))
        return schema
    declared = _dataclass(kind)
    defaults = parameter_defaults(declared)
    return {
        key: {"type": described(wanted), "default": defaults[key]}
        for key, wanted in parameter_types(declared).items()
    }


def method_digest(name: str, parameters: Mapping[str, object]) -> str:
    """Give the SHA-256 (hexadecimal) of a method with all its parameters, defaults included.

    Two ways to write the same parameters have one digest; another name of the same has it too.
    Errors as of ``method_from_parameters``.

    >>> method_digest("rise", {}) == method_digest("rise", {"samples": 512})
    True
    >>> method_digest("rise", {}) == method_digest("rise", {"seed": 1})
    False
    """
    kind, _ = _resolve(name, parameters)
    method = cast("Any", method_from_parameters(name, parameters))
    content: dict[str, object] = {"class": kind, "parameters": asdict(method)}
    if (plugin := method_plugin(kind)) is not None:
        content["distribution"] = plugin.distribution
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def takes_block(name: str, parameters: Mapping[str, object]) -> bool:
    """Say whether a method explains a block of the network, which ``block`` names.

    Errors as of ``method_from_parameters``.

    >>> takes_block("gradcam", {}), takes_block("rise", {})
    (True, False)
    """
    kind, _ = _resolve(name, parameters)
    if kind.startswith(CAPTUM):
        return bool(_captum().captum_class(kind.removeprefix(CAPTUM)).reads_layer)
    return "block" in parameter_types(_dataclass(kind))


def with_block(
    name: str, parameters: Mapping[str, object], block: str | None
) -> Mapping[str, object]:
    """Give a method's parameters with a block in place of its own; as they are for None.

    >>> with_block("gradcam", {"block": "layer4"}, "layer3")
    {'block': 'layer3'}
    """
    if block is None or not takes_block(name, parameters):
        return parameters
    return {**parameters, "block": block}


def _resolve(name: str, parameters: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """Give what implements a method, and its parameters without ``class``."""
    if not isinstance(parameters, Mapping):
        raise ParameterError(
            f"the parameters of {name} are {parameters!r}: give a mapping, or {{}}"
        )
    rest = dict(parameters)
    kind = rest.pop("class", None)
    if name in METHODS or method_plugin(name) is not None:
        if kind is not None and kind != name:
            raise ParameterError(
                f"class is {kind!r}, but {name} is a method of its own: use another name for it"
            )
        return name, rest
    if kind is None:
        raise ParameterError(
            f"unknown method {name!r}: {hint(name, method_names())} (a method of another library "
            "needs its `class`, such as captum:IntegratedGradients)"
        )
    if not isinstance(kind, str):
        raise ParameterError(f"class is {kind!r}: give a text such as captum:IntegratedGradients")
    if not _is_kind(kind):
        known = [*method_names(), *REFERENCES, "captum:<Class>"]
        raise ParameterError(f"class is {kind!r}: {hint(kind, known)}")
    return kind, rest


def _is_kind(kind: str) -> bool:
    known = kind in METHODS or kind in REFERENCES or kind.startswith(CAPTUM)
    return known or method_plugin(kind) is not None


def _captum() -> Any:
    # By name, as the methods: so no method of ours depends on the code of this one.
    return importlib.import_module("saliency_audit.attribution.captum")


def _dataclass(kind: str) -> type[Any]:
    plugin = method_plugin(kind)
    if plugin is not None:
        return _of_plugin(plugin)
    module, _, name = (METHODS.get(kind) or REFERENCES[kind]).partition(":")
    return cast("type[Any]", getattr(importlib.import_module(module), name))


def _of_plugin(plugin: plugins.Plugin) -> type[Any]:
    found = plugin.load()
    if isinstance(found, type) and is_dataclass(found) and issubclass(found, Method):
        return found
    raise ParameterError(
        f"{plugin} is no method: have it name a frozen dataclass that is a "
        "saliency_audit.attribution.method.Method"
    )
