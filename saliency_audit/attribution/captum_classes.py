"""Which classes of captum explain a label of an image, and with which options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from saliency_audit.errors import ParameterError
from saliency_audit.naming import hint

#: Classes that give no map of a label of an image on its own, and why.
REFUSED: Mapping[str, str] = {
    "NoiseTunnel": "wraps another method",
    "LimeBase": "needs functions for its surrogate; take captum:Lime",
    "FeaturePermutation": "mixes the images of a batch, so that a map depends on the others",
    "LayerFeaturePermutation": "mixes the images of a batch, so that a map depends on the others",
    "LayerActivation": "explains no label",
    "ShapleyValues": "passes once for each order of its features; take captum:ShapleyValueSampling",
    "DataLoaderAttribution": "explains a data set",
}
#: What the audit sets itself, or what is no plain value.
OWN = (
    "self",
    "inputs",
    "target",
    "additional_forward_args",
    "feature_mask",
    "layer_mask",
    "internal_batch_size",
    "perturbations_per_eval",
    "show_progress",
    "return_convergence_delta",
    "return_input_shape",
    "attribute_to_layer_input",
    "custom_attribution_func",
    "grad_kwargs",
    "perm_func",
    "interpretable_model",
    "similarity_func",
    "perturb_func",
    "forward_func",
    "model",
    "layer",
    "device_ids",
    "verbose",
    "kwargs",
)
#: Classes that change how activation modules pass gradients back.
HOOKS_ACTIVATIONS = (
    "GuidedBackprop",
    "Deconvolution",
    "GuidedGradCam",
    "DeepLift",
    "DeepLiftShap",
    "LayerDeepLift",
    "LayerDeepLiftShap",
    "LRP",
    "LayerLRP",
)


@dataclass(frozen=True)
class CaptumClass:
    """A class of ``captum.attr`` as the audit uses it.

    ``building``: options of its constructor with their defaults; ``attributing``: options of its
    ``attribute``, likewise; ``takes``: the names of all parameters of ``attribute``;
    ``reads_function``: whether any function will do as the model; ``reads_layer``: whether it
    explains a block; ``needs_baselines``: whether it has no default for what it compares with.
    """

    name: str
    kind: Any
    building: Mapping[str, Any] = field(default_factory=dict)
    attributing: Mapping[str, Any] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()
    reads_function: bool = True
    reads_layer: bool = False
    needs_baselines: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Give all options with their defaults."""
        return {**self.building, **self.attributing}

    @property
    def differentiates(self) -> bool:
        """Whether it passes backwards."""
        from captum.attr import GradientAttribution

        return issubclass(self.kind, GradientAttribution)


def captum_class(name: str) -> CaptumClass:
    """Give the class of ``captum.attr`` with that name.

    Raises ParameterError for a name that captum does not have, or a class that gives no map.

    >>> captum_class("IntegratedGradients").attributing["n_steps"]
    50
    >>> captum_class("NoiseTunnel")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: captum:NoiseTunnel gives no map: it wraps another method
    """
    import captum.attr

    kind = getattr(captum.attr, name, None)
    if not inspect.isclass(kind) or not issubclass(kind, captum.attr.Attribution):
        known = [
            key for key in dir(captum.attr) if _refusal(key, getattr(captum.attr, key)) is None
        ]
        raise ParameterError(f"captum has no class {name!r}: {hint(name, known)}")
    reason = _refusal(name, kind)
    if reason is not None:
        raise ParameterError(f"captum:{name} gives no map: it {reason}")
    method: Any = kind
    building = inspect.signature(method.__init__).parameters
    attributing = inspect.signature(method.attribute).parameters
    baselines = attributing.get("baselines")
    needs_baselines = baselines is not None and baselines.default is inspect.Parameter.empty
    return CaptumClass(
        name=name,
        kind=kind,
        building=_options(building),
        attributing=_options(attributing),
        takes=frozenset(attributing),
        reads_function="layer" not in building and "model" not in building,
        reads_layer="layer" in building,
        needs_baselines=needs_baselines,
    )


def _refusal(name: str, kind: object) -> str | None:
    """Say why a member of ``captum.attr`` gives no map, or None where it gives one."""
    import captum.attr

    if not inspect.isclass(kind) or not issubclass(kind, captum.attr.Attribution):
        return "is no method"
    if not callable(getattr(kind, "attribute", None)):
        return "is a base of other classes"
    if name.startswith("Neuron"):
        return "explains a neuron, not a label"
    if "LLM" in name:
        return "explains text"
    return REFUSED.get(name)


def _options(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """Give the defaults of what a person may set; None where there is none."""
    return {
        name: None if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in parameters.items()
        if name not in OWN
        and not (name == "baselines" and parameter.default is inspect.Parameter.empty)
    }
