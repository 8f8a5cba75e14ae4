"""Which number of a classifier's output is explained: a label's score or its probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: ``logit``: before softmax or sigmoid; ``probability``: after it, in [0, 1].
Score = Literal["probability", "logit"]


def explained_scores(
    classifier: Classifier, images: Tensor, score: Score, compute: Compute
) -> Tensor:
    """Give what is explained of each label, (N, labels), of images (N, 3, H, W).

    Every call of the classifier has the batch shape of ``compute``. Gradients flow if enabled.
    """
    outputs = compute.call(classifier, images)
    return classifier.probabilities(outputs) if score == "probability" else outputs
