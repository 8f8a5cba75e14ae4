"""The page's gallery: right and wrong predictions with their maps, as in the papers' figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from saliency_audit.datasets.encoding import decode_image, decode_mask
from saliency_audit.measures.confidence import confidence
from saliency_audit.measures.grid import cell_bounds
from tasks import places
from tasks.artifacts import read_batches
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.maps_section import METHOD_STATUSES, STATUSES
from tasks.report.numerals import percent, score
from tasks.report.picture import image_uri, map_uri, outline, overlay_uri, palette
from tasks.report.section import Caution, Gallery, Section
from tasks.tables.gallery import gallery


def gallery_section(inputs: Inputs) -> Section:
    """Show some right and some wrong predictions of each audit."""
    lead = (
        f"A seeded choice of test predictions. White: the {percent(inputs.kept)} of pixels with "
        "the highest saliency. Red: what SegX keeps of them, inside the segmenter's mask. Solid "
        "line: the clinician's mask M. Dashed line: the segmenter's mask P. Squares on a map: its "
        "three top cells. Numbers on the grid: how many methods share the cell."
    )
    found = [_of_audit(inputs.dataset, audit, number) for number, audit in enumerate(inputs.audits)]
    shown = [part for part in found if part.examples]
    none = [
        Caution(
            "There is nothing to show: no explained prediction of the test split counts, or "
            "report.gallery is 0."
        )
    ]
    return Section("gallery", "Look at some", lead, shown or none)


def _of_audit(dataset: str, audit: AuditSummary, number: int) -> Gallery:
    height, width = audit.numbers.description["size"]
    path = places.summarise(dataset, audit.audit) / "gallery.parquet"
    declared = gallery(len(audit.methods), height, width)
    grid = audit.numbers.parameters.grid
    voters = [spell(m) for m in audit.numbers.parameters.agreement_methods]
    examples: list[dict[str, Any]] = []
    for batch in read_batches(path, declared):
        flat = batch.column("maps").storage.flatten().to_numpy(zero_copy_only=False)
        maps = np.asarray(flat, np.float16).reshape(-1, len(audit.methods), height, width)
        for row, values in zip(batch.drop_columns(["maps"]).to_pylist(), maps, strict=True):
            identifier = f"g{number}-{len(examples)}"
            examples.append(_example(row, values, grid, voters, identifier))
    # Wrong predictions first: they are what a reader comes for.
    examples.sort(key=lambda example: bool(example["correct"]))
    return Gallery(audit.model, f"gallery-{number}", examples)


def colour_bar() -> str:
    """Give the colours of a map from 0 to 1, as stops of a gradient for the style sheet."""
    return ",".join(f"rgb({r},{g},{b})" for r, g, b in palette()[::7])


def _example(
    row: dict[str, Any],
    maps: np.ndarray[Any, np.dtype[np.float16]],
    grid: int,
    voters: list[str],
    identifier: str,
) -> dict[str, Any]:
    pixels = decode_image(row["pixels"])
    height, width = pixels.shape[:2]
    truth = None if row["truth"] is None else decode_mask(row["truth"])
    predicted = None if row["predicted"] is None else decode_mask(row["predicted"])
    masks = [
        words
        for words, mask in (("M (clinician)", truth), ("P (segmenter)", predicted))
        if mask is not None and mask.any()
    ]
    return {
        "identifier": identifier,
        "image_id": row["image_id"],
        "label": row["label"],
        "targets": row["targets"],
        "correct": row["correct"],
        "probability": score(row["probability"]),
        "calibrated": score(row["calibrated"]),
        "level": str(confidence(row["calibrated"])),
        "raw_level": str(confidence(row["probability"])),
        "height": height,
        "width": width,
        "image": image_uri(pixels, row["pixels"]),
        "truth": "" if truth is None else outline(truth),
        "predicted": "" if predicted is None else outline(predicted),
        "mask_words": " and ".join(masks) if masks else "no mask",
        "empty_mask": predicted is not None and not predicted.any(),
        "panels": list(_panels(row, maps, predicted, grid)),
        "votes": _votes(row, grid, height, width),
        "voters": ", ".join(voters),
    }


def _panels(
    row: dict[str, Any],
    maps: np.ndarray[Any, np.dtype[np.float16]],
    predicted: np.ndarray[Any, np.dtype[np.bool_]] | None,
    grid: int,
) -> Iterator[dict[str, Any]]:
    for place, method in enumerate(row["methods"]):
        panel: dict[str, Any] = {
            "method": spell(method),
            "status": _said(row["statuses"][place], row["method_statuses"][place]),
            "map": "",
        }
        if row["tops"][place] is not None:
            top = decode_mask(row["tops"][place])
            segx = None if predicted is None else top & predicted
            panel |= {
                "map": map_uri(maps[place]),
                "overlay": overlay_uri(top, segx),
                "cells": [_cell(c, grid, *top.shape) for c in row["top_cells"][place]],
                "iou_original": score(row["iou_original"][place]),
                "iou_segx": score(row["iou_segx"][place]),
                "c_iou": score(row["c_iou"][place]),
            }
        yield panel


def _said(status: str, method_status: str) -> str:
    """Say what is special about a map, by its values and by its method; empty where nothing is."""
    found = [
        words.get(word, word)
        for word, words in ((status, STATUSES), (method_status, METHOD_STATUSES))
        if word != "ok"
    ]
    return ", ".join(found)


def _cell(cell: int, grid: int, height: int, width: int) -> dict[str, float]:
    """Where a cell lies in the image, in pixels."""
    top, bottom = cell_bounds(height, grid)[cell // grid]
    left, right = cell_bounds(width, grid)[cell % grid]
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _votes(row: dict[str, Any], grid: int, height: int, width: int) -> dict[str, Any]:
    counts: Sequence[int] = row["counts_paper"]
    valid = row["valid_paper"]
    return {
        "valid": valid,
        "cells": [
            {
                **_cell(cell, grid, height, width),
                "votes": votes,
                "shade": f"{0.75 * (1 - votes / valid) if valid else 0:.2f}",
            }
            for cell, votes in enumerate(counts)
        ],
        "size": f"{min(height, width) / grid * 0.5:.1f}",
        "rows": [list(counts[r * grid : (r + 1) * grid]) for r in range(grid)],
    }
