"""Relevance of patches by attention times its gradient, through all layers of a transformer."""

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
class AttentionRelevance(Method):
    """Relevance by attention (Chefer et al. 2021, generic attention) of a timm vision transformer.

    A_l: softmax weights of layer l, y the score before softmax or sigmoid; Ā_l is the mean over
    heads of the positive part of ∂y/∂A_l ⊙ A_l; R begins as I and becomes R + Ā_l R, layer by
    layer; m = the patches of the row of R - I that the head reads, its class token or the mean over
    patches, scaled up bilinearly. It is the rule for self-attention of the generic method, not the
    layer-wise propagation of the same authors' earlier paper.
    """

    @property
    def words(self) -> str:
        """What relevance is made of.

        >>> AttentionRelevance().words
        'positive attention times gradient of all layers, the mean over heads'
        """
        return "positive attention times gradient of all layers, the mean over heads"

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``. Raises NotApplicable for networks without such attention."""
        return _Relevance(classifier, compute)

    def cost(self) -> Cost:
        """Count one forward pass, shared, and one back for each label."""
        return Cost(forward=1, backward=1)


class _Relevance(AttentionExplainer):
    name = "attention_relevance"
    differentiates = True

    def tokens(
        self, weights: Sequence[Tensor], start: Tensor, scores: Tensor, wanted: Tensor
    ) -> Tensor:
        """Give the row of R - I that the head reads, from the last layer to the first."""
        import torch

        gradients = torch.autograd.grad(
            scores, list(weights), wanted, retain_graph=True, materialize_grads=True
        )
        row = first = start.expand(len(scores), 1, -1)
        with torch.no_grad():
            for layer, gradient in zip(reversed(weights), reversed(gradients), strict=True):
                row = row + row @ (gradient * layer).relu().mean(dim=1).double()
        return (row - first)[:, 0]
