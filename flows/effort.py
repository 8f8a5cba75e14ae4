"""How much a stage has to compute, guessed before it has ever run: so that long ways start first.

The unit is one forward pass of the XAIMed paper's small CNN. Only the order of stages depends on
it, never a result, so the guess may be coarse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import method_from_parameters
from saliency_audit.models.specification import read_specification

#: Images of a dataset, and of an audit, that takes all there are.
MANY = 1000
#: A pass of any other network: of ResNet-18 at 64 px, 3 to 7 passes of the small CNN were measured.
SMALL, OTHER = "cnn", 5
#: A backward pass takes about as long as two forward passes.
BACKWARD = 2


def effort(root: Path, tree: Mapping[str, Any], cmd: object) -> int:
    """Give the passes of a stage by its command; 0 for one that calls no model, or is not ours."""
    # A file that `dvc add` or `dvc import` tracks is a stage without a command; a stage of
    # somebody's own may have any, or a list of them.
    words = cmd.split() if isinstance(cmd, str) else []
    name, arguments = words[2:3], words[3:]
    known = EFFORTS.get(name[0]) if name and words[1] == "-m" else None
    if known is None or len(arguments) != known[1]:
        return 0
    return known[0](root, tree, *arguments)


def _classifier(root: Path, tree: Mapping[str, Any], audit: str) -> int:
    chosen = tree["audits"][audit]
    specification = read_specification(root / "classifiers" / chosen["classifier"] / "model.yaml")
    epochs = specification.train.epochs if specification.train else 0
    return epochs * _training(tree, chosen["dataset"]) * _cost(specification.architecture)


def _segmenter(_root: Path, tree: Mapping[str, Any], dataset: str) -> int:
    return int(tree["segmenter"]["epochs"]) * _training(tree, dataset) * OTHER


def _explaining(root: Path, tree: Mapping[str, Any], audit: str, method: str) -> int:
    chosen = tree["audits"][audit]
    specification = read_specification(root / "classifiers" / chosen["classifier"] / "model.yaml")
    cost = method_from_parameters(method, tree["method"].get(method, {})).cost()
    passes = (cost.forward or 0) + BACKWARD * (cost.backward or 0)
    return passes * (chosen.get("images") or MANY) * _cost(specification.architecture)


def _training(tree: Mapping[str, Any], dataset: str) -> int:
    """Give the passes of an epoch: over about all images, forward and backward."""
    return (tree["datasets"][dataset].get("images") or MANY) * (1 + BACKWARD)


def _cost(architecture: str) -> int:
    return 1 if architecture == SMALL else OTHER


#: By the module that a stage runs: what says its passes, and how many arguments it has.
EFFORTS: Mapping[str, tuple[Callable[..., int], int]] = {
    "tasks.train_classifier": (_classifier, 1),
    "tasks.train_segmenter": (_segmenter, 1),
    "tasks.explain": (_explaining, 2),
}
