"""Facts of each ground-truth mask: whose it is, how large, whether it fits what the image shows."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.labelling import EVERY_LABEL, MaskKind
from saliency_audit.measures.arrays import Mask
from saliency_audit.quality.mask_plausibility import enclosure, separation
from tasks.gates.rule import Facts

COLUMNS = (
    "image_id",
    "label",
    "of_image",
    "known_label",
    "owned_label",
    "area",
    "found_area",
    "readable",
    "height",
    "width",
    "coverage",
    "enclosure",
    "separation",
    "misplaced",
)


class MaskFacts:
    """Collects the facts of masks one by one; ``kind``: what they mark; ``labels``: all there are.

    ``coverage``: share of the image that is foreground; ``enclosure``, ``separation``,
    ``misplaced``: see ``saliency_audit.quality.mask_plausibility``.
    """

    def __init__(self, kind: MaskKind, labels: list[str]) -> None:
        self._kind = kind
        self._labels = set(labels) if kind is MaskKind.PER_LABEL else {EVERY_LABEL}
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}

    def add(
        self,
        row: Mapping[str, Any],
        mask: Mask | None,
        image: Mapping[str, Any] | None,
        pixels: NDArray[np.uint8] | None,
    ) -> None:
        """Add a mask: its row and itself, and its image, row and pixels.

        Mask and pixels are None where they cannot be decoded, ``image`` where there is none.
        """
        label = row["label"]
        owned = image is not None and (label == EVERY_LABEL or label in image["labels"])
        facts = {
            "image_id": row["image_id"],
            "label": label,
            "of_image": image is not None,
            "known_label": label in self._labels,
            "owned_label": owned,
            "area": row["area"],
            **_of_mask(mask, pixels),
        }
        for name, values in self._columns.items():
            values.append(facts[name])

    def missing(self, labels: list[str], marked: AbstractSet[str]) -> int | None:
        """Count the labels of an image that lack a mask; ``marked``: those of its masks.

        None of a dataset without masks.
        """
        if self._kind is MaskKind.NONE:
            return None
        wanted = set(labels) if self._kind is MaskKind.PER_LABEL else {EVERY_LABEL}
        return len(wanted - marked)

    def facts(self) -> Facts:
        """Give the facts of all masks."""
        return Facts("masks", ("image_id", "label"), self._columns)


def _of_mask(mask: Mask | None, pixels: NDArray[np.uint8] | None) -> dict[str, Any]:
    names = ("found_area", "height", "width", "coverage", "enclosure")
    placed: dict[str, Any] = {"separation": None, "misplaced": None}
    if mask is None:
        return {"readable": False, **dict.fromkeys(names), **placed}
    if pixels is not None and pixels.shape[:2] == mask.shape:
        found = separation(pixels, mask)
        if found is not None:
            placed = {"separation": found.mask, "misplaced": found.misplaced()}
    area = int(np.count_nonzero(mask))
    return {
        "readable": True,
        "found_area": area,
        "height": mask.shape[0],
        "width": mask.shape[1],
        "coverage": area / mask.size,
        "enclosure": enclosure(mask),
        **placed,
    }
