"""SHAP values by expected gradients: gradients on random paths from background images.

The values are those of Lundberg and Lee 2017, the estimate is that of Erion et al. 2021.
"""

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
from saliency_audit.attribution.quasi_random import line_points
from saliency_audit.attribution.seeds import generator
from saliency_audit.ranges import Count, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class ExpectedGradients(PathAttribution):
    """Gradients on random paths: φ adds up to the score minus its mean over the background.

    ``samples``: random paths per image, 1 or more; ``sign``: ``positive`` maps max(Σ_c φ_c, 0),
    ``absolute`` maps the mean of |φ_c| over the channels; ``seed``: 0 or more. ``as_given``:
    whether it calls the classifier as it is, not made ready ``for_inference``.
    """

    samples: Count = 200
    sign: Sign = "positive"
    seed: Seed = 0

    @property
    def words(self) -> str:
        """How many paths, and which evidence the map shows."""
        return f"{self.samples:,} random paths per image, {self.evidence}, seed {self.seed}"


@dataclass(frozen=True)
class Shap(ExpectedGradients):
    """Expected gradients (Erion et al. 2021, Eq 3) of the score before softmax or sigmoid.

    φ = mean over samples of (x - b) ∂y/∂x at b + t (x - b), b a random background image and
    t uniform in [0, 1]; as shap.GradientExplainer. One image of background is a single baseline.

    ``samples``: random paths per image, 1 or more, the same for all labels; ``sign``: ``positive``
    maps max(Σ_c φ_c, 0), ``absolute`` maps the mean of |φ_c| over the channels, as the SegX
    authors do; ``design``: ``independent`` draws each b and t on its own; ``balanced`` draws b
    without replacement, all of the background before one comes again, and t quasi-randomly, which
    reaches the same error with fewer; ``seed``: 0 or more.
    """

    name: ClassVar[str] = "shap"
    #: With the image itself, three batches of 32; as near to the limit as 200 independent ones.
    samples: Count = 95
    design: Literal["independent", "balanced"] = "balanced"

    @property
    def words(self) -> str:
        """How many paths, how they are drawn, and which evidence the map shows.

        >>> Shap().words
        '95 balanced paths per image, evidence for the label, seed 0'
        """
        return f"{self.samples:,} {self.design} paths per image, {self.evidence}, seed {self.seed}"

    def attributor(self, classifier: Classifier, baselines: Tensor, compute: Compute) -> Attribute:
        """Give what computes expected gradients, in batches of paths that all labels share."""

        def attribute(
            image: Tensor, labels: Sequence[int], key: str
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            paths = self._paths(image, baselines, key, compute.batch)
            total, own = path_sums(classifier, labels, paths, compute)
            return total / self.samples, own

        return attribute

    def _paths(
        self, image: Tensor, baselines: Tensor, key: str, rows: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give points (n, 3, H, W) on paths, n at most ``rows``, and the steps x - b they scale.

        The last point of all is the image itself, with a step of 0: its score costs a row of a
        batch, not a batch.
        """
        import torch

        draw = self._balanced if self.design == "balanced" else self._independent
        for t, chosen in draw(key, len(baselines), rows):
            along = torch.from_numpy(t).to(baselines).view(-1, 1, 1, 1)
            steps = image - baselines[torch.from_numpy(chosen).to(baselines.device)]
            points = image - (1 - along) * steps
            if len(t) < rows:
                steps = torch.cat([steps, torch.zeros_like(image)[None]])
                points = torch.cat([points, image[None]])
            yield points, steps

    def _independent(
        self, key: str, baselines: int, rows: int
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Give positions in [0, 1) and indices of baselines, (n,), ``rows`` but in the last."""
        positions, choices = generator(self.seed, key, 0), generator(self.seed, key, 1)
        for start in range(0, self.samples + 1, rows):
            count = min(rows, self.samples - start)
            chosen = (choices.random(count) * baselines).astype(np.int64)
            yield positions.random(count), chosen

    def _balanced(
        self, key: str, baselines: int, rows: int
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Give positions and indices as ``_independent`` does, each as uniform, but evenly."""
        offset, choices = generator(self.seed, key, 0).random(), generator(self.seed, key, 1)
        waiting = np.zeros(0, np.int64)
        for start in range(0, self.samples + 1, rows):
            count = min(rows, self.samples - start)
            while len(waiting) < count:
                waiting = np.concatenate([waiting, choices.permutation(baselines)])
            chosen, waiting = waiting[:count], waiting[count:]
            yield line_points(offset, start, count), chosen

    def cost(self) -> Cost:
        """Count a pass per path and the image's, shared by the labels; of each label all go back.

        The background's own forward passes, once per explainer, are not counted.
        """
        return Cost(forward=self.samples + 1, backward=self.samples + 1)
