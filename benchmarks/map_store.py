"""What the store of maps costs and survives, beside `diskcache`, which does nearly the same.

    pip install diskcache        # not in requirements.lock: nothing else needs it
    python benchmarks/map_store.py

Each keeps 1,000 maps as `explain` does, one image at a time and each for good before the next, with
all that belongs to a map. diskcache gets the same values as one pickled tuple, in the settings that
it comes with. Writes medians of five and the machine's cores to ``benchmarks/map_store.json``.
Damage is counted: 200 times some bytes of what lies on the disk are changed, and every map is asked
for again.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path

import diskcache
import numpy as np

from saliency_audit.attribution.maps import StoredMap
from tasks.map_store import FILE, map_store, prune

REPEATS, MAPS, DAMAGES = 5, 1000, 200
OUTPUT = Path(__file__).with_suffix(".json")
LABEL = "nodule"


def maps(size: int, count: int) -> list[StoredMap]:
    """Give maps of noise: what is kept is not compressed, so that any content costs the same."""
    rng = np.random.default_rng(size)
    return [
        StoredMap(rng.random((size, size)).astype(np.float16), 0.1, 2.0, "ok", 0.0, None)
        for _ in range(count)
    ]


class Ours:
    """`tasks.map_store`."""

    def put(self, stored: list[StoredMap]) -> None:
        """Keep maps, one after another."""
        with map_store("key", "name") as store:
            for number, one in enumerate(stored):
                store.keep(f"image {number}", {LABEL: one})

    def get(self, count: int) -> Iterator[np.ndarray | None]:
        """Give the maps that are found, in the order in which they were kept."""
        with map_store("key", "name") as store:
            for number in range(count):
                found = store.find(f"image {number}", [LABEL])
                yield found[LABEL].map if found else None

    def drop_all(self) -> None:
        """Drop what is kept under the one key."""
        prune(0)

    def files(self) -> list[Path]:
        """Give the files that it lies in."""
        return [FILE]


class Theirs:
    """`diskcache.Cache`."""

    FOLDER = Path("cache")

    def put(self, stored: list[StoredMap]) -> None:
        """Keep maps, one after another."""
        with diskcache.Cache(self.FOLDER, size_limit=2**33) as cache:
            for number, one in enumerate(stored):
                rest = (one.offset, one.scale, one.status, one.tie_share, one.completeness)
                value = (one.map.tobytes(), one.map.shape, rest)
                cache.set(("key", f"image {number}", LABEL), value, tag="key")

    def get(self, count: int) -> Iterator[np.ndarray | None]:
        """Give the maps that are found, in the order in which they were kept."""
        with diskcache.Cache(self.FOLDER) as cache:
            for number in range(count):
                found = cache.get(("key", f"image {number}", LABEL))
                yield None if found is None else np.frombuffer(found[0], "<f2").reshape(found[1])

    def drop_all(self) -> None:
        """Drop what is kept under the one key."""
        with diskcache.Cache(self.FOLDER) as cache:
            cache.evict("key")

    def files(self) -> list[Path]:
        """Give the files that it lies in."""
        return sorted(path for path in self.FOLDER.rglob("*") if path.is_file())


STORES = {"map_store": Ours, "diskcache": Theirs}


def seconds(work: Callable[[], object]) -> float:
    """Give how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_round(store: Ours | Theirs, stored: list[StoredMap]) -> dict[str, float]:
    """Keep, find and drop maps in an empty folder; gives milliseconds a map, and bytes a byte."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        put = seconds(lambda: store.put(stored))
        size = sum(path.stat().st_blocks * 512 for path in store.files())
        get = seconds(lambda: sum(found is not None for found in store.get(len(stored))))
        drop = seconds(store.drop_all)
    times = {"put_ms": put, "get_ms": get, "drop_ms": drop}
    shared = {name: 1000 * took / len(stored) for name, took in times.items()}
    return {**shared, "bytes_on_disk": size / sum(one.map.nbytes for one in stored)}


def costs() -> dict[str, dict[str, dict[str, float]]]:
    """Give medians by size of map and store; the stores take turns."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for size in (64, 224):
        stored = maps(size, MAPS)
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in STORES}
        for _ in range(REPEATS):
            for name, store in STORES.items():
                rounds[name].append(one_round(store(), stored))
        found[f"{size}x{size}"] = {
            name: {key: round(statistics.median(r[key] for r in own), 3) for key in own[0]}
            for name, own in rounds.items()
        }
    return found


def outcomes(store: Ours | Theirs, stored: list[StoredMap]) -> Iterator[str]:
    """Say of each map whether it is found, lost, found as another one, or the store raises."""
    asked = store.get(len(stored))
    for one in stored:
        try:
            found = next(asked)
        except Exception:
            yield "raised"
            return
        same = found is not None and found.tobytes() == one.map.tobytes()
        yield "lost" if found is None else "same" if same else "other"


def damage(store: Ours | Theirs, stored: list[StoredMap], rng: np.random.Generator) -> set[str]:
    """Change up to 64 bytes in the middle of some file of it; gives what happens to maps."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        store.put(stored)
        files = store.files()
        sizes = np.array([path.stat().st_size for path in files], dtype=float)
        path = files[rng.choice(len(files), p=sizes / sizes.sum())]
        with path.open("r+b") as file:
            file.seek(int(rng.integers(path.stat().st_size)))
            file.write(rng.bytes(int(rng.integers(1, 65))))
        return set(outcomes(store, stored))


def damages() -> dict[str, dict[str, dict[str, int]]]:
    """Count, by size and store, the damages after which a map was another one, or asking raised."""
    logging.disable(logging.WARNING)
    found: dict[str, dict[str, dict[str, int]]] = {}
    for size in (64, 224):
        stored = maps(size, 10)
        for name, store in STORES.items():
            rng = np.random.default_rng(size)
            seen = [damage(store(), stored, rng) for _ in range(DAMAGES)]
            counted = {what: sum(what in one for one in seen) for what in ("other", "raised")}
            found.setdefault(f"{size}x{size}", {})[name] = counted
    return found


def imports() -> dict[str, float]:
    """Give seconds that an import takes in a process of its own, less those of Python itself."""

    def start(code: str) -> float:
        return seconds(partial(subprocess.run, [sys.executable, "-c", code], check=True))

    found = {}
    for name, code in {"map_store": "import sqlite3", "diskcache": "import diskcache"}.items():
        taken = [start(code) - start("pass") for _ in range(REPEATS)]
        found[name] = round(statistics.median(taken), 3)
    return found


def main() -> None:
    """Measure, print and write."""
    told = {
        "cores": os.cpu_count(),
        "maps": MAPS,
        "repeats": REPEATS,
        "damages": DAMAGES,
        "diskcache": diskcache.__version__,
        "cost_of_a_map": costs(),
        "after_damage": damages(),
        "import_s": imports(),
    }
    OUTPUT.write_text(json.dumps(told, indent=2) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main()
