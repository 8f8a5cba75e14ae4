"""Kinds that ``ingest`` or ``split`` might bring in: their result is wrong before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from saliency_audit.datasets.encoding import encode_image
from saliency_audit.datasets.sample import Sample
from saliency_audit.labelling import EVERY_LABEL

from .kind import Kind, dropped, each, exchanged, put, shifted, twice
from .seams import Pick, Row, Rows, Samples


def _samples(edit: Callable[[Sample, Sample], Sample]) -> Samples:
    def change(samples: list[Sample], pick: Pick) -> list[Sample]:
        found = list(samples)
        for n in pick(samples):
            found[n] = edit(samples[n], samples[(n + 11) % len(samples)])
        return found

    return Samples(change)


def _of_masks(edit: Callable[[np.ndarray], np.ndarray]) -> Samples:
    return _samples(lambda own, _: replace(own, masks={k: edit(m) for k, m in own.masks.items()}))


def _lost(samples: list[Sample], pick: Pick) -> list[Sample]:
    gone = set(pick(samples))
    return [sample for n, sample in enumerate(samples) if n not in gone]


def _other_split(rows: list[Row], pick: Pick) -> None:
    """Put an image of a group into another split than the rest of it."""
    groups = [row["group_id"] for row in rows]
    for n in pick(rows, lambda row: groups.count(row["group_id"]) > 1):
        rows[n]["split"] = "test" if rows[n]["split"] == "train" else "train"


def _tested_trained(rows: list[Row], pick: Pick) -> None:
    groups = sorted({row["group_id"] for row in rows})
    moved = {groups[n] for n in pick(groups)}
    for row in rows:
        if row["group_id"] in moved:
            row["split"] = "test" if row["split"] == "train" else "train"


def _strangers(rows: list[Row], pick: Pick) -> list[Row]:
    some = [rows[n] for n in pick(rows)]
    return [*rows, *({**row, "image_id": f"{row['image_id']}.old"} for row in some)]


def _mask_label(rows: list[Row], pick: Pick) -> None:
    """Name a label that the image does not have."""
    labels = sorted({row["label"] for row in rows})
    own = {(row["image_id"], row["label"]) for row in rows}
    for n in pick(rows, lambda row: any((row["image_id"], label) not in own for label in labels)):
        free = [label for label in labels if (rows[n]["image_id"], label) not in own]
        rows[n]["label"] = free[0]


KINDS = (
    Kind(
        "pixels-exchanged",
        "Images are stored with the pixels of others, under their own digest.",
        Rows("ingest", "images", exchanged("pixels")),
    ),
    Kind(
        "pixels-recoded",
        "Pixels are changed after the digest was taken: one grey level brighter.",
        Rows(
            "ingest",
            "images",
            each(lambda row, mate: row.update(pixels=encode_image(_brighter(mate, row)))),
        ),
    ),
    Kind(
        "digest-stale",
        "The digest of pixels is that of another image.",
        Rows("ingest", "images", exchanged("pixel_sha256")),
    ),
    Kind(
        "pixels-transposed",
        "Height and width of images are exchanged.",
        _samples(lambda own, _: replace(own, pixels=own.pixels.swapaxes(0, 1).copy())),
    ),
    Kind(
        "pixels-of-unit",
        "Pixels from 0 to 1 were cut to whole numbers.",
        _samples(lambda own, _: replace(own, pixels=(own.pixels // 255).astype(np.uint8))),
    ),
    Kind(
        "pixels-of-neighbour",
        "A buffer was used again: images have the pixels of others, masks their own.",
        _samples(lambda own, mate: replace(own, pixels=mate.pixels)),
    ),
    Kind(
        "sample-mask-transposed",
        "Height and width of masks are exchanged.",
        _of_masks(lambda mask: mask.T.copy()),
    ),
    Kind(
        "sample-mask-inverted",
        "Foreground and background of masks are exchanged.",
        _of_masks(lambda mask: ~mask),
    ),
    Kind(
        "sample-mask-of-neighbour",
        "A buffer was used again: images have the masks of others.",
        _samples(lambda own, mate: replace(own, masks=mate.masks)),
    ),
    Kind(
        "sample-lost",
        "The source gives fewer images than its table has, and says nothing of them.",
        Samples(_lost),
        untold="what comes is a smaller dataset, as good as any: a source alone knows its table",
    ),
    Kind(
        "size-exchanged",
        "Width and height of the source image are exchanged.",
        _samples(lambda own, _: replace(own, width=own.height, height=own.width)),
        untold="a photograph held upright is as likely, and nothing is made of the numbers",
    ),
    Kind(
        "sample-label-unknown",
        "Images have a label that the dataset does not.",
        _samples(lambda own, _: replace(own, labels=("other",), instances={"other": 1})),
    ),
    Kind(
        "sample-label-none",
        "Images of a multi-class dataset have no label.",
        _samples(lambda own, _: replace(own, labels=(), instances={})),
    ),
    Kind(
        "images-lost",
        "Images were lost as the table was written.",
        Rows("ingest", "images", dropped()),
    ),
    Kind(
        "images-twice",
        "Images were written twice, as by a step that was tried again.",
        Rows("ingest", "images", twice()),
    ),
    Kind("image-group-null", "Images have no group.", Rows("ingest", "images", put(group_id=None))),
    Kind(
        "area-stale",
        "The area of masks is that from before they were scaled.",
        Rows("ingest", "masks", put(area=lambda area: 4 * area + 1)),
    ),
    Kind(
        "mask-ids-shifted",
        "The ids of masks have slipped by one row.",
        Rows("ingest", "masks", shifted("area", "mask")),
    ),
    Kind(
        "masks-lost",
        "Masks were lost as the table was written.",
        Rows("ingest", "masks", dropped()),
    ),
    Kind(
        "mask-of-unknown",
        "Masks are of images that the dataset does not have.",
        Rows("ingest", "masks", put(image_id=lambda name: f"{name}.old")),
    ),
    Kind(
        "mask-label-unknown",
        "Masks are said to be of a label that there is not.",
        Rows("ingest", "masks", put(label=lambda label: "all" if label == EVERY_LABEL else "x")),
    ),
    Kind(
        "mask-label-not-owned",
        "Masks are said to be of a finding that the image does not have.",
        Rows("ingest", "masks", _mask_label),
        "chest",
    ),
    Kind(
        "group-leaked",
        "Some images of a lesion are in another split than the others.",
        Rows("split", "split", _other_split),
    ),
    Kind(
        "groups-moved",
        "Whole lesions are in another split than was drawn.",
        Rows("split", "split", _tested_trained),
        untold="another seed draws such a split: of whole lesions, in about the same shares",
    ),
    Kind(
        "split-group-stale",
        "The split has groups of a former table.",
        Rows("split", "split", exchanged("group_id")),
    ),
    Kind(
        "split-ids-shifted",
        "The ids of the split have slipped by one row.",
        Rows("split", "split", shifted("group_id", "split")),
    ),
    Kind(
        "split-word",
        "A split is called `val`.",
        Rows("split", "split", put(split="val")),
    ),
    Kind("split-lost", "Images are in no split.", Rows("split", "split", dropped())),
    Kind("split-twice", "Images are in two splits.", Rows("split", "split", twice(split="test"))),
    Kind(
        "split-stale",
        "The split lists images of a former dataset.",
        Rows("split", "split", _strangers),
    ),
    Kind("split-null", "Images have no split.", Rows("split", "split", put(split=None))),
)


def _brighter(_mate: Row, row: Row) -> Any:
    from saliency_audit.datasets.encoding import decode_image

    return np.minimum(decode_image(row["pixels"]), 254) + np.uint8(1)
