"""Where corruption enters: a raw folder, or what a task is about to write, before any digest of it.

A change is a function that is given what can be touched and a ``Pick`` that says how much of it to
touch. A seam that saw nothing changed is a fault of the harness.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
from PIL import Image

from saliency_audit.datasets.sample import Sample
from tasks.artifacts import read_columns, write_table
from tasks.predict import _judge
from tasks.tables.chosen import CHOSEN

from . import base

Row = dict[str, Any]


class NothingChangedError(Exception):
    """A kind changed nothing, so that its trial says nothing."""


@dataclass(frozen=True)
class Pick:
    """Chooses what is touched: a share ``rate`` of it, of 0 a single row; seeded."""

    rate: float
    rng: np.random.Generator

    def __call__(self, things: Sequence[Any], where: Callable[[Any], bool] | None = None) -> list:
        """Give the positions of the things to touch, among those that can be."""
        able = [n for n, thing in enumerate(things) if where is None or where(thing)]
        if not able:
            raise NothingChangedError("nothing can be touched")
        number = max(1, round(self.rate * len(able)))
        return sorted(self.rng.choice(able, number, replace=False).tolist())

    def other(self, things: Sequence[Any], but: int, where: Callable[[Any], bool]) -> Any:
        """Give a thing that is another than one."""
        able = [thing for n, thing in enumerate(things) if n != but and where(thing)]
        if not able:
            raise NothingChangedError("nothing else is there")
        return able[int(self.rng.integers(len(able)))]


class Seam(Protocol):
    """``stage``: whose run is corrupted; ``where`` in words; ``entered`` is held around its run."""

    stage: str

    @property
    def where(self) -> str: ...

    def entered(self, subject: base.Subject, pick: Pick) -> contextlib.AbstractContextManager: ...


class RawFolder:
    """A person's folder under corruption: the rows of its table, and its pictures."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = base.read_rows(path / "images.csv")
        self._before = [dict(row) for row in self.rows]
        self._drawn = 0

    def picture(self, name: str) -> np.ndarray:
        """Read a picture, uint8 (H, W, 3) or (H, W)."""
        with Image.open(self.path / name) as image:
            return np.array(image)

    def draw(self, name: str, values: np.ndarray) -> None:
        """Write a picture."""
        target = self.path / name
        if not target.is_file() or not np.array_equal(self.picture(name), values):
            self._drawn += 1
        base.save(target, values)

    def store(self, name: str, content: bytes) -> None:
        """Write the bytes of a file."""
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_bytes(content)
        self._drawn += 1

    def finish(self) -> None:
        if self.rows == self._before and not self._drawn:
            raise NothingChangedError("the folder is as it was")
        base.write_rows(self.path / "images.csv", self.rows)


@dataclass(frozen=True)
class Raw:
    """The folder that a person gives."""

    change: Callable[[RawFolder, Pick], None]
    stage: str = "ingest"
    where: str = "raw folder"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        folder = RawFolder(Path("raw") / subject.name)
        self.change(folder, pick)
        folder.finish()
        yield


@dataclass(frozen=True)
class Samples:
    """What the source gives to ``ingest``."""

    change: Callable[[list[Sample], Pick], list[Sample]]
    stage: str = "ingest"
    where: str = "samples of `ingest`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of("ingest")
        original = module.build_source
        change = self.change

        class Corrupt:
            def __init__(self, source: Any) -> None:
                self._source = source
                self.describe, self.max_set_aside = source.describe, source.max_set_aside

            def samples(self, progress: Any) -> Iterator[Sample]:
                found = list(self._source.samples(progress))
                before = _digest([vars(sample) for sample in found])
                changed = change(found, pick)
                _check_changed(before, [vars(sample) for sample in changed])
                yield from sorted(changed, key=lambda sample: sample.image_id)

        with patch.object(module, "build_source", lambda *given: Corrupt(original(*given))):
            yield


