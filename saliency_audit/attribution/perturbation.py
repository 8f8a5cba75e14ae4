"""What LIME, RISE and their kin share: scores of changed copies, one image at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, ClassVar

from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap
from saliency_audit.compute import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


class Perturbation(Method):
    """A method that needs the scores of ``samples`` changed copies of an image, no gradients.

    ``as_given``: whether it calls the classifier as it is, not made ready ``for_inference``.
    """

    samples: int
    as_given: ClassVar[bool] = False

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

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``."""
        return PerturbationExplainer(self, classifier, compute)

    def cost(self) -> Cost:
        """Count a forward pass per sample, shared by the labels."""
        return Cost(forward=self.samples, backward=0)


class PerturbationExplainer(Explainer):
    """Explains one image after the other with a ``Perturbation``."""

    def __init__(self, method: Perturbation, classifier: Classifier, compute: Compute) -> None:
        from saliency_audit.models.inference import for_inference

        super().__init__(classifier, compute)
        self._method = method
        self._ready = cache(partial(for_inference, classifier, compute))

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        import torch

        size = (int(images.shape[2]), int(images.shape[3]))
        classifier = self.classifier if self._method.as_given else self._ready(size)
        with evaluating(classifier), torch.no_grad():
            return [
                self.image_maps(classifier, image, asked, key) if asked else []
                for image, asked, key in zip(images, labels, keys, strict=True)
            ]

    def image_maps(
        self, classifier: Classifier, image: Tensor, labels: Sequence[int], key: str
    ) -> list[RawMap]:
        """Explain labels of one image (3, H, W)."""
        return self._method.explain_image(classifier, image, labels, key, self.compute)
