"""The images and masks of a dataset, read side by side: each is decoded once, and none is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image
from saliency_audit.errors import DataError
from saliency_audit.labelling import MaskKind
from saliency_audit.progress import Progress
from tasks import places
from tasks.artifacts import open_table, read_columns, read_rows
from tasks.check_inputs.image_facts import ImageFacts
from tasks.check_inputs.mask_facts import MaskFacts
from tasks.gates.parameters import InputBounds
from tasks.gates.rule import Facts
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS
from tasks.tables.split import SPLIT

#: What is read of an image.
COLUMNS = [
    "image_id",
    "group_id",
    "labels",
    "width",
    "height",
    "pixel_sha256",
    "pixels",
    "notes",
]

Row = Mapping[str, Any]
Group = tuple[str, list[Row]]


def picture_facts(
    dataset: str, description: Mapping[str, Any], bounds: InputBounds, progress: Progress
) -> tuple[Facts, Facts]:
    """Give the facts of the images and of the masks of a dataset."""
    folder = places.ingest(dataset)
    labels = description["labels"]
    images = ImageFacts(_listed(dataset), labels)
    masks = MaskFacts(MaskKind(description["mask_kind"]), labels)
    with open_table(folder / "images.parquet") as file:
        total = file.metadata.num_rows
    rows = read_rows(folder / "images.parquet", IMAGES, COLUMNS)
    for done, (image, own) in enumerate(_paired(rows, _by_image(dataset)), start=1):
        pixels = None if image is None else _pixels(image["pixels"])
        for mask in own:
            masks.add(mask, image, pixels)
        if image is not None:
            images.add(image, pixels, masks.missing(image["labels"], own))
            progress(min(done, total), total)
    return images.facts(bounds), masks.facts()


def _listed(dataset: str) -> dict[str, tuple[str, str]]:
    """Give group and split of each image that the split lists."""
    columns = ["image_id", "group_id", "split"]
    rows = read_columns(places.split(dataset) / "split.parquet", SPLIT, columns).to_pydict()
    pairs = zip(rows["group_id"], rows["split"], strict=True)
    return dict(zip(rows["image_id"], pairs, strict=True))


def _by_image(dataset: str) -> Iterator[Group]:
    rows = read_rows(places.ingest(dataset) / "masks.parquet", MASKS)
    for image_id, own in groupby(rows, key=itemgetter("image_id")):
        yield image_id, list(own)


def _paired(
    images: Iterator[Row], masks: Iterator[Group]
) -> Iterator[tuple[Row | None, list[Row]]]:
    """Give each image with its masks, and masks that are of no image; both ascend by image."""
    image, group = next(images, None), next(masks, None)
    while image is not None or group is not None:
        if group is None or (image is not None and image["image_id"] < group[0]):
            yield image, []
            image = next(images, None)
        elif image is None or group[0] < image["image_id"]:
            yield None, group[1]
            group = next(masks, None)
        else:
            yield image, group[1]
            image, group = next(images, None), next(masks, None)


def _pixels(encoded: bytes) -> NDArray[np.uint8] | None:
    try:
        return decode_image(encoded)
    except DataError:
        return None
