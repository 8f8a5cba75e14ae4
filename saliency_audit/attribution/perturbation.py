"""What LIME, RISE and their kin share: scores of changed copies, one image at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from saliency_audit.attribution.method import Cost, RawMap, check_request
from saliency_audit.compute import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


class Perturbation(ABC):
    """A method that needs the scores of ``samples`` changed copies of an image, no gradients."""

    samples: int
    needs_background: ClassVar[bool] = False

    @abstractmethod
    def explain_image(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        compute: Compute,
    ) -> list[RawMap]:
        """Explain labels, one or more, of one image (3, H, W); errors as of ``Method.explain``."""

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
        import torch

        check_request(classifier, images, labels, keys)
        with evaluating(classifier), torch.no_grad():
            return [
                self.explain_image(classifier, image, asked, key, compute) if asked else []
                for image, asked, key in zip(images, labels, keys, strict=True)
            ]

    def cost(self) -> Cost:
        """Count a forward pass per sample, shared by the labels."""
        return Cost(forward=self.samples, backward=0)
