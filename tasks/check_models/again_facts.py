"""Facts of what the models say when asked again: scores of held-out images, masks of chosen ones.

One pass an image, where explaining takes hundreds: so that no score, and no mask, is another's.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import decode_image, decode_mask
from saliency_audit.errors import DataError
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.segmenter import Segmenter
from saliency_audit.models.training import as_pixels
from tasks import places
from tasks.artifacts import read_rows
from tasks.gates.rule import Facts
from tasks.tables.images import IMAGES
from tasks.tables.regions import REGIONS

#: Images at a time: of large ones, a segmenter's layers take most of the gate's memory.
BATCH = 8
#: Probabilities of a pixel that say for certain on which side of one half it is, whatever rounds.
CERTAIN = (0.4, 0.6)

Batch = tuple[list[str], torch.Tensor]
Loaded = tuple[Segmenter, tuple[str, ...]]


def score_facts(dataset: str, classifier: Classifier, predictions: Facts, most: int) -> Facts:
    """Give the facts of scores, beside what the classifier says now.

    ``most``: how many images are asked of, evenly spaced by name where there are more. Of each
    prediction ``score`` and ``again``, in standard deviations of all scores.
    """
    rows = predictions.columns
    order = {label: number for number, label in enumerate(classifier.labels)}
    found: dict[str, NDArray[np.float64]] = {}
    for names, pixels in _images(dataset, _some(rows["image_id"], most)):
        found.update(zip(names, _called(classifier, pixels), strict=True))
    unit = float(np.std(rows["score"])) or 1.0
    again = [
        float(found[image_id][order[label]]) / unit
        if image_id in found and label in order
        else None
        for image_id, label in zip(rows["image_id"], rows["label"], strict=True)
    ]
    return Facts(
        "again",
        ("image_id", "label"),
        {
            "image_id": rows["image_id"],
            "label": rows["label"],
            "score": [score / unit for score in rows["score"]],
            "again": again,
        },
    )


def mask_facts(audit: str, dataset: str, loaded: Loaded | None, most: int) -> Facts:
    """Give the facts of drawn masks, beside what the segmenter says now.

    ``loaded``: the segmenter and its channels, None of a dataset without masks; ``most``: as of
    scores. Of each mask ``contradicted``: its pixels that the segmenter now puts on the other side
    for certain; ``mean_probability`` and ``again``: inside it.
    """
    names = ("image_id", "label", "contradicted", "mean_probability", "again")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    if loaded is not None:
        segmenter, channels = loaded
        drawn = _drawn(audit, channels)
        for ids, pixels in _images(dataset, _some(drawn, most)):
            for image_id, probability in zip(ids, _called(segmenter, pixels), strict=True):
                for row in drawn[image_id]:
                    own = _compared(row, probability[channels.index(row["label"])])
                    facts = {"image_id": image_id, "label": row["label"], **own}
                    for name, values in columns.items():
                        values.append(facts[name])
    return Facts("drawn", ("image_id", "label"), columns)


def _some(names: Collection[str], most: int) -> set[str]:
    """Give at most so many names, evenly spaced in their order."""
    ordered = sorted(set(names))
    return set(ordered[:: max(1, math.ceil(len(ordered) / most))])


def _compared(row: dict[str, Any], probability: NDArray[np.float64]) -> dict[str, Any]:
    facts = {"contradicted": None, "mean_probability": row["mean_probability"], "again": None}
    try:
        mask = decode_mask(row["mask"])
    except DataError:
        return facts
    if mask.shape != probability.shape:
        return facts
    low, high = CERTAIN
    wrong = (mask & (probability < low)) | (~mask & (probability > high))
    inside = float(probability[mask].mean()) if mask.any() else None
    return {**facts, "contradicted": int(wrong.sum()), "again": inside}


def _drawn(audit: str, channels: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Give the segmenter's masks by image, encoded; of labels that it draws."""
    rows = read_rows(places.predict(audit) / "regions.parquet", REGIONS)
    own = (row for row in rows if row["origin"] == "predicted" and row["label"] in channels)
    return {image_id: list(masks) for image_id, masks in groupby(own, key=itemgetter("image_id"))}


def _images(dataset: str, wanted: Collection[str]) -> Iterator[Batch]:
    """Give the names and the pixels of some images, in batches."""
    path = places.ingest(dataset) / "images.parquet"
    rows = read_rows(path, IMAGES, ["image_id", "pixels"])
    asked = (row for row in rows if row["image_id"] in wanted)
    while some := list(islice(asked, BATCH)):
        pixels = np.stack([decode_image(row["pixels"]) for row in some])
        yield [row["image_id"] for row in some], as_pixels(pixels)


def _called(model: Any, pixels: torch.Tensor) -> NDArray[np.float64]:
    """Call a model as params.yaml need not say: in float32, on the CPU."""
    compute = Compute(batch=BATCH)
    compute.prepare(model).eval()
    with torch.no_grad():
        return np.asarray(compute.call(model, pixels).double().cpu().numpy())
