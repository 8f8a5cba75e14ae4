"""Facts of a classifier that is adopted without proof: what its predictions alone give away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from saliency_audit.labelling import Labelling
from saliency_audit.models.outputs import looks_like
from tasks.gates.rule import Facts


def adoption_facts(card: Mapping[str, Any], predictions: Facts) -> Facts:
    """Give what tells an adopted classifier that is not its owner's, from test images.

    No row where it was trained here or a reference proves it. ``proven``: always False;
    ``looks_like``: ``scores``, or what its scores look like the result of; ``predicted``: how many
    labels have the highest score of an image; ``below``: probability that a classifier which names
    the commonest label's share of the images rightly names as few. The last two are None of
    multi-label datasets.
    """
    adoption = card.get("adoption") or {"proven": True}
    rows = [] if adoption["proven"] else [_row(card, predictions, adoption["stated"])]
    names = ("classifier", "proven", "looks_like", "predicted", "below")
    return Facts("adoption", ("classifier",), {name: [row[name] for row in rows] for name in names})


def _row(card: Mapping[str, Any], predictions: Facts, stated: bool) -> dict[str, Any]:
    scores, targets = _grids(predictions, len(card["labels"]))
    labelling = Labelling(card["labelling"])
    given = scores[:, 1:] if labelling is Labelling.BINARY else scores
    found = None if stated else looks_like(torch.from_numpy(given))
    exclusive = labelling is not Labelling.MULTILABEL and len(scores) > 0
    return {
        "classifier": card["architecture"],
        "proven": False,
        "looks_like": found or "scores",
        "predicted": len(np.unique(scores.argmax(axis=1))) if exclusive else None,
        "below": _below(scores, targets) if exclusive else None,
    }


def _grids(predictions: Facts, labels: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give scores and targets (images, labels) of the test images that have all labels."""
    rows = predictions.columns
    own: dict[str, dict[int, tuple[float, bool]]] = {}
    for image, index, split, score, target in zip(
        *(rows[name] for name in ("image_id", "label_index", "split", "score", "target")),
        strict=True,
    ):
        if split == "test":
            own.setdefault(image, {})[index] = (score, target)
    whole = [[each[i] for i in range(labels)] for each in own.values() if len(each) == labels]
    found = np.array(whole, np.float64).reshape(len(whole), labels, 2)
    return found[..., 0], found[..., 1]


def _below(scores: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> float:
    from scipy.stats import binom

    right = int((scores.argmax(axis=1) == targets.argmax(axis=1)).sum())
    return float(binom.cdf(right, len(scores), targets.mean(axis=0).max()))
