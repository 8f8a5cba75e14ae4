"""Settings that one word of params.yaml chooses together, over what stands there of each.

``paper`` is how the papers, or the libraries that they used, make maps and split images: class
activations of the last convolutional block, stretched over the image; LIME, SHAP and RISE with
their published numbers of samples, each drawn on its own; images split one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from saliency_audit.errors import ParameterError

#: ``default``: everything as it stands in params.yaml.
Preset = Literal["default", "paper"]
PAPER = "paper"

#: How images are split: so one patient or lesion can be in training and test.
SPLIT: Mapping[str, object] = {"by": "image"}
#: Of every method that is made of a block's cells.
BLOCKS: Mapping[str, object] = {"block": "last_block", "placement": "stretched"}
#: Of methods by what implements them.
METHODS: Mapping[str, Mapping[str, object]] = {
    "lime": {"samples": 1000, "design": "independent"},
    "rise": {"samples": 4000, "design": "independent", "estimator": "plain"},
    "shap": {"samples": 200, "design": "independent"},
}


def applied(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parameters of params.yaml with those that its preset decides.

    What is wrong in the tree stays so, for the checks that name it.

    >>> applied({"preset": "paper", "split": {"by": "group"}, "method": {"lime": {}}})
    {'preset': 'paper', 'split': {'by': 'image'}, 'method': {'lime': {'samples': 1000, \
'design': 'independent'}}}
    """
    found = dict(tree)
    if tree.get("preset") != PAPER:
        return found
    if isinstance(found.get("split"), Mapping):
        found["split"] = {**found["split"], **SPLIT}
    if isinstance(found.get("method"), Mapping):
        found["method"] = {name: _of_method(name, own) for name, own in found["method"].items()}
    return found


def _of_method(name: str, parameters: Any) -> Any:
    from saliency_audit.attribution.registry import method_kind, parameters_schema

    try:
        kind = method_kind(name, parameters)
        taken = parameters_schema(name, None if kind == name else kind)
    except ParameterError:
        return parameters
    blocks = BLOCKS if set(BLOCKS) <= set(taken) else {}
    return {**parameters, **blocks, **METHODS.get(kind, {})}
