"""Some right and some wrong predictions of the test split, with all that a page shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saliency_audit.datasets.encoding import encode_mask
from saliency_audit.datasets.selection import choose
from saliency_audit.labelling import MaskKind
from saliency_audit.measures.grid import agreement, cell_statistics, top_cells
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.segx import segx_explanation
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import top_fraction
from tasks import places
from tasks.artifacts import read_batches, read_columns, write_table
from tasks.audits import ReportParameters
from tasks.joined import JoinedRow, join
from tasks.maps import StoredRow
from tasks.regions import Mask
from tasks.summarise.rows import flags, texts
from tasks.summarise.scope import Scope
from tasks.tables.chosen import CHOSEN
from tasks.tables.gallery import gallery
from tasks.tables.predictions import PREDICTIONS

Key = tuple[str, str]


def choose_examples(cohort: pa.Table, parameters: ReportParameters) -> set[Key]:
    """Choose right and wrong predictions among counted test rows, each label in its proportion."""
    chosen: set[Key] = set()
    for side in (True, False):
        rows = cohort.filter(pa.array(flags(cohort, "correct") == side))
        keys = list(zip(texts(rows, "image_id"), texts(rows, "label"), strict=True))
        if parameters.gallery and keys:
            names = {f"{image_id}\0{label}": (image_id, label) for image_id, label in keys}
            strata = [label for _, label in keys]
            found = choose(list(names), strata, min(parameters.gallery, len(keys)), parameters.seed)
            chosen |= {names[name] for name in found}
    return chosen


def write_gallery(path: Path, scope: Scope, keys: set[Key], size: Sequence[int]) -> None:
    """Write the chosen predictions with pixels, masks, maps, top fractions and votes.

    ``keys``: image and label of each; ``size``: height and width of the maps, in pixels.
    """
    height, width = size
    audit, methods = scope.audit, scope.methods
    images = {image_id for image_id, _ in keys}
    pixels = _pixels(places.predict(audit) / "chosen.parquet", images)
    predictions = _predictions(places.predict(audit) / "predictions.parquet", images)
    with write_table(gallery(len(methods), height, width), path) as table:
        for row in join(audit, methods) if keys else ():
            key = (row.cohort["image_id"], row.cohort["label"])
            if key in keys:
                of_image = predictions[key[0]]
                known = {
                    "pixels": pixels[key[0]],
                    "targets": [r["label"] for r in of_image if r["target"]],
                    **next(r for r in of_image if r["label"] == key[1]),
                }
                table.write(_example(row, known, scope))


def _pixels(path: Path, images: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for batch in read_batches(path, CHOSEN, ["image_id", "pixels"]):
        wanted = batch.filter(
            pc.is_in(batch.column("image_id"), pa.array(sorted(images), pa.string()))
        )
        found |= dict(zip(*wanted.to_pydict().values(), strict=True))
    return found


def _predictions(path: Path, images: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the wanted images, by image, in the labels' order."""
    names = ["image_id", "label", "label_index", "probability", "calibrated", "target"]
    rows = read_columns(path, PREDICTIONS, names)
    rows = rows.filter(pc.is_in(rows.column("image_id"), pa.array(sorted(images), pa.string())))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort_by([("image_id", "ascending"), ("label_index", "ascending")]).to_pylist():
        found.setdefault(row["image_id"], []).append(row)
    return found


def _example(row: JoinedRow, known: dict[str, Any], scope: Scope) -> dict[str, Any]:
    label = row.cohort["label"]
    reading = "per_label" if row.regions.kind is MaskKind.PER_LABEL else "single"
    truth, predicted = (
        row.regions.read_truth(reading, label),
        row.regions.read_predicted(reading, label),
    )
    maps = [row.maps[method] for method in scope.methods]
    kept, grid = scope.measures.kept_fraction, scope.agreement.grid
    looks = [_look(stored, truth, predicted, kept, grid) for stored in maps]
    votes = {m: look["top_cells"] for m, look in zip(scope.methods, looks, strict=True)}
    paper = [votes[m] for m in scope.voters]
    return {
        "image_id": row.cohort["image_id"],
        "label": label,
        "correct": row.cohort["correct"],
        "targets": known["targets"],
        "probability": known["probability"],
        "calibrated": known["calibrated"],
        "pixels": known["pixels"],
        "truth": None if truth is None else encode_mask(truth),
        "predicted": None if predicted is None else encode_mask(predicted),
        "methods": list(scope.methods),
        "statuses": [stored.status for stored in maps],
        "method_statuses": [stored.method_status for stored in maps],
        "maps": np.stack([stored.values for stored in maps]),
        "tops": [look["top"] for look in looks],
        "top_cells": [look["top_cells"] for look in looks],
        "iou_original": [look["iou_original"] for look in looks],
        "iou_segx": [look["iou_segx"] for look in looks],
        "c_iou": [look["c_iou"] for look in looks],
        "counts_paper": agreement(paper, grid**2).tolist(),
        "valid_paper": sum(vote is not None for vote in paper),
        "counts_all": agreement(list(votes.values()), grid**2).tolist(),
        "valid_all": sum(vote is not None for vote in votes.values()),
    }


def _look(
    stored: StoredRow,
    truth: Mask | None,
    predicted: Mask | None,
    kept_fraction: float,
    grid: int,
) -> dict[str, Any]:
    """Say what one map shows: its top fraction and cells, and how they meet the masks."""
    values = stored.readable
    if values is None:
        return dict.fromkeys(("top", "top_cells", "iou_original", "iou_segx", "c_iou"))
    top = top_fraction(values, kept_fraction)
    if stored.status == Status.SPARSE_MAP:
        top &= values > 0
    segx = None if predicted is None else segx_explanation(values, predicted, kept_fraction) & top
    return {
        "top": encode_mask(top),
        "top_cells": top_cells(cell_statistics(values, grid).mean),
        "iou_original": _iou(top, truth),
        "iou_segx": _iou(segx, truth),
        "c_iou": None if predicted is None else iou(top, predicted),
    }


def _iou(explanation: Mask | None, truth: Mask | None) -> float | None:
    """IoU with M; None where either is missing or M marks nothing."""
    if explanation is None or truth is None or not truth.any():
        return None
    return iou(explanation, truth)
