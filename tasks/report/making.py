"""What the page says of how its dataset's numbers were made: parameters, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from saliency_audit.datasets.splitting import SplitParameters
from tasks.audits import MeasureParameters
from tasks.params import Parameters, build_method
from tasks.presets import PAPER


@dataclass(frozen=True)
class Making:
    """Parameters of a dataset's audits.

    ``paper``: whether they are the papers' by ``preset``; ``methods``: what each says of itself,
    by its name.
    """

    paper: bool
    split: SplitParameters
    measures: MeasureParameters
    methods: Mapping[str, str]

    @classmethod
    def read(cls, params: Parameters) -> Making:
        """Read what the stage declares; raises ParameterError."""
        return cls(
            params.value("preset") == PAPER,
            params.read("split", SplitParameters),
            params.read("measures", MeasureParameters),
            {
                method: build_method(method, params.value(f"method.{method}")).words
                for method in params.value("methods")
            },
        )


def training_in_words(card: Mapping[str, Any]) -> str:
    """Say how a classifier got its weights, from its model card.

    >>> training_in_words({"origin": "adopted", "adoption": {"proof": None}})
    'adopted with its weights, without proof; not trained here'
    """
    if card["origin"] != "trained":
        proof = (card.get("adoption") or {}).get("proof")
        said = (
            "without proof"
            if proof is None
            else f"and proven by {proof['images']} of its owner's outputs"
        )
        return f"adopted with its weights, {said}; not trained here"
    given = card["trained_with"]
    start = "ImageNet weights" if given["pretrained"] else "random weights"
    weighed = {
        "balanced": f"labels weighed by their frequency, at most {given['weight_cap']:g}-fold",
        "none": "labels weighed alike",
    }
    return f"from {start}, {fitting_in_words(given)}; {weighed[given['class_weights']]}"


def segmenter_in_words(card: Mapping[str, Any]) -> str:
    """Say what a segmenter is and how it was trained, from its model card."""
    if card["status"] == "no_masks":
        return "none: the dataset has no masks"
    given = card["parameters"]
    start = "ImageNet weights" if given["encoder_weights"] else "random weights"
    return (
        f"U-Net with encoder {given['encoder']}, {given['encoder_depth']} halvings, from {start}, "
        f"{fitting_in_words(given)}; {given['ce_weight']:g} cross-entropy against Dice"
    )


def fitting_in_words(given: Mapping[str, Any]) -> str:
    """Say how a network was fitted: FitParameters as plain values.

    >>> fitting_in_words({"epochs": 8, "batch": 8, "optimiser": "adam", "learning_rate": 0.004,
    ...                   "schedule": "cosine", "weight_decay": 0.0, "patience": 4,
    ...                   "augmentation": False, "seed": 0})
    'at most 8 epochs of batches of 8, adam at 0.004 (cosine), patience 4, no augmentation, seed 0'
    """
    decay = f", weight decay {given['weight_decay']:g}" if given["weight_decay"] else ""
    return (
        f"at most {given['epochs']} epochs of batches of {given['batch']}, {given['optimiser']} at "
        f"{given['learning_rate']:g} ({given['schedule']}){decay}, patience {given['patience']}, "
        f"{_augmentation_in_words(given['augmentation'])}, seed {given['seed']}"
    )


def _augmentation_in_words(given: Mapping[str, Any] | bool) -> str:
    changes = given if isinstance(given, Mapping) else {}
    said = [
        name.replace("_", " ") if value is True else f"{name} {value:g}"
        for name, value in changes.items()
        if value
    ]
    return f"augmented by {', '.join(said)}" if said else "no augmentation"
