"""Whether two artifacts are the same, a recorded one and a rerun one: files or folders.

Tables, JSON, weights and text are compared by what they hold, everything else by bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flows.reproduction.tables import table_differences
from flows.reproduction.values import (
    Difference,
    Tolerance,
    one_sided,
    tensor_differences,
    text_differences,
    tree_differences,
)

IDENTICAL, WITHIN, DIFFERENT = "identical", "within", "different"
#: How many differences of one artifact are kept.
KEPT = 1000
#: What is read as text; of anything else that has no reader of its own, bytes are compared.
TEXT = (".csv", ".md", ".html", ".txt", ".yaml", ".yml")


@dataclass(frozen=True)
class Comparison:
    """What comparing two artifacts gave: ``identical`` bytes, ``within`` tolerance, ``different``.

    ``differences``: in the order of the artifact, at most 1000 of them. A ``different`` artifact
    may have none, where what was recorded could not be read.
    """

    state: str
    differences: tuple[Difference, ...] = ()
    note: str = ""

    @property
    def first(self) -> Difference | None:
        """The first difference that decides: beyond tolerance, if there is one."""
        decisive = [d for d in self.differences if not d.within]
        return next(iter(decisive or self.differences), None)


def compare(recorded: Path, rerun: Path, tolerance: Tolerance) -> Comparison:
    """Compare two files, or two folders file by file in the order of their names."""
    if _same_bytes(recorded, rerun):
        return Comparison(IDENTICAL)
    found: list[Difference] = []
    for name in sorted({*_files(recorded), *_files(rerun)}):
        one, other = recorded / name, rerun / name
        if not one.is_file() or not other.is_file():
            found.append(one_sided(name or rerun.name, one.is_file()))
        elif not _same_bytes(one, other):
            prefix = f"{name}, " if name else ""
            found += _file_differences(one, other, tolerance, prefix)
    state = WITHIN if all(d.within for d in found) else DIFFERENT
    decisive = [d for d in found if not d.within]
    kept = tuple(found[:KEPT]) + tuple(d for d in decisive[:1] if d not in found[:KEPT])
    return Comparison(state, kept)


def _files(path: Path) -> list[str]:
    """Give the files of a folder by name; of a file, the empty name."""
    if path.is_dir():
        return [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
    return [""] if path.is_file() else []


def _same_bytes(one: Path, other: Path) -> bool:
    if one.is_dir() or other.is_dir():
        names = sorted(_files(one))
        return names == sorted(_files(other)) and all(
            _same_bytes(one / name, other / name) for name in names
        )
    if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            block = left.read(2**20)
            if block != right.read(2**20):
                return False
            if not block:
                return True


def _file_differences(
    recorded: Path, rerun: Path, tolerance: Tolerance, prefix: str
) -> list[Difference]:
    """Compare two files whose bytes differ; what only their bytes tell apart is within."""
    suffix = rerun.suffix
    try:
        if suffix == ".parquet":
            found = list(table_differences(recorded, rerun, tolerance))
        elif suffix == ".json":
            one, other = (json.loads(path.read_text("utf-8")) for path in (recorded, rerun))
            found = list(tree_differences(one, other, tolerance))
        elif suffix == ".safetensors":
            found = list(tensor_differences(recorded, rerun, tolerance))
        elif suffix in TEXT:
            texts = [path.read_text("utf-8") for path in (recorded, rerun)]
            found = list(text_differences(texts[0], texts[1], tolerance))
        else:
            found = [_byte_difference(recorded, rerun)]
    except (ValueError, OSError) as error:
        # Arrow's errors, JSON's, and those of wrong UTF-8 are all ValueErrors.
        found = [Difference("content", "other bytes", f"not comparable: {error}", within=False)]
    if not found:
        found = [Difference("bytes", "the same content", "written otherwise", within=True)]
    return [replace(difference, place=prefix + difference.place) for difference in found]


def _byte_difference(recorded: Path, rerun: Path) -> Difference:
    one, other = (np.frombuffer(path.read_bytes(), np.uint8) for path in (recorded, rerun))
    length = min(len(one), len(other))
    apart = np.flatnonzero(one[:length] != other[:length])
    at = int(apart[0]) if len(apart) else length
    return Difference(f"byte {at}", f"{len(one)} bytes", f"{len(other)} bytes", within=False)
