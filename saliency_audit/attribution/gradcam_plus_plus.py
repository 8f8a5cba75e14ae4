"""Grad-CAM++: channels weighed by their positive gradients, each pixel by its own factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import ChannelWeighted

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GradCamPlusPlus(ChannelWeighted):
    """Grad-CAM++ (Chattopadhyay et al. 2018, Eq 19) of the score before softmax or sigmoid.

    With Y = exp(y), the derivatives of Eq 19 are powers of g = ∂y/∂A_k times Y, which cancels:
    α = g² / (2g² + g³ ΣA_k) = 1 / (2 + g ΣA_k) where g > 0, the sum over the pixels of channel k.
    w_k = Σ α ReLU(g); m = ReLU(Σ_k w_k A_k), scaled up bilinearly. A denominator of 0 or less at
    g > 0 (possible where A has negative values) counts α = 0 and gives the status
    ``nonpositive_denominator``.

    ``block``: as of ``gradcam.GradCam``.
    """

    @staticmethod
    def weigh(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give weights (B, C) of Eq 19, and per row whether a denominator at g > 0 is 0 or less.

        Both arguments are float64 (B, C, h, w). NaN gives NaN.
        """
        denominators = 2 + gradients * activations.sum(dim=(2, 3), keepdim=True)
        rising = gradients > 0
        alpha = (1 / denominators).where(rising & (denominators > 0), 0.0)
        weights = (alpha * gradients.relu()).sum(dim=(2, 3))
        return weights, (rising & (denominators <= 0)).flatten(1).any(dim=1)
