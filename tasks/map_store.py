"""Finished saliency maps, kept outside DVC's outputs so that none is computed twice.

A map is found by its image's pixels, its label, and a *context*: the digest
of all else that decides its bytes (model, method, code, batch shape). An
``explain`` that was killed goes on where it was, and images that are added
are the only ones computed. It is a cache in one SQLite file: several
processes may use it at once, it is bounded, and where it is broken it is
made anew, because everything in it can be computed again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from saliency_audit.attribution.maps import StoredMap
from saliency_audit.errors import ParameterError
from tasks.places import LOCAL

FILE = LOCAL / "maps.sqlite"
#: Layout of the file; one of another layout is replaced.
VERSION = 2
#: Environment variable with the size that the store may have, in GiB.
BOUND_VARIABLE = "SALIENCY_MAP_STORE_GIB"
DEFAULT_BOUND = 8.0
#: Seconds to wait for another process that is writing.
PATIENCE = 60

LAYOUT = """
CREATE TABLE contexts (id INTEGER PRIMARY KEY, key TEXT UNIQUE, name TEXT, used REAL);
CREATE TABLE maps (
    context INTEGER, pixels TEXT, label TEXT, map BLOB, height INTEGER, width INTEGER,
    "offset" REAL, scale REAL, status TEXT, tie_share REAL, completeness REAL,
    method_status TEXT, digest TEXT,
    PRIMARY KEY (context, pixels, label)
);
"""

log = logging.getLogger(__name__)

T = TypeVar("T")


def bound() -> float:
    """Give the size in GiB that the store may have; raises ParameterError for no such number."""
    text = os.environ.get(BOUND_VARIABLE, str(DEFAULT_BOUND))
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise ParameterError(f"{BOUND_VARIABLE} is {text!r}: give a number of GiB, 0 or more")
    return value


@dataclass(frozen=True)
class Kept:
    """What the store holds of one context: its name, maps, bytes, and when it was last used."""

    name: str
    maps: int
    size: int
    used: float


class MapStore:
    """The maps of one context.

    ``key``: digest of all that decides a map's bytes besides its pixels and label; ``name``: what
    a person calls it. Where the disk or the file refuses, maps are computed and not kept.
    """

    def __init__(self, connection: sqlite3.Connection, key: str, name: str) -> None:
        self._connection = connection
        with connection:
            connection.execute(
                "INSERT INTO contexts (key, name, used) VALUES (?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET name = excluded.name, used = excluded.used",
                (key, name, time.time()),
            )
        found = connection.execute("SELECT id FROM contexts WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise sqlite3.DatabaseError("a row that was written is not found")
        self._context = found[0]

    def find(self, pixels: str, labels: Sequence[str]) -> dict[str, StoredMap]:
        """Give the maps that are kept of an image (by the digest of its pixels), by label.

        One that cannot be read, or does not match its own digest, counts as not kept.
        """
        try:
            rows = self._connection.execute(
                'SELECT label, map, height, width, "offset", scale, status, tie_share, '
                "completeness, method_status, digest FROM maps WHERE context = ? AND pixels = ?",
                (self._context, pixels),
            ).fetchall()
        except sqlite3.Error as error:
            log.warning("maps in %s cannot be read: %s", FILE, error)
            return {}
        return {
            label: _stored(values)
            for label, *values, digest in rows
            if label in labels and digest == _digest(pixels, label, values)
        }

    def keep(self, pixels: str, maps: Mapping[str, StoredMap]) -> None:
        """Keep the maps of an image, by label."""
        rows = []
        for label, stored in maps.items():
            values = _values(stored)
            rows.append((self._context, pixels, label, *values, _digest(pixels, label, values)))
        try:
            with self._connection:
                self._connection.executemany(
                    f"INSERT OR REPLACE INTO maps VALUES ({', '.join('?' * 13)})", rows
                )
        except sqlite3.Error as error:
            log.warning("a map was not kept in %s: %s", FILE, error)


@contextmanager
def map_store(key: str, name: str) -> Iterator[MapStore]:
    """Open the store for a context; afterwards what was not used for longest is dropped."""
    limit = bound()
    with _opened(lambda connection: MapStore(connection, key, name)) as (connection, store):
        yield store
        try:
            _drop(connection, limit)
        except sqlite3.OperationalError as error:
            log.warning("%s keeps its size for now: %s", FILE, error)
        except sqlite3.DatabaseError as error:
            # The next stage finds no file and makes one that can be read.
            log.warning("%s is given up: %s", FILE, error)
            FILE.unlink(missing_ok=True)


def contents() -> list[Kept]:
    """Say what the store holds, the last used first."""
    if not FILE.is_file():
        return []
    with _opened(_contents) as (_, found):
        return found


def prune(limit: float) -> int:
    """Drop the maps that were not used for longest until ``limit`` GiB are kept; gives how many."""
    if not FILE.is_file():
        return 0
    with _opened(lambda connection: _drop(connection, limit)) as (_, dropped):
        return dropped


@contextmanager
def _opened(use: Callable[[sqlite3.Connection], T]) -> Iterator[tuple[sqlite3.Connection, T]]:
    """Open the file and use it at once, or a new one where it cannot be read or used."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    connection, found = None, None
    try:
        connection = _checked(sqlite3.connect(FILE, timeout=PATIENCE))
        found = use(connection)
    except sqlite3.OperationalError as error:
        # Locked or refused by the disk: nothing says that what it holds is broken.
        log.warning("%s cannot be used now, maps are not kept: %s", FILE, error)
        connection = _checked(sqlite3.connect(":memory:"))
        found = use(connection)
    except sqlite3.DatabaseError as error:
        log.warning("%s is made anew: %s", FILE, error)
        if connection is not None:
            connection.close()
        FILE.unlink(missing_ok=True)
        connection = _checked(sqlite3.connect(FILE, timeout=PATIENCE))
        found = use(connection)
    with closing(connection):
        yield connection, found


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Give a connection whose file has this layout; raises DatabaseError where it is another."""
    try:
        # One at a time: two processes may find that there is no file yet.
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if tables == 0:
            for statement in LAYOUT.strip().split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it has layout {version}, not {VERSION}")
        connection.execute("SELECT COUNT(used) FROM contexts").fetchone()
        connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _contents(connection: sqlite3.Connection) -> list[Kept]:
    return [
        Kept(*row)
        for row in connection.execute(
            "SELECT name, COUNT(map), COALESCE(SUM(LENGTH(map)), 0), used FROM contexts "
            "LEFT JOIN maps ON context = id GROUP BY id ORDER BY used DESC"
        )
    ]


def _drop(connection: sqlite3.Connection, limit: float) -> int:
    rows = connection.execute(
        "SELECT id, COUNT(map), COALESCE(SUM(LENGTH(map)), 0) FROM contexts "
        "LEFT JOIN maps ON context = id GROUP BY id ORDER BY used DESC"
    ).fetchall()
    total, dropped = 0, 0
    for context, maps, size in rows:
        total += size
        if total > limit * 2**30:
            with connection:
                connection.execute("DELETE FROM maps WHERE context = ?", (context,))
                connection.execute("DELETE FROM contexts WHERE id = ?", (context,))
            dropped += maps
    if dropped:
        connection.execute("VACUUM")
    return dropped


def _values(stored: StoredMap) -> list[Any]:
    height, width = stored.map.shape
    return [
        stored.map.astype("<f2").tobytes(),
        height,
        width,
        stored.offset,
        stored.scale,
        stored.status,
        stored.tie_share,
        stored.completeness,
        stored.method_status,
    ]


def _stored(values: Sequence[Any]) -> StoredMap:
    pixels, height, width, *rest = values
    return StoredMap(np.frombuffer(pixels, "<f2").reshape(height, width).astype(np.float16), *rest)


def _digest(pixels: str, label: str, values: Sequence[Any]) -> str:
    digest = hashlib.sha256(repr((pixels, label, *values[1:])).encode())
    digest.update(values[0])
    return digest.hexdigest()
