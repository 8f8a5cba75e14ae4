"""The pixels of a dataset, decoded once to a scratch file and read image by image.

Training reads images in random order. The scratch file keeps memory flat
whatever their number, and disappears with the process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image, decode_mask
from tasks.artifacts import read_batches
from tasks.places import LOCAL
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS


class Store:
    """Equal arrays of bytes, by number, in a file without a name."""

    def __init__(self, descriptor: int, shape: tuple[int, ...]) -> None:
        self._descriptor = descriptor
        self._shape = shape
        self._size = int(np.prod(shape))

    def write(self, number: int, values: NDArray[np.uint8]) -> None:
        """Write one array of the store's shape."""
        os.pwrite(self._descriptor, values.tobytes(), number * self._size)

    def read(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Read arrays by number, uint8 (n, *shape); zeros where nothing was written."""
        rows = np.zeros((len(numbers), self._size), np.uint8)
        for row, number in enumerate(numbers):
            found = os.pread(self._descriptor, self._size, number * self._size)
            rows[row, : len(found)] = np.frombuffer(found, np.uint8)
        return rows.reshape(len(numbers), *self._shape)


@contextmanager
def store(shape: tuple[int, ...]) -> Iterator[Store]:
    """Open an empty store for arrays of a shape; its disk space is free again afterwards."""
    folder = LOCAL / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Store(file.fileno(), shape)


def load_images(path: Path, into: Store) -> list[str]:
    """Decode the images of an images table into a store, in its order; gives their ids."""
    ids: list[str] = []
    for batch in read_batches(path, IMAGES, ["image_id", "pixels"]):
        for image_id, pixels in zip(*batch.to_pydict().values(), strict=True):
            into.write(len(ids), decode_image(pixels))
            ids.append(image_id)
    return ids


def load_masks(
    path: Path, numbers: dict[str, int], channels: dict[str, int], into: Store
) -> NDArray[np.bool_]:
    """Decode masks into a store of shape (channels, H, W), foreground 1.

    ``numbers``: of the images by id; ``channels``: of the labels. Gives which channels were
    found, bool (images, channels). Masks of other images or labels are passed over.
    """
    found = np.zeros((len(numbers), len(channels)), bool)
    pending: tuple[int, NDArray[np.uint8]] | None = None
    for batch in read_batches(path, MASKS, ["image_id", "label", "mask"]):
        for image_id, label, mask in zip(*batch.to_pydict().values(), strict=True):
            number, channel = numbers.get(image_id), channels.get(label)
            if number is None or channel is None:
                continue
            values = decode_mask(mask)
            if pending is None or pending[0] != number:
                if pending is not None:
                    into.write(*pending)
                pending = (number, np.zeros((len(channels), *values.shape), np.uint8))
            pending[1][channel] = values
            found[number, channel] = True
    if pending is not None:
        into.write(*pending)
    return found
