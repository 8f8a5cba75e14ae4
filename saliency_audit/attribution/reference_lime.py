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
from saliency_audit.attribution.method import RawMap
from saliency_audit.attribution.perturbation import Perturbation
from saliency_audit.attribution.scores import Score, explained_scores
from saliency_audit.attribution.seeds import legacy_seed
from saliency_audit.attribution.superpixels import numbered
from saliency_audit.ranges import Count, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class LimeImageExplainer(Perturbation):
    """lime.LimeImageExplainer with its defaults, superpixels at the image's own size included.

    ``samples``: perturbed images per image, 1 or more; ``score``: ``probability`` as in the
    paper, or ``logit``; ``seed``: 0 or more.
    """

    as_given: ClassVar[bool] = True
    samples: Count = 1000
    score: Score = "probability"
    seed: Seed = 0

    def explain_image(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        compute: Compute,
    ) -> list[RawMap]:
        """Give the maps of one image, as the package explains it."""
        import torch
        from lime.lime_image import LimeImageExplainer as Explainer

        finite = True

        def scores(points: NDArray[Any]) -> NDArray[np.float64]:
            nonlocal finite
            pixels = torch.from_numpy(points.astype(np.float32)).permute(0, 3, 1, 2)
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
