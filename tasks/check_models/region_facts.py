"""Facts of the masks of chosen images: the clinician's as the dataset has it, the segmenter's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_mask
from saliency_audit.errors import DataError
from saliency_audit.measures.overlap import dice
from tasks import places
from tasks.artifacts import read_json, read_rows
from tasks.check_models.known import Known, mask_digest
from tasks.gates.rule import Facts
from tasks.tables.regions import REGIONS

COLUMNS = (
    "image_id",
    "label",
    "origin",
    "known_image",
    "known_label",
    "area",
    "found_area",
    "height",
    "width",
    "drawn_coverage",
    "mean_probability",
    "digest",
    "own_digest",
    "dice",
    "chance_dice",
)


def region_facts(audit: str, dataset: str, description: Mapping[str, Any], known: Known) -> Facts:
    """Give the facts of each mask; streams them.

    ``digest`` and ``own_digest``: of the clinician's mask here and in the dataset. Where that marks
    something, ``drawn_coverage``: the segmenter's share of the image; ``dice``: of both masks;
    ``chance_dice``: what masks of such areas would have that lie independently of each other,
    2ab/(a + b) of their shares a and b.
    """
    channels = read_json(places.train_segmenter(dataset) / "model.json")["channels"]
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    drawn: dict[tuple[str, str], NDArray[np.bool_]] = {}
    path = places.predict(audit) / "regions.parquet"
    for row in read_rows(path, REGIONS):
        key = (row["image_id"], row["label"])
        # Of an image and label the segmenter's mask comes first: `predicted` is before `truth`.
        drawn = {other: mask for other, mask in drawn.items() if other == key}
        facts = {
            **{name: row[name] for name in ("image_id", "label", "origin", "area")},
            "mean_probability": row["mean_probability"],
            "known_image": row["image_id"] in known.images,
            "known_label": row["label"] in channels,
            **_of_mask(row, known, drawn),
        }
        for name, values in columns.items():
            values.append(facts[name])
    return Facts("regions", ("image_id", "label", "origin"), columns)


def _of_mask(
    row: Mapping[str, Any], known: Known, drawn: dict[tuple[str, str], NDArray[np.bool_]]
) -> dict[str, Any]:
    key, is_truth = (row["image_id"], row["label"]), row["origin"] == "truth"
    facts: dict[str, Any] = dict.fromkeys(
        ("found_area", "height", "width", "drawn_coverage", "dice", "chance_dice")
    )
    facts["digest"] = mask_digest(row["mask"]) if is_truth else None
    facts["own_digest"] = known.masks.get(key, "none") if is_truth else None
    try:
        mask = decode_mask(row["mask"])
    except DataError:
        return facts
    facts |= {"found_area": int(mask.sum()), "height": mask.shape[0], "width": mask.shape[1]}
    if not is_truth:
        drawn[key] = mask
    elif key in drawn and drawn[key].shape == mask.shape and mask.any():
        shares = (float(mask.mean()), float(drawn[key].mean()))
        facts["drawn_coverage"] = shares[1]
        facts["dice"] = dice(drawn[key], mask)
        facts["chance_dice"] = 2 * shares[0] * shares[1] / sum(shares)
    return facts


def overlap_facts(regions: Facts, known: Known) -> list[float]:
    """Give by how much Dice is above chance, one number per patient or lesion and label.

    Of each only the first image counts: images of one group are not independent.
    """
    rows = regions.columns
    found: dict[tuple[str, str], float] = {}
    for image_id, label, value, chance in zip(
        rows["image_id"], rows["label"], rows["dice"], rows["chance_dice"], strict=True
    ):
        image = known.images.get(image_id)
        if value is not None and image is not None:
            found.setdefault((image.group, label), value - chance)
    return list(found.values())
