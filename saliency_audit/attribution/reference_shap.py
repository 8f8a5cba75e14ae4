"""shap.GradientExplainer as a method: the reference that ours can be put beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from saliency_audit.attribution.method import Cost, RawMap, background_of, check_request
from saliency_audit.attribution.seeds import check_seed, global_seed, legacy_seed
from saliency_audit.attribution.shap import Sign, attributed, score_gains
from saliency_audit.compute import evaluating
from saliency_audit.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class GradientExplainer:
    """shap.GradientExplainer (Lundberg and Lee 2017) of the score before softmax or sigmoid.

    ``samples``: random paths per image and label, 1 or more; ``sign``: as of ``shap``;
    ``seed``: 0 or more.
    """

    samples: int = 200
    sign: Sign = "positive"
    seed: int = 0
    needs_background: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        if self.samples < 1:
            raise ParameterError(f"samples is {self.samples}: give 1 or more")
        check_seed(self.seed)

    def explain(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Sequence[Sequence[int]],
        keys: Sequence[str],
        *,
        compute: Compute,
        background: Tensor | None = None,
    ) -> list[list[RawMap]]:
        """Explain labels of images; see ``Method.explain``. Maps have a completeness."""
        import shap
        import torch
        from torch import nn

        check_request(classifier, images, labels, keys)
        baselines = background_of("shap:GradientExplainer", images, background).to(compute.device)
        if len(images) == 0:
            return []

        class OneLabel(nn.Module):
            """The score of one label, (N, 1), every call in one batch shape."""

            def __init__(self, label: int) -> None:
                super().__init__()
                self.label = label

            def forward(self, points: Tensor) -> Tensor:
                return compute.call(classifier, points)[:, [self.label]]

        found: list[list[RawMap]] = [[] for _ in images]
        with evaluating(classifier):
            with torch.no_grad():
                gains = score_gains(classifier, images, baselines, compute)
            for label in sorted({label for asked in labels for label in asked}):
                explainer = shap.GradientExplainer(
                    OneLabel(label), baselines, batch_size=compute.batch
                )
                for image, asked, key, gain, maps in zip(
                    images, labels, keys, gains, found, strict=True
                ):
                    if label not in asked:
                        continue
                    seed = legacy_seed(self.seed, key)
                    with global_seed(seed), torch.enable_grad():
                        values = explainer.shap_values(
                            image[None].to(compute.device), nsamples=self.samples, rseed=seed
                        )
                    phi = np.asarray(values, dtype=np.float64).reshape(tuple(image.shape))
                    maps.append(attributed(phi, self.sign, float(gain[label])))
        return [
            [maps[sorted(set(asked)).index(label)] for label in asked]
            for asked, maps in zip(labels, found, strict=True)
        ]

    def cost(self) -> Cost:
        """Count a forward and a backward pass per path and label; nothing is shared."""
        return Cost(forward=self.samples, backward=self.samples, forward_shared=False)
