"""The trained models of an audit, built again from the artifacts of their stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import with_weights
from saliency_audit.models.architectures import architecture_plugin
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.specification import ClassifierSpecification, read_specification
from saliency_audit.models.weights import load_weights
from saliency_audit.plugins import Plugin
from tasks import places
from tasks.artifacts import read_json
from tasks.pins import check_pin


def load_classifier(audit: str) -> tuple[Classifier, dict[str, Any]]:
    """Build an audit's classifier with its weights; gives it with its model.json.

    Raises ParameterError where a plugin builds its network, and another is installed than built it.
    """
    folder = places.train_classifier(audit)
    card: dict[str, Any] = read_json(folder / "model.json")
    specification = read_specification(folder / "model.yaml")
    check_pin("train_classifier", audit, network_plugin(specification))
    classifier = with_weights(
        specification,
        folder,
        load_weights(folder / "weights.safetensors"),
        labels=tuple(card["labels"]),
        labelling=Labelling(card["labelling"]),
        image_size=(card["image_size"][0], card["image_size"][1]),
    )
    classifier.eval()
    return classifier, card


def network_files(audit: str) -> list[Path]:
    """Give the files that decide an audit's network, whatever else lies in its folder."""
    folder = places.train_classifier(audit)
    specification = read_specification(folder / "model.yaml")
    names = ["weights.safetensors", *registry_files(specification)]
    pin = folder / "plugin.json"
    return sorted([*(folder / name for name in names), *([pin] if pin.is_file() else [])])


def registry_files(specification: ClassifierSpecification) -> list[str]:
    """Give the files of the registry from which later stages build the same network."""
    trusted = specification.adopt.trusted_architecture if specification.adopt else None
    return ["model.yaml", *([trusted] if trusted else [])]


def network_plugin(specification: ClassifierSpecification) -> Plugin | None:
    """Give the plugin that builds a classifier's network, or None; errors as of ``plugins.find``.

    A trusted architecture has a name for the report alone.
    """
    adopt = specification.adopt
    if adopt is not None and adopt.trusted_architecture is not None:
        return None
    return architecture_plugin(specification.architecture)
