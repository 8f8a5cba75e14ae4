"""Grad-CAM++: channels weighed by their positive gradients, each pixel by its own factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_audit.attribution.class_activation import explain_by_block
from saliency_audit.attribution.method import Cost, RawMap

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class GradCamPlusPlus:
    """Grad-CAM++ (Chattopadhyay et al. 2018, Eq 19) of the score before softmax or sigmoid.

    With Y = exp(y), the derivatives of Eq 19 are powers of g = ∂y/∂A_k times Y, which cancels:
    α = g² / (2g² + g³ ΣA_k) = 1 / (2 + g ΣA_k) where g > 0, the sum over the pixels of channel k.
    w_k = Σ α ReLU(g); m = ReLU(Σ_k w_k A_k), scaled up bilinearly. A denominator of 0 or less at
    g > 0 (possible where A has negative values) counts α = 0 and gives the status
    ``nonpositive_denominator``.

    ``block``: null for the last convolutional block, ``last_conv2d``, or the dotted name of a
    module of the network, with ``:input`` behind it for what that module reads.
    """

    block: str | None = None
    needs_background: ClassVar[bool] = False

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
        """Explain labels of images; see ``Method.explain``."""
        return explain_by_block(
            classifier,
            images,
            labels,
            keys,
            compute=compute,
            block=self.block,
            weigh=gradcam_plus_plus_weights,
        )

    def cost(self) -> Cost:
        """Count one forward pass, shared, and a backward pass through the head alone."""
        return Cost(forward=1, backward=1)


def gradcam_plus_plus_weights(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (B, C) of Eq 19, and per row whether a denominator at g > 0 is 0 or less.

    Both arguments (B, C, h, w). NaN gives NaN.
    """
    denominators = 2 + gradients * activations.sum(dim=(2, 3), keepdim=True)
    rising = gradients > 0
    alpha = (1 / denominators).where(rising & (denominators > 0), 0.0)
    weights = (alpha * gradients.relu()).sum(dim=(2, 3))
    return weights, (rising & (denominators <= 0)).flatten(1).any(dim=1)
