"""Grad-CAM: channels of the last convolutional block, weighed by their mean gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import ChannelWeighted

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GradCam(ChannelWeighted):
    """Grad-CAM (Selvaraju et al. 2017, Eqs 1 and 2) of the score before softmax or sigmoid.

    w_k = mean over pixels of ∂y/∂A_k; m = ReLU(Σ_k w_k A_k), scaled up bilinearly.

    ``block``: null for the last convolutional block, ``last_conv2d``, or the dotted name of a
    module of the network, with ``:input`` behind it for what that module reads.
    """

    @staticmethod
    def weigh(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Give the mean over pixels of gradients (B, C, h, w), (B, C), and that all are sound."""
        return gradients.mean(dim=(2, 3)), activations.new_zeros(len(activations)).bool()
