"""Facts of the images that are explained, and of those that SHAP compares them with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saliency_audit.datasets.encoding import decode_image, pixel_sha256
from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL
from tasks import places
from tasks.artifacts import read_rows
from tasks.check_models.known import Known
from tasks.gates.rule import Facts
from tasks.tables.chosen import CHOSEN


def chosen_facts(
    audit: str,
    predictions: Facts,
    regions: Facts,
    known: Known,
    description: Mapping[str, Any],
) -> Facts:
    """Give per chosen image its pixels' digests, what is explained of it, and its masks' number.

    An image that is chosen in the predictions and has no row here stands with ``listed`` False.
    """
    wanted = _wanted(predictions, description["labels"])
    drawn = Counter(_ids(regions, "predicted"))
    marked = Counter(_ids(regions, "truth"))
    channels = _channels(description)
    owned = Counter(
        image_id
        for image_id, label in known.masks
        if image_id in known.images
        and (label == EVERY_LABEL or label in known.images[image_id].labels)
    )
    rows = {row["image_id"]: row for row in _digested(places.predict(audit) / "chosen.parquet")}
    ids = sorted(rows.keys() | wanted.keys())
    return Facts(
        "chosen",
        ("image_id",),
        {
            **_of_pixels(ids, rows, known),
            "listed": [image_id in rows for image_id in ids],
            "explain": [rows[i]["explain"] if i in rows else None for i in ids],
            "wanted": [json.dumps(wanted.get(i), ensure_ascii=False) for i in ids],
            "drawn": [drawn[image_id] for image_id in ids],
            "channels": [channels for _ in ids],
            "marked": [marked[image_id] for image_id in ids],
            "owned": [owned[image_id] for image_id in ids],
        },
    )


def background_facts(audit: str, known: Known) -> Facts:
    """Give per background image its split and its pixels' digests."""
    rows = {r["image_id"]: r for r in _digested(places.predict(audit) / "background.parquet")}
    ids = sorted(rows)
    return Facts(
        "background",
        ("image_id",),
        {
            **_of_pixels(ids, rows, known),
            "split": [known.images[i].split if i in known.images else None for i in ids],
        },
    )


def _of_pixels(ids: list[str], rows: Mapping[str, Any], known: Known) -> dict[str, list[Any]]:
    return {
        "image_id": ids,
        "pixel_sha256": [rows[i]["pixel_sha256"] if i in rows else None for i in ids],
        "found_sha256": [rows[i]["found"] if i in rows else None for i in ids],
        "own_sha256": [known.images[i].pixel_sha256 if i in known.images else None for i in ids],
    }


def _digested(path: Path) -> Iterator[dict[str, Any]]:
    """Give the rows of a table of pixels, with the digest that these have in their place."""
    for row in read_rows(path, CHOSEN):
        try:
            found = pixel_sha256(decode_image(row["pixels"]))
        except DataError:
            found = "not readable"
        yield {
            "image_id": row["image_id"],
            "pixel_sha256": row["pixel_sha256"],
            "found": found,
            "explain": json.dumps(row["explain"], ensure_ascii=False),
        }


def _wanted(predictions: Facts, labels: list[str]) -> dict[str, list[str]]:
    """Give by chosen image the labels that its predictions say to explain, in the labels' order."""
    rows = predictions.columns
    found: dict[str, list[str]] = {}
    for image_id, label, chosen, explained in zip(
        rows["image_id"], rows["label"], rows["chosen"], rows["explained"], strict=True
    ):
        if chosen:
            found.setdefault(image_id, []).extend([label] if explained else [])
    order = {label: number for number, label in enumerate(labels)}
    return {i: sorted(own, key=lambda n: order.get(n, len(order))) for i, own in found.items()}


def _ids(regions: Facts, origin: str) -> list[str]:
    rows = regions.columns
    return [i for i, o in zip(rows["image_id"], rows["origin"], strict=True) if o == origin]


def _channels(description: Mapping[str, Any]) -> int:
    """Count the masks that the segmenter draws of an image."""
    if description["segmenter"]["status"] != "trained":
        return 0
    return len(description["labels"]) if description["mask_kind"] == "per_label" else 1
