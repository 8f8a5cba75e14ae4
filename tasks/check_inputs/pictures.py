"""The images and masks of a dataset, read side by side: each is decoded once, and none is kept.

They are decoded in a thread beside what measures those before: Pillow works
without the interpreter's lock, and decoding is half of the work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image, decode_mask
from saliency_audit.errors import DataError
from saliency_audit.labelling import MaskKind
from saliency_audit.measures.arrays import Mask
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

#: Images that are decoded at a time.
CHUNK = 8

T = TypeVar("T")
Row = Mapping[str, Any]
Group = tuple[str, list[Row]]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """The row of an image, None where there is none, its pixels, and its masks, row and array.

    Pixels and masks are None where they cannot be decoded.
    """

    image: Row | None
    pixels: Pixels | None
    masks: list[tuple[Row, Mask | None]]


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
    pictures = _decoded(_paired(rows, _by_image(dataset)))
    for done, picture in enumerate(pictures, start=1):
        for row, mask in picture.masks:
            masks.add(row, mask, picture.image, picture.pixels)
        if picture.image is not None:
            owned = {row["label"] for row, _ in picture.masks}
            missing = masks.missing(picture.image["labels"], owned)
            images.add(picture.image, picture.pixels, missing)
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


def _decoded(pairs: Iterator[tuple[Row | None, list[Row]]]) -> Iterator[Picture]:
    waiting: deque[Future[list[Picture]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as beside:
        while chunk := list(islice(pairs, CHUNK)):
            waiting.append(beside.submit(lambda chunk: [_picture(*pair) for pair in chunk], chunk))
            if len(waiting) > 2:
                yield from waiting.popleft().result()
        for last in waiting:
            yield from last.result()


def _picture(image: Row | None, masks: list[Row]) -> Picture:
    pixels = None if image is None else _or_none(decode_image, image["pixels"])
    return Picture(image, pixels, [(row, _or_none(decode_mask, row["mask"])) for row in masks])


def _or_none(decode: Callable[[bytes], T], encoded: bytes) -> T | None:
    try:
        return decode(encoded)
    except DataError:
        return None
