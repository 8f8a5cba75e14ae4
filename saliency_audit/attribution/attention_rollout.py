"""Attention rollout: how much of each patch reaches the head, by the attention of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.attention import AttentionExplainer
from saliency_audit.attribution.method import Cost, Explainer, Method

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class AttentionRollout(Method):
    """Attention rollout (Abnar and Zuidema 2020) of a vision transformer.

    A_l: softmax weights of layer l, the mean over heads; R = Π_l (A_l + I) / 2, the last layer on
    the left; m = the patches of the row of R that the head reads, its class token or the mean over
    patches, scaled up bilinearly. It is the same map for every label.
    """

    @property
    def words(self) -> str:
        """What is rolled out.

        >>> AttentionRollout().words
        'attention of all layers, the mean over heads, the same for every label'
        """
        return "attention of all layers, the mean over heads, the same for every label"

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``. Raises NotApplicable for networks without such attention."""
        return _Rollout(classifier, compute)

    def cost(self) -> Cost:
        """Count one forward pass, shared, and none back."""
        return Cost(forward=1, backward=0)


class _Rollout(AttentionExplainer):
    name = "attention_rollout"
    differentiates = False

    def tokens(
        self, weights: Sequence[Tensor], start: Tensor, scores: Tensor, wanted: Tensor
    ) -> Tensor:
        """Give the row of the product that the head reads, from the last layer to the first."""
        row = start.expand(len(scores), 1, -1)
        for layer in reversed(weights):
            row = (row @ layer.mean(dim=1).double() + row) / 2
        return row[:, 0]
