"""SHAP values by expected gradients: gradients on random paths from background images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost, RawMap, background_of, check_request
from saliency_audit.attribution.seeds import check_seed, generator
from saliency_audit.compute import evaluating
from saliency_audit.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: ``positive``: evidence for the label; ``absolute``: evidence of either sign.
Sign = Literal["positive", "absolute"]


@dataclass(frozen=True)
class Shap:
    """Expected gradients (Erion et al. 2021, Eq 3) of the score before softmax or sigmoid.

    φ = mean over samples of (x - b) ∂y/∂x at b + t (x - b), b a random background image and
    t uniform in [0, 1]; as shap.GradientExplainer. One image of background is a single baseline.

    ``samples``: random paths per image, 1 or more, the same for all labels; ``sign``: ``positive``
    maps max(Σ_c φ_c, 0), ``absolute`` maps the mean of |φ_c| over the channels, as the SegX
    authors do; ``seed``: 0 or more.
    """

    samples: int = 200
    sign: Sign = "positive"
    seed: int = 0
    needs_background: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        if self.samples < 1:
            raise ParameterError(f"samples is {self.samples}: give 1 or more")
        check_seed(self.seed)

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
        baselines = background_of("shap", images, background).to(compute.device)
        if len(images) == 0:
            return []
        with evaluating(classifier):
            with torch.no_grad():
                gains = score_gains(classifier, images, baselines, compute)
            return [
                [
                    attributed(phi, self.sign, float(gain[label]))
                    for label, phi in zip(
                        asked,
                        self._attributions(classifier, image, asked, key, baselines, compute),
                        strict=True,
                    )
                ]
                for image, asked, key, gain in zip(images, labels, keys, gains, strict=True)
            ]

    def _attributions(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        baselines: Tensor,
        compute: Compute,
    ) -> NDArray[np.float64]:
        """Signed attributions (labels, 3, H, W) of one image."""
        import torch

        total = torch.zeros((len(labels), *image.shape), dtype=torch.float64, device=compute.device)
        if not labels:
            return np.asarray(total.cpu().numpy())
        image = image.to(compute.device)
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
