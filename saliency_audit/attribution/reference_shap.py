"""shap.GradientExplainer as a method: the reference that ours can be put beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost
from saliency_audit.attribution.path_attribution import Attribute
from saliency_audit.attribution.seeds import global_seed, legacy_seed
from saliency_audit.attribution.shap import ExpectedGradients

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class GradientExplainer(ExpectedGradients):
    """shap.GradientExplainer (Lundberg and Lee 2017) of the score before softmax or sigmoid.

    ``samples``: random paths per image and label, 1 or more; ``sign``: as of ``shap``;
    ``seed``: 0 or more.
    """

    name: ClassVar[str] = "shap:GradientExplainer"
    as_given: ClassVar[bool] = True

    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what asks the package, with one explainer for each label."""
        import shap
        import torch
        from torch import nn

        class OneLabel(nn.Module):
            """The score of one label, (N, 1), every call in one batch shape."""

            def __init__(self, label: int) -> None:
                super().__init__()
                self.label = label

            def forward(self, points: Tensor) -> Tensor:
                return compute.call(classifier, points)[:, [self.label]]

        @cache
        def explainer(label: int) -> Any:
            return shap.GradientExplainer(OneLabel(label), baselines, batch_size=compute.batch)

        def attribute(
            image: Tensor, labels: Sequence[int], key: str
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            seed = legacy_seed(self.seed, key)
            with torch.no_grad():
                (own,) = compute.call(classifier, image[None])[:, list(labels)].double()
            found = []
            for label in labels:
                theirs = explainer(label)
                with global_seed(seed), torch.enable_grad():
                    values = theirs.shap_values(image[None], nsamples=self.samples, rseed=seed)
                found.append(np.asarray(values, dtype=np.float64).reshape(tuple(image.shape)))
            return np.stack(found), own.cpu().numpy()

        return attribute

    def cost(self) -> Cost:
        """Count a forward and a backward pass per path and label; nothing is shared."""
        return Cost(forward=self.samples, backward=self.samples, forward_shared=False)
