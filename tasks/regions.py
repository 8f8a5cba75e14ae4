"""The masks of an audit's chosen images, as the measures read them.

A reading says which masks stand for a label: the image's one mask
(``single``), the label's own (``per_label``, Eqs 7 and 9) or the union over
labels (``union``, Eqs 5 and 6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_mask
from saliency_audit.labelling import EVERY_LABEL, MaskKind
from tasks.artifacts import read_rows
from tasks.tables.regions import REGIONS

Mask = NDArray[np.bool_]


@dataclass
class Regions:
    """The masks of one image: M and P by label, and the segmenter's mean probability inside P."""

    kind: MaskKind
    truth: dict[str, Mask] = field(default_factory=dict)
    predicted: dict[str, Mask] = field(default_factory=dict)
    probability: dict[str, float | None] = field(default_factory=dict)

    def readings(self) -> tuple[str, ...]:
        """Names of the readings that the kind of masks allows."""
        return ("per_label", "union") if self.kind is MaskKind.PER_LABEL else ("single",)

    def read_truth(self, reading: str, label: str) -> Mask | None:
        """M for a label, bool (H, W); None where the source has no mask for it."""
        return _read(self.truth, reading, label)

    def read_predicted(self, reading: str, label: str) -> Mask | None:
        """P for a label, bool (H, W); None where there is no segmenter."""
        return _read(self.predicted, reading, label)

    def read_probability(self, reading: str, label: str) -> float | None:
        """Mean segmenter probability inside P; of a union, weighted by area."""
        if reading != "union":
            return self.probability.get(EVERY_LABEL if reading == "single" else label)
        weighted = [
            (int(self.predicted[name].sum()), value)
            for name, value in self.probability.items()
            if value is not None
        ]
        area = sum(size for size, _ in weighted)
        return sum(size * value for size, value in weighted) / area if area else None


def _read(masks: dict[str, Mask], reading: str, label: str) -> Mask | None:
    if reading == "single":
        return masks.get(EVERY_LABEL)
    if reading == "per_label":
        return masks.get(label)
    return np.logical_or.reduce(list(masks.values())) if masks else None


def read_regions(path: Path, kind: MaskKind) -> Iterator[tuple[str, Regions]]:
    """Stream the masks of a regions table image by image, in ascending image_id."""
    for image_id, rows in groupby(read_rows(path, REGIONS), key=itemgetter("image_id")):
        regions = Regions(kind)
        for row in rows:
            mask = decode_mask(row["mask"])
            if row["origin"] == "truth":
                regions.truth[row["label"]] = mask
            else:
                regions.predicted[row["label"]] = mask
                regions.probability[row["label"]] = row["mean_probability"]
        yield image_id, regions
