"""Facts of each image: its split, its pixels and their digest, its twins elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import pixel_sha256
from saliency_audit.inspection import ADVICE
from saliency_audit.problem import Severity
from saliency_audit.quality.near_duplicates import near_duplicates, thumbnail
from saliency_audit.quality.outliers import APPEARANCE, appearance, likeness, robust_deviations
from tasks.check_inputs.source_facts import folded
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
    "unexplained_masks",
    "odd",
    "enlarged",
    "pixel_sha256",
    "found_sha256",
    "readable",
    "height",
    "width",
    "varied",
)
#: Notes of a sample that want a look and have no rule of their own.
ODD = frozenset(name for name, (severity, _) in ADVICE.items() if severity is Severity.WARN) - {
    "constant",
    "mask_empty",
    "mask_full",
    "mask_inverted",
}


class ImageFacts:
    """Collects the facts of images one by one, and a small picture of each to find its like.

    ``listed``: group and split of each image in the split table; ``labels``: the dataset's.
    """

    def __init__(self, listed: Mapping[str, tuple[str, str]], labels: list[str]) -> None:
        self._listed = listed
        self._labels = set(labels)
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._thumbnails: list[NDArray[np.uint8]] = []
        self._appearances: list[tuple[float, ...]] = []
        self._pictured: list[int] = []

    def add(
        self, row: Mapping[str, Any], pixels: NDArray[np.uint8] | None, missing_masks: int | None
    ) -> None:
        """Add an image: its row, its pixels (None: not readable), the masks that it lacks."""
        group, split = self._listed.get(row["image_id"], (None, None))
        small = pixels is not None and (
            row["height"] < pixels.shape[0] or row["width"] < pixels.shape[1]
        )
        facts = {
            "image_id": row["image_id"],
            "enlarged": small,
            "group_id": row["group_id"],
            "listed_group": group,
            "split": split,
            "labels": json.dumps(row["labels"], ensure_ascii=False),
            "label_count": len(row["labels"]),
            "unknown_labels": sum(label not in self._labels for label in row["labels"]),
            "missing_masks": missing_masks,
            "unexplained_masks": None if "mask_missing" in row["notes"] else missing_masks,
            "odd": ", ".join(note for note in row["notes"] if note in ODD) or None,
            "pixel_sha256": row["pixel_sha256"],
            **_of_pixels(pixels),
        }
        for name, values in self._columns.items():
            values.append(facts[name])
        if pixels is not None and facts["varied"]:
            self._pictured.append(len(self._columns["image_id"]) - 1)
            self._thumbnails.append(thumbnail(pixels))
            self._appearances.append(appearance(pixels))

    def facts(self, bounds: InputBounds) -> Facts:
        """Give the facts of all images.

        ``labels`` is their list as JSON; ``missing_masks``: how many masks it should have and has
        not, ``unexplained_masks``: the same unless the source said so; ``odd``: notes of what wants
        a look; ``enlarged``: whether its source has fewer pixels, None where most have;
        ``found_sha256``: the digest of the pixels that are there, None where they cannot be
        decoded; ``varied``: whether it has more than one colour; ``like``: an image of another
        group and split that shows the same, where there is one; ``folded_group``: the group's name
        without case and the like, where another differs in that alone; ``apart``: how far it is
        from the others in the most unlike of ``APPEARANCE`` and likeness, in robust standard
        deviations, and ``apart_in``: which that is.
        """
        columns = {
            **self._columns,
            "folded_group": folded(self._columns["group_id"]),
            "like": self._alike(bounds),
            **self._apart(),
            "enlarged": _seldom(self._columns["enlarged"]),
        }
        return Facts("images", ("image_id",), columns)

    def _alike(self, bounds: InputBounds) -> list[str | None]:
        ids, groups, splits = (self._columns[n] for n in ("image_id", "group_id", "split"))
        like: list[str | None] = [None] * len(ids)
        if not self._pictured:
            return like
        for one, two in self._pairs([splits[row] for row in self._pictured], bounds):
            if groups[one] != groups[two]:
                like[one] = like[one] or ids[two]
                like[two] = like[two] or ids[one]
        return like

    def _pairs(self, splits: list[str | None], bounds: InputBounds) -> Iterator[tuple[int, int]]:
        """Give the rows of images that show the same and are in different splits."""
        pictures, rows = np.stack(self._thumbnails), np.array(self._pictured)
        named = np.array([split or "" for split in splits])
        # The larger share of the work is done of the first ones: let them be few.
        kinds = sorted(set(named.tolist()), key=lambda kind: (int((named == kind).sum()), kind))
        for number, kind in enumerate(kinds[:-1]):
            own, others = np.flatnonzero(named == kind), np.isin(named, kinds[number + 1 :])
            found = near_duplicates(pictures[own], bounds.duplicate_difference, pictures[others])
            for first, second, _ in found:
                yield int(rows[own[first]]), int(rows[others.nonzero()[0][second]])

    def _apart(self) -> dict[str, list[Any]]:
        apart: list[float | None] = [None] * len(self._columns["image_id"])
        named: list[str | None] = list(apart)  # type: ignore[arg-type]
        if self._pictured:
            measured = [*np.array(self._appearances).T, likeness(np.stack(self._thumbnails))]
            far = np.stack([np.abs(robust_deviations(values)) for values in measured])
            for place, row in enumerate(self._pictured):
                most = int(far[:, place].argmax())
                apart[row] = float(far[most, place])
                named[row] = (*APPEARANCE, "likeness")[most]
        return {"apart": apart, "apart_in": named}


def _seldom(flags: list[Any]) -> list[Any]:
    """Leave flags alone that mark less than half: a dataset may be small on purpose."""
    return flags if 2 * sum(flags) < len(flags) else [None] * len(flags)


def _of_pixels(pixels: NDArray[np.uint8] | None) -> dict[str, Any]:
    if pixels is None:
        names = ("found_sha256", "height", "width", "varied")
        return {"readable": False, **dict.fromkeys(names)}
    return {
        "readable": True,
        "found_sha256": pixel_sha256(pixels),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "varied": _varied(pixels),
    }


def _varied(pixels: NDArray[np.uint8]) -> bool:
    """Whether some pixel differs from the one before it."""
    values, channels = pixels.ravel(), pixels.shape[-1]
    return bool((values[channels:] != values[:-channels]).any())
