"""The trained models of an audit, built again from the artifacts of their stages."""

from __future__ import annotations

from typing import Any

from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import with_weights
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.specification import read_specification
from saliency_audit.models.weights import load_weights
from tasks import places
from tasks.artifacts import read_json


def load_classifier(audit: str) -> tuple[Classifier, dict[str, Any]]:
    """Build an audit's classifier with its weights; gives it with its model.json."""
    folder = places.train_classifier(audit)
    card: dict[str, Any] = read_json(folder / "model.json")
    classifier = with_weights(
        read_specification(folder / "model.yaml"),
        folder,
        load_weights(folder / "weights.safetensors"),
        labels=tuple(card["labels"]),
        labelling=Labelling(card["labelling"]),
        image_size=(card["image_size"][0], card["image_size"][1]),
    )
    classifier.eval()
    return classifier, card
