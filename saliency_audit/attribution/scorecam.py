"""Score-CAM: channels weighed by the score of the image seen through each of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from saliency_audit.attribution.class_activation import (
    BlockExplainer,
    BlockMethod,
    read_activations,
    upsampled,
)
from saliency_audit.attribution.layouts import Layout
from saliency_audit.attribution.method import Cost, Explainer, RawMap
from saliency_audit.attribution.scores import explained_scores
from saliency_audit.compute import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class ScoreCam(BlockMethod):
    """Score-CAM (Wang et al. 2020) of the score before softmax or sigmoid; no gradients.

    H_k is channel A_k scaled up and brought to 0 … 1; α is the softmax over channels of the scores
    of x ⊙ H_k, where what is hidden has the classifier's mean colour, its input of 0;
    m = ReLU(Σ_k α_k A_k), scaled up bilinearly. A channel of one value hides nothing in particular
    and has no part in it.

    ``block``: as of ``gradcam.GradCam``.
    """

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``."""
        return _ScoreCamExplainer(self, classifier, compute)

    def cost(self) -> Cost:
        """Count no backward pass; forward ones are one per channel and one more, by the network."""
        return Cost(forward=None, backward=0)


class _ScoreCamExplainer(BlockExplainer):
    """Asks the classifier, made ready for many passes, of each image behind its own channels."""

    def __init__(self, method: ScoreCam, classifier: Classifier, compute: Compute) -> None:
        from saliency_audit.models.inference import for_inference

        super().__init__(method, classifier, compute)
        self._ready = cache(partial(for_inference, classifier, compute))

    def combined(
        self,
        images: Tensor,
        scores: Tensor,
        activations: Tensor,
        layout: Layout | None,
        labels: Sequence[Sequence[int]],
    ) -> list[list[RawMap]]:
        """Give a batch's maps, one image after the other."""
        import torch

        ready = self._ready((int(images.shape[2]), int(images.shape[3])))
        channels = read_activations(activations, layout)[: len(images)]
        pixels = images.to(self.compute.device)
        with evaluating(ready), torch.no_grad():
            return [
                self._of_image(ready, image, own, asked) if asked else []
                for image, own, asked in zip(pixels, channels, labels, strict=True)
            ]

    def _of_image(
        self, ready: Classifier, image: Tensor, channels: Tensor, labels: Sequence[int]
    ) -> list[RawMap]:
        """Explain labels of one image (3, H, W) with activations (C, h, w)."""
        import torch

        size = (int(image.shape[1]), int(image.shape[2]))
        uneven = channels.amax(dim=(1, 2)) != channels.amin(dim=(1, 2))  # NaN is
        seen = channels[uneven]
        if not len(seen):
            return [RawMap(upsampled(channels[:1] * 0, size)[0]) for _ in labels]
        fill = ready.get_buffer("mean")[0]
        scores = torch.cat(
            [
                explained_scores(ready, fill + masks * (image - fill), "logit", self.compute)
                for masks in self._masks(seen, size)
            ]
        )
        found = []
        for label in labels:
            shares = scores[:, label].double().softmax(dim=0)
            coarse = (shares[:, None, None] * seen).sum(dim=0, keepdim=True).relu()
            found.append(RawMap(upsampled(coarse, size)[0]))
        return found

    def _masks(self, channels: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
        """Give channels (C, h, w) as masks (n, 1, H, W) from 0 to 1, n at most a batch."""
        import torch

        rows = self.compute.batch
        for start in range(0, len(channels), rows):
            part = channels[start : start + rows]
            masks = torch.from_numpy(upsampled(part, size)).to(self.compute.device)
            lowest, highest = masks.amin(dim=(1, 2)), masks.amax(dim=(1, 2))
            scaled = (masks - lowest[:, None, None]) / (highest - lowest)[:, None, None]
            yield scaled[:, None].float()
