"""The saliency maps of an audit, read for all methods side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_batches
from tasks.tables.saliency import saliency

#: Statuses of a map that can be read as one.
READABLE = frozenset({"ok", "sparse_map"})
#: Statuses that mean the method gave numbers, but all the same ones.
FLAT = frozenset({"zero_map", "constant_map"})


@dataclass(frozen=True)
class StoredRow:
    """One map: ``values`` float16 (H, W) in [0, 1], with its statuses and what it was made of."""

    image_id: str
    label: str
    method: str
    values: NDArray[np.float16]
    offset: float | None
    scale: float | None
    status: str
    method_status: str
    tie_share: float | None
    completeness: float | None
    pixel_sha256: str
    model_digest: str
    method_digest: str

    @property
    def readable(self) -> NDArray[np.float16] | None:
        """The map where its status allows reading it, else None."""
        return self.values if self.status in READABLE else None


def check_methods(audit: str, methods: Sequence[str]) -> None:
    """Raise DataError where a method has no table of maps, naming what is missing."""
    missing = [m for m in methods if not (places.explain(audit) / f"{m}.parquet").is_file()]
    if missing:
        raise DataError(
            f"{places.explain(audit)} lacks the maps of {', '.join(missing)}: "
            "run `saliency-audit run`"
        )


def read_maps(path: Path, size: Sequence[int]) -> Iterator[StoredRow]:
    """Stream the maps of one method, in ascending (image_id, label)."""
    height, width = size
    for batch in read_batches(path, saliency(height, width)):
        maps = _tensor(batch.column("map"), height, width)
        rest = batch.drop_columns(["map"]).to_pylist()
        for row, values in zip(rest, maps, strict=True):
            yield StoredRow(values=values, **row)


def _tensor(column: pa.ExtensionArray, height: int, width: int) -> NDArray[np.float16]:
    flat = column.storage.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float16).reshape(-1, height, width)
