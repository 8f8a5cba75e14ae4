"""Explaining that was killed goes on where it was, and computes no map twice."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.map_store import FILE, MapStore
from tasks.maps import read_maps

AUDIT = "phantom_skin-tiny"
COMMAND = [sys.executable, "-m", "tasks.explain", AUDIT, "rise"]
TABLE = f"data/explain/{AUDIT}/rise.parquet"


@pytest.fixture(scope="module")
def predicted(warm_checkout):
    """A checkout with all that explaining needs, and RISE slow enough to be killed."""
    checkout = warm_checkout()
    tree = checkout.params()
    tree["method"]["rise"]["samples"] = 3000
    checkout.write_params(tree)
    checkout.repro(f"predict@{AUDIT}")
    return checkout


def kept(checkout):
    """How many maps the store of a checkout holds."""
    if not (checkout.path / FILE).is_file():
        return 0
    with sqlite3.connect(checkout.path / FILE, timeout=60) as connection:
        found = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        return connection.execute("SELECT COUNT(*) FROM maps").fetchone()[0] if found else 0


def explained(checkout):
    """Images and labels that have a map."""
    return {(row.image_id, row.label) for row in read_maps(checkout.path / TABLE, (32, 32))}


def test_a_killed_stage_goes_on_and_gives_the_same_bytes(predicted):
    process = subprocess.Popen(COMMAND, cwd=predicted.path, env={**os.environ, "CI": "1"})
    while kept(predicted) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = kept(predicted)
    assert not (predicted.path / TABLE).exists()
    predicted.call(*COMMAND)
    resumed = (predicted.path / TABLE).read_bytes()
    rows = pq.read_metadata(predicted.path / TABLE).num_rows
    assert 2 <= before < rows == kept(predicted)
    (predicted.path / FILE).unlink()
    predicted.call(*COMMAND)
    assert (predicted.path / TABLE).read_bytes() == resumed


def test_a_map_that_is_kept_is_not_computed_again(predicted, monkeypatch):
    """One is exchanged for a marked one, which nothing would compute."""
    predicted.call(*COMMAND)
    monkeypatch.chdir(predicted.path)
    first = next(read_maps(predicted.path / TABLE, (32, 32)))
    with sqlite3.connect(FILE) as connection:
        pixels, label = connection.execute("SELECT pixels, label FROM maps").fetchone()
        (key,) = connection.execute("SELECT key FROM contexts").fetchone()
        store = MapStore(connection, key, "marked")
        found = store.find(pixels, [label])[label]
        marked = np.zeros_like(first.values)
        marked[3, 5] = 1
        store.keep(pixels, {label: dataclasses.replace(found, map=marked)})
    predicted.call(*COMMAND)
    maps = [row.values for row in read_maps(predicted.path / TABLE, (32, 32))]
    assert sum(np.array_equal(values, marked) for values in maps) == 1
    FILE.unlink()


def test_of_added_images_only_the_new_are_computed(predicted):
    predicted.call(*COMMAND)
    before, first = kept(predicted), explained(predicted)
    tree = predicted.params()
    tree["audits"][AUDIT]["images"] = 12
    predicted.write_params(tree)
    predicted.repro(f"explain@{AUDIT}-rise")
    added = explained(predicted) - first
    assert added
    assert kept(predicted) == before + len(added)
    assembled = (predicted.path / TABLE).read_bytes()
    (predicted.path / FILE).unlink()
    predicted.call(*COMMAND)
    assert (predicted.path / TABLE).read_bytes() == assembled


def test_pruning_says_what_is_left(predicted):
    predicted.call(*COMMAND)
    said = predicted.audit("prune", "--keep", "8").stderr
    assert f"{AUDIT} rise: {kept(predicted)} maps" in said
    assert "0 maps dropped" in said
    predicted.audit("prune", "--keep", "0")
    assert kept(predicted) == 0
