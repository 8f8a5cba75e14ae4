"""LIME: which superpixels the probability hangs on, by a linear surrogate around the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import Cost, Explainer, RawMap
from saliency_audit.attribution.orthogonal import Design
from saliency_audit.attribution.perturbation import Perturbation, PerturbationExplainer
from saliency_audit.attribution.scores import Score, explained_scores
from saliency_audit.attribution.seeds import generator, legacy_seed
from saliency_audit.attribution.superpixels import Quickshift, mean_colours
from saliency_audit.attribution.surrogate import (
    WeightedRidge,
    all_designs,
    designs,
    orthogonal_designs,
    proximity,
)
from saliency_audit.compute import evaluating
from saliency_audit.ranges import Count, NotNegative, Positive, Seed, Share

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: With fewer superpixels than this the map is mostly ties: status ``few_superpixels``.
ENOUGH_SUPERPIXELS = 20


@dataclass(frozen=True)
class Lime(Perturbation):
    """LIME (Ribeiro et al. 2016), the image variant of the lime package.

    Superpixels by quickshift; in each sample a random half of them is filled with their mean
    colour; a ridge regression on which are visible, weighted by √exp(-d²/kernel_width²) of the
    cosine distance d; positive weights are the map. Given the same superpixels, seed and scores,
    the weights are those of the lime package.

    ``samples``: perturbed images per image, 1 or more (all 2^S of S superpixels, if those are
    fewer); ``design``: how they are drawn, ``independent`` as in the paper and the package, or
    ``orthogonal`` (see ``surrogate``), which reaches the same error with fewer, and draws as many
    more as make its last block whole; ``seed``: 0 or more; ``score``: ``probability`` as in the
    paper, or ``logit``; ``kernel_width``: above 0; ``alpha``: penalty of the regression, 0 or more;
    ``segmentation_size``: shorter side in pixels at which superpixels are found, at least;
    ``kernel_size``, ``max_dist``, ``ratio``: of quickshift.
    """

    #: In whole blocks as near to the limit as 1,000 independent ones.
    samples: Count = 333
    design: Design = "orthogonal"
    seed: Seed = 0
    score: Score = "probability"
    kernel_width: Positive = 0.25
    alpha: NotNegative = 1.0
    segmentation_size: Count = 224
    kernel_size: Positive = 4
    max_dist: Positive = 200
    ratio: Share = 0.2

    @property
    def words(self) -> str:
        """How many samples, of which superpixels, and how they are weighed.

        >>> Lime().words
        '333 orthogonal samples or more, in whole blocks, of the probability, kernel width 0.25,
        ridge penalty 1; superpixels by quickshift at 224 pixels, kernel 4, distance 200, ratio 0.2;
        seed 0'
        """
        blocks = " or more, in whole blocks," if self.design == "orthogonal" else ""
        return (
            f"{self.samples:,} {self.design} samples{blocks} of the {self.score}, kernel width "
            f"{self.kernel_width:g}, ridge penalty {self.alpha:g}; superpixels by quickshift at "
            f"{self.segmentation_size} pixels, kernel {self.kernel_size:g}, distance "
            f"{self.max_dist:g}, ratio {self.ratio:g}; seed {self.seed}"
        )

    def _quickshift(self) -> Quickshift:
        return Quickshift(self.segmentation_size, self.kernel_size, self.max_dist, self.ratio)

    def explain_image(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        compute: Compute,
    ) -> list[RawMap]:
        """Give the maps of one image, of the superpixels that quickshift finds."""
        segments = self.segments(image.cpu().numpy())
        return self.explain_segments(classifier, image, labels, key, segments, compute)

    def segments(self, image: NDArray[np.float32]) -> NDArray[np.int64]:
        """Give the superpixel of each pixel of an image (3, H, W), (H, W), from 0."""
        return self._quickshift().segments(image)

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``. Superpixels of images that come next are found beside."""
        return _LimeExplainer(self, classifier, compute)

    def cost(self) -> Cost:
        """Count a forward pass per sample, shared; the last block and few superpixels change it."""
        return Cost(forward=self.samples, backward=0, forward_exact=False)

    def explain_segments(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        segments: NDArray[np.int64],
        compute: Compute,
    ) -> list[RawMap]:
        """Explain labels of one image (3, H, W) whose superpixels (H, W) are given, from 0."""
        weights = self.weights(classifier, image, labels, key, segments, compute)
        status = "few_superpixels" if len(weights) < ENOUGH_SUPERPIXELS else None
        return [RawMap(np.maximum(column, 0.0)[segments], status) for column in weights.T]

    def weights(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        segments: NDArray[np.int64],
        compute: Compute,
    ) -> NDArray[np.float64]:
        """Weights (superpixels, labels) of the surrogate; arguments as of ``explain_segments``."""
        import torch

        count = int(segments.max()) + 1
        # Channels last from the start: no copy of every batch into that layout.
        pixels = image.to(compute.device).permute(1, 2, 0).contiguous()
        colours = torch.from_numpy(mean_colours(image.cpu().numpy(), segments))
        filled = colours.to(compute.device).permute(1, 2, 0).contiguous()
        places = torch.from_numpy(segments).to(compute.device)
        ridge = WeightedRidge(count, len(labels), self.alpha)
        first: NDArray[np.float64] | None = None
        with evaluating(classifier), torch.no_grad():
            for visible in self._designs(count, key, compute.batch):
                shown = torch.from_numpy(visible).to(compute.device)[:, places][..., None]
                images = torch.where(shown, pixels, filled).permute(0, 3, 1, 2)
                scores = explained_scores(classifier, images, self.score, compute)
                f = scores[:, list(labels)].double().cpu().numpy()
                # A surrogate's weights do not depend on an offset; without it, those of a
                # constant score are exactly 0.
                first = f[0].copy() if first is None else first
                ridge.add(
                    visible.astype(np.float64), f - first, proximity(visible, self.kernel_width)
                )
        return ridge.coefficients()

    def _designs(self, superpixels: int, key: str, rows: int) -> Iterator[NDArray[np.bool_]]:
        """Give which superpixels are visible in each sample, in arrays (n, superpixels)."""
        if 2**superpixels < self.samples:
            return all_designs(superpixels, rows)
        if self.design == "orthogonal":
            return orthogonal_designs(self.samples, superpixels, generator(self.seed, key, 0), rows)
        random = np.random.RandomState(legacy_seed(self.seed, key))
        random.randint(0, 1000)  # the lime package draws a seed for its segmentation first
        return designs(self.samples, superpixels, random, rows)


