"""lime.LimeImageExplainer as a method: the reference that ours can be put beside."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.lime import ENOUGH_SUPERPIXELS
from saliency_audit.attribution.method import Cost, RawMap, check_request
from saliency_audit.attribution.scores import Score, explained_scores
from saliency_audit.attribution.seeds import check_seed, legacy_seed
from saliency_audit.attribution.superpixels import numbered
from saliency_audit.compute import evaluating
from saliency_audit.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class LimeImageExplainer:
    """lime.LimeImageExplainer with its defaults, superpixels at the image's own size included.

    ``samples``: perturbed images per image, 1 or more; ``score``: ``probability`` as in the
    paper, or ``logit``; ``seed``: 0 or more.
    """

    samples: int = 1000
    score: Score = "probability"
    seed: int = 0
    needs_background: ClassVar[bool] = False

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
        """Explain labels of images; see ``Method.explain``."""
        check_request(classifier, images, labels, keys)
        with evaluating(classifier):
            return [
                self._maps(classifier, image, asked, key, compute) if asked else []
                for image, asked, key in zip(images, labels, keys, strict=True)
            ]

    def _maps(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        compute: Compute,
    ) -> list[RawMap]:
        import torch
        from lime.lime_image import LimeImageExplainer as Explainer

        finite = True

        def scores(points: NDArray[Any]) -> NDArray[np.float64]:
            nonlocal finite
            pixels = torch.from_numpy(points.astype(np.float32)).permute(0, 3, 1, 2)
            with torch.no_grad():
                found = explained_scores(classifier, pixels, self.score, compute)
            finite = finite and bool(found.isfinite().all())
            return np.asarray(found.nan_to_num().double().cpu().numpy())

        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            explanation = Explainer(random_state=legacy_seed(self.seed, key)).explain_instance(
                image.cpu().numpy().transpose(1, 2, 0).astype(np.float64),
                scores,
                labels=tuple(labels),
                top_labels=None,
                num_samples=self.samples,
                batch_size=compute.batch,
            )
        if not finite:  # the package would stop with an error
            return [RawMap(np.full(tuple(image.shape[1:]), np.nan)) for _ in labels]
        segments = numbered(explanation.segments)
        count = int(segments.max()) + 1
        status = "few_superpixels" if count < ENOUGH_SUPERPIXELS else None
        maps: list[RawMap] = []
        for label in labels:
            weights = np.zeros(count)
            for feature, weight in explanation.local_exp[label]:
                weights[feature] = weight
            maps.append(RawMap(np.maximum(weights, 0.0)[segments], status))
        return maps

    def cost(self) -> Cost:
        """Count a forward pass per sample, shared by the labels."""
        return Cost(forward=self.samples, backward=0)
