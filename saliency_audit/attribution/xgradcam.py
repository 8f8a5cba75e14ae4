"""XGrad-CAM: gradients of a channel averaged over its pixels as its activations weigh them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import ChannelWeighted

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class XGradCam(ChannelWeighted):
    """XGrad-CAM (Fu et al. 2020) of the score before softmax or sigmoid.

    w_k = Σ A_k ⊙ ∂y/∂A_k / Σ A_k over pixels, 0 for a channel whose activations sum to 0;
    m = ReLU(Σ_k w_k A_k), scaled up bilinearly.

    ``block``: as of ``gradcam.GradCam``.
    """

    @staticmethod
    def weigh(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give weights (B, C), and that all are sound."""
        sums = activations.sum(dim=(2, 3))
        weights = (activations * gradients).sum(dim=(2, 3)) / sums
        return weights.where(sums != 0, 0.0), sums.new_zeros(len(sums)).bool()