class _Collected:
    """Rows that a stage means to write."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def write(self, row: Row) -> None:
        self.rows.append(dict(row))

    def write_all(self, rows: Any) -> None:
        for row in rows:
            self.write(row)


@dataclass(frozen=True)
class Rows:
    """The rows of a table that a stage is about to write, by the name of its file."""

    stage: str
    file: str
    change: Callable[[list[Row], Pick], list[Row] | None]

    @property
    def where(self) -> str:
        return f"`{self.file}` rows of `{self.stage}`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        @contextlib.contextmanager
        def corrupt(table: Any, path: Path) -> Iterator[Any]:
            with write_table(table, path) as writer:
                named = path.stem in (self.file, f"{subject.name}-{self.file}")
                if not named or table.name == "methods":  # of the same name as the cohort
                    yield writer
                    return
                collected = _Collected()
                yield collected
                before = _digest(collected.rows)
                found = self.change(collected.rows, pick)
                rows = collected.rows if found is None else found
                _check_changed(before, rows)
                # A stage writes in the order of its key, whatever it has got wrong.
                writer.write_all(sorted(rows, key=lambda row: _order(row, table.key)))

        with patch.object(base.module_of(self.stage), "write_table", corrupt):
            yield


def _order(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple((row[name] is not None, row[name]) for name in key if name in row)


@dataclass(frozen=True)
class Json:
    """A JSON file that a stage is about to write."""

    stage: str
    file: str
    change: Callable[[dict[str, Any], Pick], None]

    @property
    def where(self) -> str:
        return f"`{self.file}.json` of `{self.stage}`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of(self.stage)
        original = module.write_json

        def corrupt(path: Path, content: dict[str, Any]) -> None:
            if path.stem == self.file:
                before = repr(content)
                self.change(content, pick)
                if repr(content) == before:
                    raise NothingChangedError(f"{path} is as it was")
            original(path, content)

        with patch.object(module, "write_json", corrupt):
            yield


@dataclass(frozen=True)
class Weights:
    """The weights that a stage is about to write, by name."""

    stage: str
    change: Callable[[dict[str, Any], Pick], dict[str, Any]]

    @property
    def where(self) -> str:
        return f"weights of `{self.stage}`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of(self.stage)
        original = module.save_weights

        def corrupt(path: Path, state: dict[str, Any]) -> None:
            original(path, self.change(dict(state), pick))

        with patch.object(module, "save_weights", corrupt):
            yield


@dataclass(frozen=True)
class Judged:
    """What ``predict`` has made of the held-out images, before it writes any of it."""

    change: Callable[[Any, Pick], dict[str, Any]]
    stage: str = "predict"
    where: str = "judgements of `predict`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        def corrupt(*given: Any) -> Any:
            judged = _judge(*given)
            return replace(judged, **self.change(judged, pick))

        with patch.object(base.module_of("predict"), "_judge", corrupt):
            yield


@dataclass(frozen=True)
class Scores:
    """The classifier's scores (images, labels), as ``predict`` receives them."""

    change: Callable[[np.ndarray, Pick], None]
    stage: str = "predict"
    where: str = "scores in `predict`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of("predict")
        original = module._scores

        def corrupt(*given: Any) -> np.ndarray:
            scores = original(*given)
            before = scores.copy()
            self.change(scores, pick)
            if np.array_equal(before, scores):
                raise NothingChangedError("the scores are as they were")
            return scores

        with patch.object(module, "_scores", corrupt):
            yield


@dataclass(frozen=True)
class RawMaps:
    """The maps of a method as it gives them, before they are normalised and stored."""

    change: Callable[[np.ndarray], np.ndarray]
    stage: str = "explain"
    where: str = "raw maps in `explain`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of("explain")
        original = module.quantise
        # No map is found in the store: all go through the seam.
        Path(".saliency/maps.sqlite").unlink(missing_ok=True)
        path = Path("data/predict") / subject.audit / "chosen.parquet"
        explain = read_columns(path, CHOSEN, ["explain"]).to_pydict()["explain"]
        touched = set(pick(range(sum(map(len, explain)))))
        made = iter(range(10**9))

        def corrupt(raw: Any, kept: float) -> Any:
            if next(made) in touched:
                raw = replace(raw, values=self.change(np.array(raw.values, np.float64)))
            return original(raw, kept)

        with patch.object(module, "quantise", corrupt):
            yield


@dataclass(frozen=True)
class Joined:
    """The masks and maps of each row, as a measuring stage receives them."""

    stage: str
    change: Callable[[list[Any], Pick], None]

    @property
    def where(self) -> str:
        return f"masks and maps in `{self.stage}`"

    @contextlib.contextmanager
    def entered(self, subject: base.Subject, pick: Pick) -> Iterator[None]:
        module = base.module_of(self.stage)
        original = module.join

        def corrupt(*given: Any) -> Iterator[Any]:
            rows = list(original(*given))
            self.change(rows, pick)
            yield from rows

        with patch.object(module, "join", corrupt):
            yield


def _digest(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        for name, value in row.items():
            digest.update(name.encode())
            parts = value.values() if isinstance(value, dict) else [value]
            for part in parts:
                known = part.tobytes() if hasattr(part, "tobytes") else repr(part).encode()
                digest.update(known + str(getattr(part, "shape", "")).encode())
    return digest.hexdigest()


def _check_changed(before: str, rows: Sequence[Row]) -> None:
    if _digest(rows) == before:
        raise NothingChangedError("the rows are as they were")
