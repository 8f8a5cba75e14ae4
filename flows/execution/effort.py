"""How much a stage has to compute, guessed before it has ever run: so that long ways start first.

The unit is one forward pass of the XAIMed paper's small CNN. Only the order of stages depends on
it, never a result, so the guess may be coarse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import method_from_parameters

#: Images of a dataset, and of an audit, that takes all there are.
MANY = 1000
#: A pass of any other network: of ResNet-18 at 64 px, 3 to 7 passes of the small CNN were measured.
SMALL, OTHER = "cnn", 5
#: A backward pass takes about as long as two forward passes.
BACKWARD = 2


@dataclass
class Efforts:
    """The passes of the stages of a checkout; ``tree``: its params.yaml.

    A classifier has a stage for each method: its model.yaml is read once for all.
    """

    root: Path
    tree: Mapping[str, Any]
    _costs: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, cmd: object) -> int:
        """Give the passes of a stage by its command; 0 where it calls no model, or is not ours."""
        # A file that `dvc add` or `dvc import` tracks is a stage without a command; a stage of
        # somebody's own may have any, or a list of them.
        words = cmd.split() if isinstance(cmd, str) else []
        match words[1:]:
            case ["-m", "tasks.train_classifier", audit]:
                epochs, cost = self._model(audit)
                return epochs * self._epoch(self.tree["audits"][audit]["dataset"]) * cost
            case ["-m", "tasks.train_segmenter", dataset]:
                return int(self.tree["segmenter"]["epochs"]) * self._epoch(dataset) * OTHER
            case ["-m", "tasks.explain", audit, method]:
                own = self.tree["audits"][audit]
                if method not in (own.get("methods") or [method]):
                    return 0
                images = own.get("images") or MANY
                return self._per_image(method) * images * self._model(audit)[1]
        return 0

    def _model(self, audit: str) -> tuple[int, int]:
        """Give the epochs that a classifier is trained for, and what a pass of it costs."""
        from saliency_audit.models.specification import read_specification

        name = self.tree["audits"][audit]["classifier"]
        if name not in self._costs:
            found = read_specification(self.root / "classifiers" / name / "model.yaml")
            epochs = found.train.epochs if found.train else 0
            self._costs[name] = (epochs, 1 if found.architecture == SMALL else OTHER)
        return self._costs[name]

    def _epoch(self, dataset: str) -> int:
        """Give the passes of an epoch: over about all images, forward and backward."""
        return (self.tree["datasets"][dataset].get("images") or MANY) * (1 + BACKWARD)

    def _per_image(self, method: str) -> int:
        cost = method_from_parameters(method, self.tree["method"].get(method, {})).cost()
        return (cost.forward or 0) + BACKWARD * (cost.backward or 0)
