"""An audit's profile: the distributions of its predictions and maps, for the stage ``check_drift``.

Everything that was not trained on counts; the labels of the images are the dataset's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.faithfulness.sparseness import sparseness
from saliency_audit.labelling import Labelling
from saliency_audit.measures.top_fraction import budget
from saliency_audit.quality.drift import Sample, count, sketch
from tasks import places
from tasks.artifacts import read_columns
from tasks.maps import read_maps
from tasks.profiles import label_mix
from tasks.summarise.scope import Scope
from tasks.tables.predictions import PREDICTIONS

Groups = Mapping[str, str]


def profile_audit(scope: Scope, description: Mapping[str, Any]) -> dict[str, Sample]:
    """Sketch predicted labels, confidence and each method's maps, by ``predictions/…``, ``maps/…``.

    ``description``: the audit's labels, labelling and size.
    """
    path = places.predict(scope.audit) / "predictions.parquet"
    columns = ["image_id", "label", "group_id", "calibrated", "predicted"]
    rows = read_columns(path, PREDICTIONS, columns).to_pylist()
    groups = {row["image_id"]: row["group_id"] for row in rows}
    found = {
        f"predictions/{name}": sample
        for name, sample in _of_predictions(rows, groups, description).items()
    }
    for method in scope.methods:
        maps = places.explain(scope.audit) / f"{method}.parquet"
        for name, sample in _of_maps(maps, groups, description["size"], scope).items():
            found[f"maps/{method}/{name}"] = sample
    return found


def _of_predictions(
    rows: Sequence[Mapping[str, Any]], groups: Groups, description: Mapping[str, Any]
) -> dict[str, Sample]:
    predicted: dict[str, list[str]] = {image_id: [] for image_id in groups}
    confidence = dict.fromkeys(groups, 0.0)
    for row in rows:
        image_id = row["image_id"]
        confidence[image_id] = max(confidence[image_id], row["calibrated"])
        if row["predicted"]:
            predicted[image_id].append(row["label"])
    own = list(groups.values())
    labelling = Labelling(description["labelling"])
    return {
        **label_mix(list(predicted.values()), own, description["labels"], labelling),
        "confidence": sketch(list(confidence.values()), own),
    }


def _of_maps(path: Path, groups: Groups, size: Sequence[int], scope: Scope) -> dict[str, Sample]:
    """Sketch the maps of one method that can be read, and count the statuses of all."""
    statuses, said, own = [], [], []
    measured: dict[str, list[float]] = {name: [] for name in MAP_STATISTICS}
    shown = []
    for row in read_maps(path, size):
        statuses.append(row.status)
        said.append(row.method_status)
        own.append(groups[row.image_id])
        if row.readable is not None:
            shown.append(groups[row.image_id])
            for name, value in _measure(row.readable, scope.measures.kept_fraction):
                measured[name].append(value)
    sketches = {name: sketch(values, shown) for name, values in measured.items()}
    counts = {"status": count(statuses, own), "method_status": count(said, own)}
    return {**counts, **sketches}


#: What is measured of a map m̂: the Gini index of its pixels, the share of its sum that its top
#: fraction holds, where its centre of mass lies as a share of height and width, and the standard
#: distance of its mass from there, in the same shares.
MAP_STATISTICS = ("gini", "top_share", "row", "column", "spread")


def _measure(values: NDArray[np.float16], kept: float) -> Iterator[tuple[str, float]]:
    height, width = values.shape
    mass = values.astype(np.float64)
    mass /= mass.sum()
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    down, across = mass.sum(axis=1), mass.sum(axis=0)
    row, column = float(down @ rows), float(across @ columns)
    around = float(down @ (rows - row) ** 2 + across @ (columns - column) ** 2)
    top = budget(kept, height, width)
    # A map that can be read is not zero everywhere, so it has a Gini index.
    yield "gini", sparseness(values).gini or 0.0
    yield "top_share", float(np.partition(mass, mass.size - top, axis=None)[-top:].sum())
    yield "row", row
    yield "column", column
    yield "spread", around**0.5