class _LimeExplainer(PerturbationExplainer):
    """Explains one image after the other, while a thread finds the superpixels of those to come.

    scikit-image's quickshift lets other threads run, so a process of its own would gain nothing.
    """

    def __init__(self, method: Lime, classifier: Classifier, compute: Compute) -> None:
        super().__init__(method, classifier, compute)
        self._lime = method
        self._beside = ThreadPoolExecutor(max_workers=1)
        self._coming: dict[bytes, Future[NDArray[np.int64]]] = {}

    def foresee(self, images: Tensor) -> None:
        """Begin to find the superpixels of images (B, 3, H, W)."""
        for image in images:
            pixels = image.cpu().numpy()
            if pixels.tobytes() not in self._coming:
                self._coming[pixels.tobytes()] = self._beside.submit(self._lime.segments, pixels)

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        for image, asked in zip(images, labels, strict=True):
            if asked:
                self.foresee(image[None])
        return super().maps(images, labels, keys)

    def image_maps(
        self, classifier: Classifier, image: Tensor, labels: Sequence[int], key: str
    ) -> list[RawMap]:
        """Explain labels of one image (3, H, W)."""
        pixels = image.cpu().numpy()
        coming = self._coming.pop(pixels.tobytes(), None)  # None: it came twice
        segments = self._lime.segments(pixels) if coming is None else coming.result()
        return self._lime.explain_segments(classifier, image, labels, key, segments, self.compute)
