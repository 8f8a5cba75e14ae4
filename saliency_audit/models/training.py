"""Training of classifiers: their data, their losses, and what is done about imbalance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.models.augmentation import Augmentation, augment, draws
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.fitting import AUGMENT, FitParameters, History, fit
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Interval


@dataclass(frozen=True)
class TrainingParameters(FitParameters):
    """How a classifier is trained: FitParameters, and what is done about imbalance.

    ``class_weights``: ``balanced`` weighs labels by their inverse frequency in the training split,
    ``none`` weighs every image alike; ``weight_cap``: no weight is above this (1 or more), so
    that a label of a handful of images does not rule the training.
    """

    class_weights: Literal["balanced", "none"] = "balanced"
    weight_cap: Annotated[float, Interval(ge=1)] = 20.0


class TrainingData(Protocol):
    """Images by index with their labels, read as they are needed."""

    @property
    def targets(self) -> NDArray[Any]:
        """Whether an image has a label, (images, labels), 0 and 1 or booleans."""

    @property
    def train(self) -> Sequence[int]:
        """Indices of the images to learn from."""

    @property
    def tune(self) -> Sequence[int]:
        """Indices of the images that decide when to stop."""

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give images by index, (n, height, width, 3), 0 to 255."""


def train(
    classifier: Classifier,
    data: TrainingData,
    parameters: TrainingParameters,
    compute: Compute,
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> History:
    """Train a classifier in place and say how it went; the best epoch's weights stay.

    The loss is the cross-entropy for multi-class, a binary cross-entropy per label for
    multi-label, and one of the single output for binary (XAIMed §4.2). ``checkpoint`` as in
    ``fitting.fit``. Raises DataError for a label without an image in the training split or targets
    of the wrong form, ModelError where the loss is no number.
    """
    targets = np.asarray(data.targets, dtype=np.float32)
    check_targets(targets, classifier.labels, classifier.labelling)
    weights = label_weights(
        targets[np.asarray(data.train, dtype=np.int64)],
        classifier.labels,
        classifier.labelling,
        parameters,
    )
    network = classifier.network

    def loss(indices: Sequence[int], kept: int, epoch: int | None) -> Tensor:
        images = as_pixels(data.images(indices))
        if epoch is not None and isinstance(parameters.augmentation, Augmentation):
            drawn = draws([parameters.seed, AUGMENT, epoch], indices)
            images, _ = augment(images, None, parameters.augmentation, drawn)
        scores = classifier(compute.place(images))[:kept]
        wanted = torch.from_numpy(targets[list(indices)])[:kept].to(scores.device)
        return classification_loss(scores, wanted, classifier.labelling, weights.to(scores.device))

    classifier.to(compute.start())
    history = fit(
        network,
        loss,
        {"train": data.train, "tune": data.tune},
        parameters,
        compute,
        inputs=hashlib.sha256(np.ascontiguousarray(targets).tobytes()).hexdigest(),
        checkpoint=checkpoint,
        progress=progress,
    )
    classifier.eval()
    return history


def as_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Pixels (n, 3, H, W) in [0, 1], float32, of images (n, H, W, 3) from 0 to 255."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255


def check_targets(
    targets: NDArray[np.float32], labels: tuple[str, ...], labelling: Labelling
) -> None:
    """Raise DataError unless targets are (images, labels) of 0 and 1, one each if exclusive."""
    if targets.ndim != 2 or targets.shape[1] != len(labels):
        raise DataError(
            f"targets have shape {targets.shape}: give (images, {len(labels)}) for "
            f"the labels {', '.join(labels)}"
        )
    odd = np.flatnonzero(~np.isin(targets, (0, 1)).all(axis=1))
    if odd.size:
        raise DataError(f"the targets of image {odd[0]} are not 0 or 1: mend that row")
    if labelling is not Labelling.MULTILABEL:
        many = np.flatnonzero(targets.sum(axis=1) != 1)
        if many.size:
            raise DataError(
                f"image {many[0]} has {int(targets[many[0]].sum())} labels: a {labelling.value} "
                "classifier wants exactly one; mend that row or make the dataset multilabel"
            )


def label_weights(
    targets: NDArray[np.float32],
    labels: tuple[str, ...],
    labelling: Labelling,
    parameters: TrainingParameters,
) -> Tensor:
    """Weights (labels,) of the loss, float32, from the training targets (images, labels).

    Balanced, of labels that exclude each other: N / (labels · N_j), mean 1 over the images. Of
    multi-label, the weight of a positive: negatives / positives. Each within
    ``weight_cap`` and its inverse. Raises DataError naming a label without any image.
    """
    positives = targets.sum(axis=0, dtype=np.float64)
    for label, count in zip(labels, positives, strict=True):
        if count == 0:
            raise DataError(
                f"the label {label!r} has no image in the training split: add images of it, "
                "drop the label, or change split.seed"
            )
    if parameters.class_weights == "none":
        return torch.ones(len(labels))
    if labelling is Labelling.MULTILABEL:
        weights = (len(targets) - positives) / positives
    else:
        weights = len(targets) / (len(labels) * positives)
    return torch.from_numpy(
        np.clip(weights, 1 / parameters.weight_cap, parameters.weight_cap).astype(np.float32)
    )


def classification_loss(
    scores: Tensor, targets: Tensor, labelling: Labelling, weights: Tensor
) -> Tensor:
    """Mean loss (a scalar) of scores (B, labels) against targets (B, labels) of 0 and 1.

    ``weights`` (labels,): of an image by its label, or, multi-label, of a positive. With weights w
    and probabilities p: mean of -w_y ln p_y over images; multi-label the mean of
    -(w_j y_j ln p_j + (1 - y_j) ln(1 - p_j)) over images and labels.
    """
    if labelling is Labelling.MULTILABEL:
        return nn.functional.binary_cross_entropy_with_logits(scores, targets, pos_weight=weights)
    if labelling is Labelling.BINARY:
        losses = nn.functional.binary_cross_entropy_with_logits(
            scores[:, 1], targets[:, 1], reduction="none"
        )
    else:
        losses = nn.functional.cross_entropy(scores, targets.argmax(dim=1), reduction="none")
    return (losses * (targets @ weights)).mean()
