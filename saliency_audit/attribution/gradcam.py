"""Grad-CAM: channels of the last convolutional block, weighed by their mean gradient."""

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
class GradCam:
    """Grad-CAM (Selvaraju et al. 2017, Eqs 1 and 2) of the score before softmax or sigmoid.

    w_k = mean over pixels of ∂y/∂A_k; m = ReLU(Σ_k w_k A_k), scaled up bilinearly.

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
            weigh=gradcam_weights,
        )

    def cost(self) -> Cost:
        """Count one forward pass, shared, and a backward pass through the head alone."""
        return Cost(forward=1, backward=1)


def gradcam_weights(activations: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (B, C), the mean over pixels of gradients (B, C, h, w), and that none is doubtful."""
    return gradients.mean(dim=(2, 3)), activations.new_zeros(len(activations)).bool()
