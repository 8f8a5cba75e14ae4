"""HiRes-CAM: activations times their gradients, pixel by pixel, summed over channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import ClassActivation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class HiResCam(ClassActivation):
    """HiRes-CAM (Draelos and Carin 2020) of the score before softmax or sigmoid.

    m = ReLU(Σ_k ∂y/∂A_k ⊙ A_k), scaled up bilinearly. Where the head is one linear layer on the
    block's pixels, Σ_k ∂y/∂A_k ⊙ A_k sums to the score but for its bias.

    ``block``: as of ``gradcam.GradCam``.
    """

    def combine(self, activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give the positive part of the sum of products, (B, h, w), and that all are sound."""
        coarse = (gradients * activations).sum(dim=1).relu()
        return coarse, coarse.new_zeros(len(coarse)).bool()
