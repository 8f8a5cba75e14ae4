"""What ``model.json`` says of a classifier: what it is, what it saw, how good it is, what it costs.

XAIMed (§3.1) asks every model for the numbers of its training and test images,
their resolution, their distribution over the labels and its inference cost.
No seconds: they would change with the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.compute import evaluating
from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.fitting import History
from saliency_audit.models.outputs import Reading
from saliency_audit.models.preprocessing import Preprocessing
from saliency_audit.models.proof import Proof
from saliency_audit.models.weights import model_digest
from saliency_audit.statistics.probabilities import log_loss, log_loss_multiclass
from saliency_audit.statistics.ranking import auroc


def classifier_card(
    classifier: Classifier,
    architecture: str,
    image_size: tuple[int, int],
    origin: Literal["trained", "adopted"],
    *,
    targets: Mapping[str, NDArray[np.bool_]],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    history: History | None = None,
    proof: Proof | None = None,
    stated: bool = False,
    description: str = "",
) -> dict[str, Any]:
    """Plain values for ``model.json``.

    ``proof``: that an adopted classifier is its owner's, None where there is none; ``stated``: a
    person says that its outputs are scores.

    ``image_size``: (height, width) of the dataset's images; ``targets``: by split, (images,
    labels); ``probabilities``: by split, raw, (images, labels), of the splits whose quality is
    printed (tune and test). Raises DataError where shapes differ.
    """
    return {
        "architecture": architecture,
        "description": description,
        "origin": origin,
        "adoption": None if origin == "trained" else adoption(proof, stated),
        "labels": list(classifier.labels),
        "labelling": classifier.labelling.value,
        "image_size": list(image_size),
        "input_size": list(classifier.input_size or image_size),
        "mean": classifier.get_buffer("mean").flatten().tolist(),
        "std": classifier.get_buffer("std").flatten().tolist(),
        "digest": classifier_digest(classifier, architecture),
        "parameters": sum(weight.numel() for weight in classifier.parameters()),
        "inference": {
            "passes_per_image": 1,
            "multiply_adds": multiply_adds(classifier, image_size),
        },
        "images": {split: len(rows) for split, rows in targets.items()},
        "images_per_label": {
            split: label_counts(rows, classifier.labels) for split, rows in targets.items()
        },
        "quality": {
            split: quality(rows, targets[split], classifier.labels, classifier.labelling)
            for split, rows in probabilities.items()
        },
        "training": None if history is None else training_summary(history),
    }


def adoption(proof: Proof | None, stated: bool) -> dict[str, Any]:
    """Give what is known of an adopted classifier's being the owner's.

    ``proven``: whether a reference says so; ``proof``: what was compared, None without; ``stated``:
    whether a person says that its outputs are scores.

    >>> adoption(None, stated=False)
    {'proven': False, 'proof': None, 'stated': False}
    """
    compared = None if proof is None else asdict(proof)
    return {"proven": proof is not None, "proof": compared, "stated": stated}


def classifier_digest(classifier: Classifier, architecture: str) -> str:
    """SHA-256 of all that decides a classifier's scores: weights, architecture, preprocessing."""
    extra = [
        architecture,
        *classifier.labels,
        classifier.labelling.value,
        str(classifier.input_size),
        str(classifier.get_buffer("mean").flatten().tolist()),
        str(classifier.get_buffer("std").flatten().tolist()),
        *_beside_the_usual(classifier),
    ]
    return model_digest(classifier.network.state_dict(), "\n".join(extra))


def _beside_the_usual(classifier: Classifier) -> list[str]:
    """Say what of preprocessing and outputs is not as it mostly is."""
    usual = Preprocessing()
    names = ("channels", "interpolation", "antialias")
    own = {name: getattr(classifier.preprocessing, name) for name in names}
    found = [f"{n} {value}" for n, value in own.items() if value != getattr(usual, n)]
    return found + ([str(classifier.reading)] if classifier.reading != Reading() else [])


def multiply_adds(model: torch.nn.Module, image_size: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image (1, 3, height, width).

    >>> multiply_adds(torch.nn.Conv2d(3, 16, 3, padding=1), (10, 10))  # 3·9·16·100
    43200
    """
    from torch.utils.flop_counter import FlopCounterMode

    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), evaluating(model), counter:
        model(torch.zeros(1, 3, *image_size, device=device))
    return int(counter.get_total_flops()) // 2


def label_counts(targets: NDArray[np.bool_], labels: Sequence[str]) -> dict[str, int]:
    """Images that have each label, of targets (images, labels).

    >>> label_counts(np.array([[True, False], [True, True]]), ["a", "b"])
    {'a': 2, 'b': 1}
    """
    return {label: int(targets[:, j].sum()) for j, label in enumerate(labels)}


def quality(
    probabilities: NDArray[np.floating[Any]],
    targets: NDArray[np.bool_],
    labels: Sequence[str],
    labelling: Labelling,
) -> dict[str, Any]:
    """How good probabilities (images, labels) are against targets (images, labels).

    ``auroc`` per label and ``macro_auroc``, their mean over the labels that have one, in [0, 1];
    ``log_loss`` per image (multi-label: per image and label, the mean), nats; ``accuracy`` in
    [0, 1], of the highest probability, None for multi-label. None where there is no image, no
    positive or no negative. Raises DataError where shapes differ.
    """
    if probabilities.shape != targets.shape or probabilities.ndim != 2:
        raise DataError(
            f"probabilities have shape {probabilities.shape} and targets {targets.shape}: "
            "give (images, labels) of both"
        )
    truth = targets.astype(bool)
    areas = {label: auroc(probabilities[:, j], truth[:, j]) for j, label in enumerate(labels)}
    known = [area for area in areas.values() if area is not None]
    if labelling is Labelling.MULTILABEL:
        loss = log_loss(probabilities.reshape(-1), truth.reshape(-1))
        accuracy = None
    else:
        loss = log_loss_multiclass(probabilities, truth.argmax(axis=1))
        right = probabilities.argmax(axis=1) == truth.argmax(axis=1)
        accuracy = float(right.mean()) if len(right) else None
    return {
        "auroc": areas,
        "macro_auroc": float(np.mean(known)) if known else None,
        "log_loss": loss,
        "accuracy": accuracy,
    }


def training_summary(history: History) -> dict[str, Any]:
    """Epochs that ran, the one kept, and its losses. Whether it was resumed leaves no trace."""
    kept = history.epochs[history.best - 1]
    return {
        "epochs": len(history.epochs),
        "best_epoch": history.best,
        "train_loss": kept.train_loss,
        "tune_loss": kept.tune_loss,
    }
