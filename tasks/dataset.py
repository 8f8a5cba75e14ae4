"""A dataset as training and prediction read it: pixels by index, labels and splits by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from tasks import places
from tasks.artifacts import read_columns, read_json
from tasks.pixels import Store, load_images, load_masks, store
from tasks.tables.images import IMAGES
from tasks.tables.split import SPLIT


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset besides its pixels; one entry per image, ascending by id."""

    name: str
    labels: tuple[str, ...]
    labelling: Labelling
    mask_kind: MaskKind
    size: tuple[int, int]
    image_ids: list[str]
    group_ids: list[str]
    splits: NDArray[np.str_]
    targets: NDArray[np.bool_]

    def of_split(self, *names: str) -> list[int]:
        """Give the indices of the images of some splits, ascending."""
        return [int(index) for index in np.flatnonzero(np.isin(self.splits, names))]

    @property
    def channels(self) -> tuple[str, ...]:
        """What a segmenter draws, in order: each label, or the one mask of all; else nothing."""
        if self.mask_kind is MaskKind.NONE:
            return ()
        return self.labels if self.mask_kind is MaskKind.PER_LABEL else (EVERY_LABEL,)


def read_facts(dataset: str) -> Facts:
    """Read what is known of a dataset."""
    described = read_json(places.ingest(dataset) / "description.json")
    images = read_columns(
        places.ingest(dataset) / "images.parquet", IMAGES, ["image_id", "labels"]
    ).to_pydict()
    split = read_columns(
        places.split(dataset) / "split.parquet", SPLIT, ["image_id", "group_id", "split"]
    ).to_pydict()
    labels = tuple(described["labels"])
    targets = [[label in own for label in labels] for own in images["labels"]]
    return Facts(
        name=dataset,
        labels=labels,
        labelling=Labelling(described["labelling"]),
        mask_kind=MaskKind(described["mask_kind"]),
        size=(described["size"][0], described["size"][1]),
        image_ids=split["image_id"],
        group_ids=split["group_id"],
        splits=np.array(split["split"]),
        targets=np.array(targets, dtype=bool).reshape(len(targets), len(labels)),
    )


class Data:
    """The images of a dataset by index, as saliency_audit.models.training reads them."""

    def __init__(self, facts: Facts, pixels: Store, columns: Sequence[int]) -> None:
        self._pixels = pixels
        self.targets: NDArray[Any] = facts.targets[:, columns]
        self.train: Sequence[int] = facts.of_split("train")
        self.tune: Sequence[int] = facts.of_split("tune")

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give images by index, uint8 (n, H, W, 3)."""
        return self._pixels.read(indices)


class MaskedData(Data):
    """The same with masks, as saliency_audit.models.segmenter reads them."""

    def __init__(self, facts: Facts, pixels: Store, masks: Store, known: NDArray[np.bool_]) -> None:
        super().__init__(facts, pixels, range(len(facts.labels)))
        self._masks = masks
        self.known = known

    def masks(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give masks by index, (n, channels, H, W), foreground 1."""
        return self._masks.read(indices)


@contextmanager
def open_data(facts: Facts, labels: Sequence[str] | None = None) -> Iterator[Data]:
    """Open a dataset's images; the columns of its targets in the order of ``labels``.

    Raises DataError for a label that the dataset does not have.
    """
    unknown = [label for label in labels or () if label not in facts.labels]
    if unknown:
        raise DataError(
            f"{facts.name} has no label {', '.join(unknown)}, which the classifier has: audit it "
            "on a dataset of its labels, or run `saliency-audit run` if model.json is of "
            "another one"
        )
    columns = [facts.labels.index(label) for label in labels or facts.labels]
    with store((*facts.size, 3)) as pixels:
        load_images(places.ingest(facts.name) / "images.parquet", pixels)
        yield Data(facts, pixels, columns)


@contextmanager
def open_masked(facts: Facts) -> Iterator[MaskedData]:
    """Open a dataset's images with their masks."""
    channels = {label: number for number, label in enumerate(facts.channels)}
    numbers = {image_id: number for number, image_id in enumerate(facts.image_ids)}
    folder = places.ingest(facts.name)
    with store((*facts.size, 3)) as pixels, store((len(channels), *facts.size)) as masks:
        load_images(folder / "images.parquet", pixels)
        known = load_masks(folder / "masks.parquet", numbers, channels, masks)
        if facts.mask_kind is MaskKind.PER_LABEL:
            # A label that the image does not have has an empty mask: that is known, too. Of an
            # image with a label but without its mask nothing is.
            known |= ~facts.targets
        yield MaskedData(facts, pixels, masks, known)
