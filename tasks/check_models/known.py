"""What is known of an audit's images before any model saw them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tasks import places
from tasks.artifacts import read_columns, read_rows
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS
from tasks.tables.split import SPLIT


@dataclass(frozen=True)
class Image:
    """An image: its patient or lesion, split, labels and digest of its pixels."""

    group: str
    split: str | None
    labels: tuple[str, ...]
    pixel_sha256: str


@dataclass(frozen=True)
class Known:
    """The images by id, and the digest of each ground-truth mask by image and label."""

    images: Mapping[str, Image]
    masks: Mapping[tuple[str, str], str]


def read_known(dataset: str) -> Known:
    """Read what is known of a dataset's images; no pixels, and of masks a digest."""
    split = read_columns(places.split(dataset) / "split.parquet", SPLIT, ["image_id", "split"])
    splits = dict(zip(*split.to_pydict().values(), strict=True))
    columns = ["image_id", "group_id", "labels", "pixel_sha256"]
    folder = places.ingest(dataset)
    images = {
        row["image_id"]: Image(
            row["group_id"],
            splits.get(row["image_id"]),
            tuple(row["labels"]),
            row["pixel_sha256"],
        )
        for row in read_rows(folder / "images.parquet", IMAGES, columns)
    }
    masks = {
        (row["image_id"], row["label"]): mask_digest(row["mask"])
        for row in read_rows(folder / "masks.parquet", MASKS, ["image_id", "label", "mask"])
    }
    return Known(images, masks)


def mask_digest(encoded: bytes) -> str:
    """Digest of a mask as it is encoded: the same mask has the same bytes."""
    return hashlib.sha256(encoded).hexdigest()
