"""Annotations of ChestX-Det: its JSON files, row by row, checked.

What belongs here reads findings and outlines; images belong to ``chestxdet``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.polygons import box_corners
from saliency_audit.errors import DataError

#: The ten findings of ChestX-Det10 (SegX paper, Table 2), and the three that ChestX-Det adds.
TEN = (
    "Atelectasis",
    "Calcification",
    "Consolidation",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Fracture",
    "Mass",
    "Nodule",
    "Pneumothorax",
)
THIRTEEN = tuple(sorted((*TEN, "Cardiomegaly", "Diffuse Nodule", "Pleural Thickening")))
#: Boxes and polygons are in pixels of an image of 1024 a side.
ANNOTATED_SIDE = 1024
#: Annotation files by release, each a JSON list of rows; the first set that is there counts.
ANNOTATIONS = (
    ("annotations.json",),
    ("ChestX_Det_train.json", "ChestX_Det_test.json"),
    ("train.json", "test.json"),
)

#: Points (n, 2) of a closed outline, x right and y down.
Outline = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """An annotated image: outlines (n, 2) of each finding's instances, in annotated pixels."""

    file_name: str
    patient: str | None
    split: str | None
    outlines: Mapping[str, Sequence[Outline]]
    clipped: bool


@dataclass(frozen=True)
class Fault:
    """A row that cannot be used."""

    file_name: str | None
    reason: str
    detail: str

    @property
    def image_id(self) -> str | None:
        """The file's name without suffix, where the row has one."""
        return None if self.file_name is None else Path(self.file_name).stem


def read_items(folder: Path) -> Iterator[tuple[str, int, Any]]:
    """Rows of the annotation files with their file and position from 1."""
    names = next((s for s in ANNOTATIONS if all((folder / n).is_file() for n in s)), None)
    if names is None:
        wanted = ", or ".join(" with ".join(names) for names in ANNOTATIONS)
        raise DataError(f"{folder} holds none of {wanted}: give the folder of ChestX-Det as source")
    for name in names:
        try:
            items = json.loads((folder / name).read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{folder / name} is not UTF-8 (byte {error.start})") from None
        except ValueError as error:
            raise DataError(f"{folder / name} is not JSON ({error}): fetch it again") from None
        if not isinstance(items, list):
            raise DataError(f"{folder / name} holds no list of rows: fetch it again")
        for number, item in enumerate(items, start=1):
            if isinstance(item, dict) and "file_name" in item:
                item.setdefault("split", "test" if "test" in name else "train")
            yield name, number, item


def read_row(item: Any, mask_source: str) -> Row | Fault:
    """Read one row of the annotations."""
    if not isinstance(item, dict) or not isinstance(item.get("file_name"), str):
        return Fault(None, "row_malformed", "the row has no file_name: mend it")
    file_name = item["file_name"]
    if Path(file_name).name != file_name or "\\" in file_name:
        return Fault(None, "row_malformed", f"file_name {file_name!r} is no plain name")
    if mask_source not in item:
        if mask_source == "polygons" and "boxes" in item:
            raise DataError(
                f"{file_name} has no polygons, as in ChestX-Det10: set mask_source: boxes"
            )
        return Fault(file_name, "annotation_malformed", f"the row has no {mask_source}")
    try:
        outlines, clipped = _outlines(item.get("syms"), item[mask_source], mask_source)
    except _FaultyRow as error:
        return Fault(file_name, error.reason, error.detail)
    nih = re.match(r"\d{8}(?=_)", str(item.get("nih_file_name") or ""))
    split = item.get("split")
    return Row(
        file_name, nih[0] if nih else None, None if split is None else str(split), outlines, clipped
    )


class _FaultyRow(Exception):  # noqa: N818 - never reaches a person
    def __init__(self, detail: str, reason: str = "annotation_malformed") -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, f"{detail}: mend or drop the row"


def _outlines(names: Any, shapes: Any, mask_source: str) -> tuple[dict[str, list[Outline]], bool]:
    """Give outlines by finding, and whether one was clipped; raises _FaultyRow."""
    found: dict[str, list[Outline]] = {}
    clipped = False
    if not isinstance(names, list) or not isinstance(shapes, list) or len(names) != len(shapes):
        raise _FaultyRow(f"syms and {mask_source} are no lists of one length")
    for name, shape in zip(names, shapes, strict=True):
        if name not in THIRTEEN:
            known = ", ".join(THIRTEEN)
            raise _FaultyRow(f"{name!r} is no finding ({known})", "unknown_label")
        points = _points(shape, mask_source)
        if points is None:
            raise _FaultyRow(f"one of {mask_source} of {name} has no area or no numbers")
        inside = np.clip(points, 0, ANNOTATED_SIDE)
        if (np.ptp(inside, axis=0) == 0).any() and (inside != points).any():
            raise _FaultyRow(f"one of {mask_source} of {name} lies outside of the image")
        clipped |= bool((inside != points).any())
        found.setdefault(name, []).append(inside)
    return found, clipped


def _points(shape: Any, mask_source: str) -> Outline | None:
    try:
        points = np.array(shape, np.float64)
    except (TypeError, ValueError):
        return None
    if mask_source == "boxes":
        if points.shape != (4,) or not np.isfinite(points).all():
            return None
        return box_corners(points.tolist()) if (points[2:] > points[:2]).all() else None
    proper = points.ndim == 2 and points.shape[1] == 2 and len(points) >= 3
    return points if proper and np.isfinite(points).all() else None
