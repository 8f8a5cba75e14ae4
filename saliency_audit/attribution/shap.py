"""SHAP values by expected gradients: gradients on random paths from background images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost, RawMap, background_of, check_request
from saliency_audit.attribution.seeds import generator
from saliency_audit.compute import evaluating
from saliency_audit.ranges import check_at_least

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: From an image (3, H, W) on the device, its labels and its key, to signed attributions
#: (3, H, W) of each label.
Attribute = Callable[["Tensor", Sequence[int], str], Iterable[NDArray[np.float64]]]
#: ``positive``: evidence for the label; ``absolute``: evidence of either sign.
Sign = Literal["positive", "absolute"]


@dataclass(frozen=True)
class ExpectedGradients(ABC):
    """A method whose attributions add up to the score minus its mean over the background.

    ``samples``: random paths per image, 1 or more; ``sign``: ``positive`` maps max(Σ_c φ_c, 0),
    ``absolute`` maps the mean of |φ_c| over the channels; ``seed``: 0 or more.
    """

    name: ClassVar[str]
    samples: int = 200
    sign: Sign = "positive"
    seed: int = 0
    needs_background: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        check_at_least(1, samples=self.samples)
        check_at_least(0, seed=self.seed)

    @abstractmethod
    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what computes signed attributions; ``baselines`` (K, 3, H, W) on the device."""

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
        """Explain labels of images; see ``Method.explain``. Maps have a completeness."""
        import torch

        check_request(classifier, images, labels, keys)
        baselines = background_of(self.name, images, background).to(compute.device)
        if len(images) == 0:
            return []
        with evaluating(classifier):
            with torch.no_grad():
                gains = score_gains(classifier, images, baselines, compute)
            attribute = self.attributor(classifier, baselines, compute)
            return [
                [
                    attributed(phi, self.sign, float(gain[label]))
                    for label, phi in zip(asked, attribute(image, asked, key), strict=True)
                ]
                for image, asked, key, gain in zip(
                    images.to(compute.device), labels, keys, gains, strict=True
                )
            ]


@dataclass(frozen=True)
class Shap(ExpectedGradients):
    """Expected gradients (Erion et al. 2021, Eq 3) of the score before softmax or sigmoid.

    φ = mean over samples of (x - b) ∂y/∂x at b + t (x - b), b a random background image and
    t uniform in [0, 1]; as shap.GradientExplainer. One image of background is a single baseline.

    ``samples``: random paths per image, 1 or more, the same for all labels; ``sign``: ``positive``
    maps max(Σ_c φ_c, 0), ``absolute`` maps the mean of |φ_c| over the channels, as the SegX
    authors do; ``seed``: 0 or more.
    """

    name: ClassVar[str] = "shap"

    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what computes expected gradients, in batches of paths that all labels share."""
        import torch

        def attribute(image: Tensor, labels: Sequence[int], key: str) -> NDArray[np.float64]:
            total = torch.zeros(
                (len(labels), *image.shape), dtype=torch.float64, device=compute.device
            )
            if not labels:
                return np.asarray(total.cpu().numpy())
            positions, choices = generator(self.seed, key, 0), generator(self.seed, key, 1)
            for start in range(0, self.samples, compute.batch):
                count = min(compute.batch, self.samples - start)
                along = torch.from_numpy(positions.random(count)).to(baselines).view(-1, 1, 1, 1)
                chosen = torch.from_numpy((choices.random(count) * len(baselines)).astype(np.int64))
                starts = baselines[chosen.to(compute.device)]
                path = image - starts
                points = (starts + along * path).requires_grad_()
                with torch.enable_grad():
                    scores = compute.call(classifier, points)
                    for row, label in enumerate(labels):
                        (gradients,) = torch.autograd.grad(
                            scores[:, label].sum(),
                            points,
                            retain_graph=row < len(labels) - 1,
                            materialize_grads=True,
                        )
                        total[row] += (gradients * path).double().sum(dim=0)
            return np.asarray((total / self.samples).cpu().numpy())

        return attribute

    def cost(self) -> Cost:
        """Count a forward pass per path, shared by the labels, and a backward pass per label.

        The background's own forward passes, once per call, are not counted.
        """
        return Cost(forward=self.samples + 1, backward=self.samples)


def score_gains(
    classifier: Classifier, images: Tensor, baselines: Tensor, compute: Compute
) -> NDArray[np.float64]:
    """y(x) - mean y(background), (B, labels) in float64: what attributions should add up to."""
    expected = compute.call(classifier, baselines).double().mean(dim=0)
    return np.asarray((compute.call(classifier, images).double() - expected).cpu().numpy())


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
