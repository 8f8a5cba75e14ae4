"""Integrated Gradients: the gradient on the straight way from a baseline, by quadrature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost
from saliency_audit.attribution.path_attribution import (
    Attribute,
    PathAttribution,
    Sign,
    path_sums,
)
from saliency_audit.ranges import Count

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class IntegratedGradients(PathAttribution):
    """Integrated Gradients (Sundararajan et al. 2017, Eq 1) of the score before softmax or sigmoid.

    φ = (x - b) ∫ ∂y/∂x at b + t (x - b) over t from 0 to 1, by Gauss-Legendre quadrature with
    ``steps`` points; nothing is drawn.

    ``steps``: gradients per image and baseline, 1 or more; ``baseline``: b is the ``mean`` of the
    background images, or ``each`` of them, whose attributions are averaged: the limit of ``shap``,
    at as many times the passes; ``sign``: ``positive`` maps max(Σ_c φ_c, 0), ``absolute`` maps the
    mean of |φ_c| over the channels.
    """

    name: ClassVar[str] = "integrated_gradients"
    #: With the image itself, two batches of 32.
    steps: Count = 63
    baseline: Literal["mean", "each"] = "mean"
    sign: Sign = "positive"

    @property
    def words(self) -> str:
        """How many steps, from where, and which evidence the map shows.

        >>> IntegratedGradients().words
        '63 steps from the mean of the background, evidence for the label'
        """
        start = "the mean" if self.baseline == "mean" else "each image"
        return f"{self.steps:,} steps from {start} of the background, {self.evidence}"

    def baselines(self, background: Tensor) -> Tensor:
        """Give the mean of the background images, (1, 3, H, W), or all of them."""
        if self.baseline == "each":
            return background
        return background.double().mean(dim=0, keepdim=True).to(background)

    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what computes integrated gradients, in batches of points that all labels share."""

        def attribute(
            image: Tensor, labels: Sequence[int], key: str
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            points = self._points(image, baselines, compute.batch)
            return path_sums(classifier, labels, points, compute)

        return attribute

    def _points(
        self, image: Tensor, baselines: Tensor, rows: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give points (n, 3, H, W), n at most ``rows``, and the ways x - b times their weights.

        The last point of all is the image itself, with a weight of 0.
        """
        import torch

        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        along = np.append(np.tile((1 + nodes) / 2, len(baselines)), 1.0)
        shares = np.append(np.tile(weights / 2, len(baselines)) / len(baselines), 0.0)
        chosen = np.append(np.repeat(np.arange(len(baselines)), self.steps), 0)
        for start in range(0, len(along), rows):
            part = slice(start, start + rows)
            t, share = (
                torch.from_numpy(values[part]).to(image).view(-1, 1, 1, 1)
                for values in (along, shares)
            )
            ways = image - baselines[torch.from_numpy(chosen[part]).to(baselines.device)]
            yield image - (1 - t) * ways, share * ways

    def cost(self) -> Cost:
        """Count a pass per step and the image's, shared by the labels; of each label all go back.

        The baseline's own forward pass, once per explainer, is not counted. None where each image
        of the background is a baseline.
        """
        passes = self.steps + 1 if self.baseline == "mean" else None
        return Cost(forward=passes, backward=passes)
