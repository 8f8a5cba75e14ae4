"""Layer-CAM: each pixel of a channel weighed by its own gradient, if that is positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import ClassActivation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LayerCam(ClassActivation):
    """Layer-CAM (Jiang et al. 2021) of the score before softmax or sigmoid.

    m = ReLU(Σ_k ReLU(∂y/∂A_k) ⊙ A_k), scaled up bilinearly. Made for blocks at every depth: an
    early one, named by ``block``, has finer cells. The paper's scaling of early maps by tanh
    serves adding several of them, and is not applied to one.

    ``block``: as of ``gradcam.GradCam``.
    """

    def combine(self, activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give the positive part of the weighed sum, (B, h, w), and that all are sound."""
        coarse = (gradients.relu() * activations).sum(dim=1).relu()
        return coarse, coarse.new_zeros(len(coarse)).bool()
