"""Facts of each image: its split, its pixels and their digest, its twins elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import pixel_sha256
from saliency_audit.quality.near_duplicates import near_duplicates, thumbnail
from tasks.gates.parameters import InputBounds
from tasks.gates.rule import Facts

COLUMNS = (
    "image_id",
    "group_id",
    "listed_group",
    "split",
    "labels",
    "label_count",
    "unknown_labels",
    "missing_masks",
    "pixel_sha256",
    "found_sha256",
    "readable",
    "height",
    "width",
    "deviation",
)


class ImageFacts:
    """Collects the facts of images one by one, and a small picture of each to find its like.

    ``listed``: group and split of each image in the split table; ``labels``: the dataset's.
    """

    def __init__(self, listed: Mapping[str, tuple[str, str]], labels: list[str]) -> None:
        self._listed = listed
        self._labels = set(labels)
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._thumbnails: list[NDArray[np.uint8]] = []
        self._pictured: list[int] = []

    def add(
        self, row: Mapping[str, Any], pixels: NDArray[np.uint8] | None, missing_masks: int | None
    ) -> None:
        """Add an image: its row, its pixels (None: not readable), the masks that it lacks."""
        group, split = self._listed.get(row["image_id"], (None, None))
        facts = {
            "image_id": row["image_id"],
            "group_id": row["group_id"],
            "listed_group": group,
            "split": split,
            "labels": json.dumps(row["labels"], ensure_ascii=False),
            "label_count": len(row["labels"]),
            "unknown_labels": sum(label not in self._labels for label in row["labels"]),
            "missing_masks": missing_masks,
            "pixel_sha256": row["pixel_sha256"],
            **_of_pixels(pixels),
        }
        for name, values in self._columns.items():
            values.append(facts[name])
        if pixels is not None and facts["deviation"]:
            self._pictured.append(len(self._columns["image_id"]) - 1)
            self._thumbnails.append(thumbnail(pixels))

    def facts(self, bounds: InputBounds) -> Facts:
        """Give the facts of all images.

        ``labels`` is their list as JSON; ``missing_masks``: how many masks it should have and has
        not; ``found_sha256``: the digest of the pixels that are there, None where they cannot be
        decoded; ``deviation``: of all its values; ``like``: an image of another group and split
        that shows the same, where there is one.
        """
        columns = {**self._columns, "like": self._alike(bounds)}
        return Facts("images", ("image_id",), columns)

    def _alike(self, bounds: InputBounds) -> list[str | None]:
        ids, groups, splits = (self._columns[n] for n in ("image_id", "group_id", "split"))
        like: list[str | None] = [None] * len(ids)
        if not self._pictured:
            return like
        pairs = near_duplicates(np.stack(self._thumbnails), bounds.duplicate_difference)
        for first, second, _ in pairs:
            one, two = self._pictured[first], self._pictured[second]
            if groups[one] != groups[two] and splits[one] != splits[two]:
                like[one] = like[one] or ids[two]
                like[two] = like[two] or ids[one]
        return like


def _of_pixels(pixels: NDArray[np.uint8] | None) -> dict[str, Any]:
    if pixels is None:
        names = ("found_sha256", "height", "width", "deviation")
        return {"readable": False, **dict.fromkeys(names)}
    return {
        "readable": True,
        "found_sha256": pixel_sha256(pixels),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "deviation": float(pixels.std()),
    }
