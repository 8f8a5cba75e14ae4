"""The segmenter of a dataset, built again from the artifact of its stage."""

from __future__ import annotations

from dataclasses import replace

from saliency_audit.models.segmenter import Segmenter, SegmenterParameters, build_segmenter
from saliency_audit.models.weights import load_into, load_weights
from tasks import places
from tasks.artifacts import read_json
from tasks.params import build


def load_segmenter(dataset: str) -> tuple[Segmenter, tuple[str, ...]] | None:
    """Build a dataset's segmenter with its weights; with its channels; None without."""
    folder = places.train_segmenter(dataset)
    card = read_json(folder / "model.json")
    if card["status"] == "no_masks":
        return None
    given = build(SegmenterParameters, card["parameters"], "segmenter")
    # The weights are at hand: nothing is downloaded to be overwritten.
    parameters = replace(given, encoder_weights=None)
    channels = tuple(card["channels"])
    segmenter = build_segmenter(parameters, len(channels))
    load_into(segmenter.network, load_weights(folder / "weights.safetensors"), given.encoder)
    segmenter.eval()
    return segmenter, channels
