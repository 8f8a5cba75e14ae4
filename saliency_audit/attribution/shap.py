"""SHAP values by expected gradients: gradients on random paths from background images.

The values are those of Lundberg and Lee 2017, the estimate is that of Erion et al. 2021.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap, background_of
from saliency_audit.attribution.quasi_random import line_points
from saliency_audit.attribution.seeds import generator
from saliency_audit.compute import evaluating
from saliency_audit.ranges import Count, Seed

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


@dataclass(frozen=True)
class ExpectedGradients(Method):
    """A method whose attributions add up to the score minus its mean over the background.

    ``samples``: random paths per image, 1 or more; ``sign``: ``positive`` maps max(Σ_c φ_c, 0),
    ``absolute`` maps the mean of |φ_c| over the channels; ``seed``: 0 or more. ``as_given``:
    whether it calls the classifier as it is, not made ready ``for_inference``.
    """

    name: ClassVar[str]
    as_given: ClassVar[bool] = False
    samples: Count = 200
    sign: Sign = "positive"
    seed: Seed = 0

    @property
    def words(self) -> str:
        """How many paths, and which evidence the map shows."""
        return f"{self.samples:,} random paths per image, {self.evidence}, seed {self.seed}"

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

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``. Maps have a completeness."""
        return _ExpectedGradientsExplainer(self, classifier, compute, background)


class _ExpectedGradientsExplainer(Explainer):
    """Explains one image after the other; the background's scores are computed once."""

    def __init__(
        self,
        method: ExpectedGradients,
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
        background_of(self._method.name, images, self._background)
        if len(images) == 0:
            return []
        classifier, attribute, expected = self._ready((int(images.shape[2]), int(images.shape[3])))
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

    def _at_size(self, size: tuple[int, int]) -> tuple[Classifier, Attribute, NDArray[np.float64]]:
        """Give the classifier, what attributes, and the background's mean scores (labels,)."""
        import torch

        from saliency_audit.models.inference import for_inference

        assert self._background is not None  # background_of has checked it
        baselines = self._background.to(self.compute.device)
        ready = (
            self.classifier
            if self._method.as_given
            else for_inference(self.classifier, self.compute, size)
        )
        with evaluating(ready), torch.no_grad():
            expected = self.compute.call(ready, baselines).double().mean(dim=0)
        attribute = self._method.attributor(ready, baselines, self.compute)
        return ready, attribute, np.asarray(expected.cpu().numpy())


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
        import torch

        def attribute(
            image: Tensor, labels: Sequence[int], key: str
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            total = torch.zeros(
                (len(labels), *image.shape), dtype=torch.float64, device=compute.device
            )
            own = torch.empty(0)
            for points, steps in self._paths(image, baselines, key, compute.batch):
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
            return (total / self.samples).cpu().numpy(), own.cpu().numpy()

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
