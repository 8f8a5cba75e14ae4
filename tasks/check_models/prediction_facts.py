"""Facts of each prediction, beside what follows from its score, its image and the parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.labelling import Labelling
from saliency_audit.models.calibration import Calibration, sigmoid
from saliency_audit.models.thresholds import decide
from tasks import places
from tasks.artifacts import read_columns
from tasks.audits import PredictParameters
from tasks.check_models.known import Known
from tasks.gates.rule import Facts
from tasks.tables.predictions import PREDICTIONS

#: Splits of which every image has predictions.
HELD_OUT = ("tune", "calibrate", "test")
#: What each prediction is compared with, by what it is compared to.
FOLLOWS = ("raw", "scaled", "decided", "wanted")


def prediction_facts(
    audit: str, description: Mapping[str, Any], known: Known, parameters: PredictParameters
) -> Facts:
    """Give the predictions of an audit, each beside what it should be.

    ``raw`` and ``scaled``: probability and calibrated probability of the score; ``decided``:
    whether the label is predicted, by the parameters' rule; ``wanted``: whether it is to be
    explained. These are None where the scores of an image are not complete. ``own_group``,
    ``own_split``, ``own``: as the dataset has them; ``own_index``: as the classifier orders labels.
    """
    names = [column.name for column in PREDICTIONS.columns]
    table = read_columns(places.predict(audit) / "predictions.parquet", PREDICTIONS, names)
    rows = table.to_pydict()
    images = [known.images.get(image_id) for image_id in rows["image_id"]]
    labels = description["labels"]
    thresholds = description["thresholds"] or {}
    return Facts(
        "predictions",
        ("image_id", "label"),
        {
            **rows,
            "own_group": [image.group if image else None for image in images],
            "own_split": [image.split if image else None for image in images],
            "own": [
                label in image.labels if image else None
                for image, label in zip(images, rows["label"], strict=True)
            ],
            "own_index": [labels.index(n) if n in labels else None for n in rows["label"]],
            "own_threshold": [thresholds.get(n, {}).get("value") for n in rows["label"]],
            "predicted_if_explained": [
                predicted if explained else None
                for predicted, explained in zip(rows["predicted"], rows["explained"], strict=True)
            ],
            **_follow(rows, description, parameters),
        },
    )


def _follow(
    rows: Mapping[str, list[Any]], description: Mapping[str, Any], parameters: PredictParameters
) -> dict[str, list[Any]]:
    """Compute from the scores what the other columns should be, of the images that have all."""
    found: dict[str, list[Any]] = {name: [None] * len(rows["image_id"]) for name in FOLLOWS}
    grid = _complete(rows, len(description["labels"]))
    if not len(grid):
        return found
    scores = np.array(rows["score"])[grid]
    labelling = Labelling(description["labelling"])
    calibration = Calibration.from_json(description["calibration"])
    thresholds = description["thresholds"]
    by_threshold = labelling is Labelling.MULTICLASS and parameters.rule == "thresholds"
    raw = sigmoid(scores) if by_threshold else _uncalibrated(calibration, scores.shape[1], scores)
    decided = decide(
        raw,
        labelling,
        parameters.rule,
        None if thresholds is None else [thresholds[n]["value"] for n in description["labels"]],
    )
    wanted = decided.copy()
    if parameters.explain_labels == "predicted_or_top1":
        nothing = ~decided.any(axis=1)
        wanted[nothing, scores[nothing].argmax(axis=1)] = True
    wanted &= np.array(rows["chosen"])[grid]
    values = (raw, calibration.apply(scores), decided, wanted)
    for name, matrix in zip(FOLLOWS, values, strict=True):
        for row, value in zip(grid.reshape(-1).tolist(), matrix.reshape(-1).tolist(), strict=True):
            found[name][row] = value
    return found


def _uncalibrated(
    calibration: Calibration, labels: int, scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities as of a calibration that changes nothing."""
    plain = replace(calibration, slope=(1.0,) * labels, intercept=(0.0,) * labels)
    return plain.apply(scores)


def _complete(rows: Mapping[str, list[Any]], labels: int) -> NDArray[np.int64]:
    """Give the rows (images, labels) of the images that have one score of each label."""
    members: dict[str, dict[int, int]] = {}
    for row, (image_id, index) in enumerate(
        zip(rows["image_id"], rows["label_index"], strict=True)
    ):
        members.setdefault(image_id, {})[index] = row
    whole = [own for own in members.values() if sorted(own) == list(range(labels))]
    grid = [[own[index] for index in range(labels)] for own in whole]
    return np.array(grid, np.int64).reshape(-1, labels)


def image_facts(predictions: Facts, known: Known, description: Mapping[str, Any]) -> Facts:
    """Give per held-out image how many predictions it has, and what they sum to.

    Sums are None where labels do not exclude each other, or each has a sigmoid of its own.
    ``chosen``: how many values of that its rows have, which should be one.
    """
    rows = predictions.columns
    counts = Counter(rows["image_id"])
    raw: Counter[str] = Counter()
    scaled: Counter[str] = Counter()
    chosen: dict[str, set[bool]] = {}
    for image_id, probability, calibrated, is_chosen in zip(
        rows["image_id"], rows["probability"], rows["calibrated"], rows["chosen"], strict=True
    ):
        raw[image_id] += probability
        scaled[image_id] += calibrated
        chosen.setdefault(image_id, set()).add(is_chosen)
    held_out = {i for i, image in known.images.items() if image.split in HELD_OUT}
    ids = sorted(held_out | set(counts))
    exclusive = description["labelling"] != Labelling.MULTILABEL
    one_of = exclusive and description["thresholds"] is None
    return Facts(
        "held_out",
        ("image_id",),
        {
            "image_id": ids,
            "is_held_out": [image_id in held_out for image_id in ids],
            "rows": [counts[image_id] for image_id in ids],
            "probability_sum": [raw.get(i) if one_of else None for i in ids],
            "calibrated_sum": [scaled.get(i) if exclusive else None for i in ids],
            "chosen_values": [len(chosen.get(i, ())) for i in ids],
        },
    )
