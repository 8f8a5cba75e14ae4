"""Facts of each ground-truth mask: whose it is, how large, whether it fits what the image shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_mask
from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL, MaskKind
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
        image: Mapping[str, Any] | None,
        pixels: NDArray[np.uint8] | None,
    ) -> None:
        """Add a mask: its row, that of its image (None: there is none) and the image's pixels."""
        label = row["label"]
        owned = image is not None and (label == EVERY_LABEL or label in image["labels"])
        facts = {
            "image_id": row["image_id"],
            "label": label,
            "of_image": image is not None,
            "known_label": label in self._labels,
            "owned_label": owned,
            "area": row["area"],
            **_of_mask(row["mask"], pixels),
        }
        for name, values in self._columns.items():
            values.append(facts[name])

    def missing(self, labels: list[str], masks: list[Mapping[str, Any]]) -> int | None:
        """Count the masks that an image with such labels and masks lacks; None without masks."""
        if self._kind is MaskKind.NONE:
            return None
        marked = {mask["label"] for mask in masks}
        wanted = set(labels) if self._kind is MaskKind.PER_LABEL else {EVERY_LABEL}
        return len(wanted - marked)

    def facts(self) -> Facts:
        """Give the facts of all masks."""
        return Facts("masks", ("image_id", "label"), self._columns)


def _of_mask(encoded: bytes, pixels: NDArray[np.uint8] | None) -> dict[str, Any]:
    names = ("found_area", "height", "width", "coverage", "enclosure")
    placed: dict[str, Any] = {"separation": None, "misplaced": None}
    try:
        mask = decode_mask(encoded)
    except DataError:
        return {"readable": False, **dict.fromkeys(names), **placed}
    if pixels is not None and pixels.shape[:2] == mask.shape:
        found = separation(pixels, mask)
        if found is not None:
            placed = {"separation": found.mask, "misplaced": found.misplaced()}
    return {
        "readable": True,
        "found_area": int(mask.sum()),
        "height": mask.shape[0],
        "width": mask.shape[1],
        "coverage": float(mask.mean()),
        "enclosure": enclosure(mask),
        **placed,
    }
