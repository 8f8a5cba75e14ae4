"""A dataset's own profile: its labels, strata, images and masks, read batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image, decode_mask
from saliency_audit.labelling import EVERY_LABEL, Labelling
from saliency_audit.measures.arrays import Mask
from saliency_audit.progress import Progress
from saliency_audit.quality.drift import Sample, count, sketch
from tasks import places
from tasks.artifacts import read_batches, read_columns, read_json, read_rows
from tasks.profiles import label_mix
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS

#: A stratum of words with more kinds than this names images, and has no distribution to compare.
MOST_KINDS = 50
UNKNOWN = "unknown"

#: What is measured of an image's pixels, as shares of full range: the mean of each channel; the
#: standard deviation of its grey, the mean of the channels; the mean difference of grey between
#: neighbours; and the share of pixels of which a channel is 0 or 255.
IMAGE_STATISTICS = ("red", "green", "blue", "contrast", "sharpness", "saturated")


def profile_dataset(dataset: str, progress: Progress) -> dict[str, Sample]:
    """Sketch what ``ingest`` wrote: ``labels``, ``strata/…``, ``images/…`` and ``masks/…``."""
    folder = places.ingest(dataset)
    described = read_json(folder / "description.json")
    columns = ["image_id", "group_id", "labels", "width", "height", "strata"]
    rows = read_columns(folder / "images.parquet", IMAGES, columns)
    groups: list[str] = rows.column("group_id").to_pylist()
    mix = label_mix(
        rows.column("labels").to_pylist(),
        groups,
        described["labels"],
        Labelling(described["labelling"]),
    )
    group_of = dict(zip(rows.column("image_id").to_pylist(), groups, strict=True))
    return {
        **mix,
        **_of_strata(rows.column("strata").to_pylist(), groups),
        "images/width": sketch(rows.column("width").to_numpy(), groups),
        "images/height": sketch(rows.column("height").to_numpy(), groups),
        **_of_pixels(dataset, groups, progress),
        **_of_masks(dataset, described["size"], group_of),
    }


def _of_pixels(dataset: str, groups: Sequence[str], progress: Progress) -> dict[str, Sample]:
    """Sketch ``IMAGE_STATISTICS``, and the sharpness within the masks of images that have any."""
    measured: list[tuple[float, ...]] = []
    within: list[tuple[float, str]] = []
    masks = _Masks(dataset)
    for batch in read_batches(
        places.ingest(dataset) / "images.parquet", IMAGES, ["image_id", "pixels"]
    ):
        for image_id, encoded in zip(*batch.to_pydict().values(), strict=True):
            pixels = decode_image(encoded)
            mask = masks.of(image_id)
            sharpness = None if mask is None else _sharpness(_grey(pixels), mask)
            if sharpness is not None:
                within.append((sharpness, groups[len(measured)]))
            measured.append(measure(pixels))
        progress(len(measured), len(groups))
    found = dict(zip(IMAGE_STATISTICS, np.array(measured).T, strict=True)) if measured else {}
    sketches: dict[str, Sample] = {
        f"images/{name}": sketch(values, groups) for name, values in found.items()
    }
    if within:
        values, own = zip(*within, strict=True)
        sketches["masks/sharpness"] = sketch(values, own)
    return sketches


class _Masks:
    """The masks of a dataset, of one image after the other, all labels together."""

    def __init__(self, dataset: str) -> None:
        path = places.ingest(dataset) / "masks.parquet"
        rows = read_rows(path, MASKS, ["image_id", "mask"])
        self._images = groupby(rows, key=lambda row: str(row["image_id"]))
        self._next = self._advance()

    def of(self, image_id: str) -> Mask | None:
        """Give the union of an image's masks, None where it has none; ids must rise."""
        while self._next is not None and self._next[0] < image_id:
            self._next = self._advance()
        return self._next[1] if self._next is not None and self._next[0] == image_id else None

    def _advance(self) -> tuple[str, Mask] | None:
        for image_id, rows in self._images:
            union = [decode_mask(row["mask"]) for row in rows]
            return image_id, np.logical_or.reduce(union)
        return None


def measure(pixels: NDArray[np.uint8]) -> tuple[float, ...]:
    """Measure an image, uint8 (H, W, 3): ``IMAGE_STATISTICS``, each from 0 to 1.

    >>> measure(np.full((2, 2, 3), 255, np.uint8))
    (1.0, 1.0, 1.0, 0.0, 0.0, 1.0)
    """
    channels = pixels.mean(axis=(0, 1)) / 255
    grey = _grey(pixels)
    saturated = ((pixels == 0) | (pixels == 255)).any(axis=2)
    found = (
        *channels,
        grey.std(),
        _sharpness(grey, np.ones(grey.shape, bool)) or 0.0,
        saturated.mean(),
    )
    return tuple(float(value) for value in found)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(pixels.sum(axis=2, dtype=np.int64) / 765)


def _sharpness(grey: NDArray[np.float64], mask: Mask) -> float | None:
    """Mean difference of neighbours, both within the mask; None where there are no such pixels."""
    down, across = np.abs(np.diff(grey, axis=0)), np.abs(np.diff(grey, axis=1))
    steps = np.concatenate([down[mask[1:] & mask[:-1]], across[mask[:, 1:] & mask[:, :-1]]])
    return float(steps.mean()) if steps.size else None


def _of_strata(
    strata: Sequence[Sequence[tuple[str, str | None]]], groups: Sequence[str]
) -> dict[str, Sample]:
    values = [dict(own) for own in strata]
    found: dict[str, Sample] = {}
    for name in sorted({name for own in values for name in own}):
        sample = _of_stratum([own.get(name) for own in values], groups)
        if sample is not None:
            found[f"strata/{name}"] = sample
    return found


def _of_stratum(values: Sequence[str | None], groups: Sequence[str]) -> Sample | None:
    """Sketch a stratum of numbers, without the unknown; count one of words, with them."""
    known = [(value, group) for value, group in zip(values, groups, strict=True) if value]
    numbers = [number for value, _ in known if (number := _number(value)) is not None]
    if known and len(numbers) == len(known):
        return sketch(numbers, [group for _, group in known])
    kinds = [value or UNKNOWN for value in values]
    return count(kinds, groups) if len(set(kinds)) <= MOST_KINDS else None


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _of_masks(dataset: str, size: Sequence[int], groups: Mapping[str, str]) -> dict[str, Sample]:
    """Sketch the share of the image that masks cover, of each label where it has its own."""
    height, width = size
    path = places.ingest(dataset) / "masks.parquet"
    rows = read_columns(path, MASKS, ["image_id", "label", "area"])
    found: dict[str, Sample] = {}
    for label in sorted(pc.unique(rows.column("label")).to_pylist()):
        own = rows.filter(pc.equal(rows.column("label"), label))
        name = "masks/coverage" if label == EVERY_LABEL else f"masks/coverage/{label}"
        covered = own.column("area").to_numpy() / (height * width)
        found[name] = sketch(covered, [groups[i] for i in own.column("image_id").to_pylist()])
    return found
