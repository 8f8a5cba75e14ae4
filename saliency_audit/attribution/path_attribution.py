"""What SHAP and Integrated Gradients share: attributions that add up to a difference of scores.

Gradients are taken at points on the way from a baseline to the image, times that way.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Explainer, Method, RawMap, background_of
from saliency_audit.compute import evaluating

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: From an image (3, H, W) on the device, its labels and its key, to signed attributions
#: (labels, 3, H, W) and the image's own scores (labels,), both float64.
Attribute = Callable[
    ["Tensor", Sequence[int], str], tuple[NDArray[np.float64], NDArray[np.float64]]
]
#: ``positive``: evidence for the label; ``absolute``: evidence of either sign.
Sign = Literal["positive", "absolute"]


class PathAttribution(Method):
    """A method whose attributions add up to the score minus its mean over baselines.

    ``sign``: ``positive`` maps max(Σ_c φ_c, 0), ``absolute`` maps the mean of |φ_c| over the
    channels. ``as_given``: whether it calls the classifier as it is, not made ready
    ``for_inference``.
    """

    name: ClassVar[str]
    as_given: ClassVar[bool] = False
    sign: Sign

    @property
    def evidence(self) -> str:
        """Which evidence the map shows."""
        return "evidence for the label" if self.sign == "positive" else "evidence of either sign"

    @property
    def needs_background(self) -> bool:
        """That it does: attributions are against it."""
        return True

    @abstractmethod
    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what computes signed attributions; ``baselines`` (K, 3, H, W) on the device."""

    def baselines(self, background: Tensor) -> Tensor:
        """Give what images are compared with (K, 3, H, W): the background images."""
        return background

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``. Maps have a completeness."""
        return PathExplainer(self, classifier, compute, background)


class PathExplainer(Explainer):
    """Explains one image after the other; the baselines' scores are computed once."""

    def __init__(
        self,
        method: PathAttribution,
        classifier: Classifier,
        compute: Compute,
        background: Tensor | None,
    ) -> None:
        super().__init__(classifier, compute)
        self._method = method
        self._background = background
        self._ready = cache(self._at_size)

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        if len(images) == 0:
            return []
        classifier, attribute, expected = self.ready(images)
        found: list[list[RawMap]] = []
        with evaluating(classifier):
            for image, asked, key in zip(images.to(self.compute.device), labels, keys, strict=True):
                if not asked:
                    found.append([])
                    continue
                attributions, scores = attribute(image, asked, key)
                gains = scores - expected[list(asked)]
                found.append(
                    [
                        attributed(phi, self._method.sign, float(gain))
                        for phi, gain in zip(attributions, gains, strict=True)
                    ]
                )
        return found

    def ready(self, images: Tensor) -> tuple[Classifier, Attribute, NDArray[np.float64]]:
        """Give the classifier, what attributes, and the baselines' mean scores (labels,).

        Errors as of ``method.background_of``.
        """
        background_of(self._method.name, images, self._background)
        return self._ready((int(images.shape[2]), int(images.shape[3])))

    def _at_size(self, size: tuple[int, int]) -> tuple[Classifier, Attribute, NDArray[np.float64]]:
        import torch

        from saliency_audit.models.inference import for_inference

        assert self._background is not None  # background_of has checked it
        baselines = self._method.baselines(self._background.to(self.compute.device))
        ready = (
            self.classifier
            if self._method.as_given
            else for_inference(self.classifier, self.compute, size)
        )
        with evaluating(ready), torch.no_grad():
            expected = self.compute.call(ready, baselines).double().mean(dim=0)
        attribute = self._method.attributor(ready, baselines, self.compute)
        return ready, attribute, np.asarray(expected.cpu().numpy())


def path_sums(
    classifier: Classifier,
    labels: Sequence[int],
    paths: Iterable[tuple[Tensor, Tensor]],
    compute: Compute,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum gradients times steps: (labels, 3, H, W), and the last point's scores (labels,), float64.

    ``paths``: points (n, 3, H, W) and the steps that scale the gradients there, in batches.
    """
    import torch

    total, own = torch.zeros(0), torch.zeros(0)
    for points, steps in paths:
        if not len(total):
            total = torch.zeros(
                (len(labels), *points.shape[1:]), dtype=torch.float64, device=compute.device
            )
        points.requires_grad_()
        with torch.enable_grad():
            scores = compute.call(classifier, points)
            for row, label in enumerate(labels):
                (gradients,) = torch.autograd.grad(
                    scores[:, label].sum(),
                    points,
                    retain_graph=row < len(labels) - 1,
                    materialize_grads=True,
                )
                total[row] += (gradients * steps).double().sum(dim=0)
        own = scores[-1, list(labels)].detach().double()
    return total.cpu().numpy(), own.cpu().numpy()


def attributed(phi: NDArray[np.float64], sign: Sign, gain: float) -> RawMap:
    """Make a map of signed attributions (3, H, W), with its completeness against ``gain``.

    >>> phi = np.array([[[1.0]], [[-3.0]], [[1.0]]])
    >>> attributed(phi, "positive", 0.0).values.tolist(), attributed(phi, "positive", -2.0)
    ([[0.0]], RawMap(values=array([[0.]]), status=None, completeness=1.0))
    """
    return RawMap(signed_map(phi, sign), completeness=float(phi.sum()) - gain)


def signed_map(phi: NDArray[np.float64], sign: Sign) -> NDArray[np.float64]:
    """Make a non-negative map (H, W) of signed attributions (C, H, W).

    >>> signed_map(np.array([[[2.0]], [[-1.0]]]), "absolute").tolist()
    [[1.5]]
    """
    if sign == "absolute":
        return np.asarray(np.abs(phi).mean(axis=0))
    return np.asarray(np.maximum(phi.sum(axis=0), 0.0))
