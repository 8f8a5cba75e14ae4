"""The store of finished maps: it gives back what it was given, or nothing."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_audit.attribution.maps import StoredMap
from saliency_audit.errors import ParameterError
from tasks.map_store import BOUND_VARIABLE, FILE, bound, contents, map_store, prune


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(BOUND_VARIABLE, raising=False)
    return tmp_path


def a_map(seed=0, size=(4, 6), **fields):
    values = np.random.default_rng(seed).random(size).astype(np.float16)
    return StoredMap(
        **{
            "map": values,
            "offset": 0.1,
            "scale": 2.0,
            "status": "ok",
            "tie_share": 0.0,
            "completeness": None,
            "method_status": "ok",
            **fields,
        }
    )


def same(first, second):
    assert first.map.dtype == second.map.dtype == np.float16
    assert first.map.tobytes() == second.map.tobytes()
    assert first.map.shape == second.map.shape
    for name in ("offset", "scale", "status", "tie_share", "completeness", "method_status"):
        assert getattr(first, name) == getattr(second, name)


NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBER, NUMBER, NUMBER, NUMBER, st.integers(1, 9), st.integers(1, 9), st.text(max_size=5))
def test_a_map_comes_back_bit_by_bit(offset, scale, ties, completeness, height, width, label):
    given_map = a_map(
        size=(height, width),
        offset=offset,
        scale=scale,
        tie_share=ties,
        completeness=completeness,
    )
    with map_store("key", "name") as store:
        store.keep("image", {label: given_map})
        found = store.find("image", [label])
    same(found[label], given_map)


def test_nothing_is_found_under_another_key_image_or_label():
    with map_store("key", "name") as store:
        store.keep("image", {"nodule": a_map()})
        assert store.find("image", ["mass"]) == {}
        assert store.find("other", ["nodule"]) == {}
    with map_store("another", "name") as store:
        assert store.find("image", ["nodule"]) == {}


def test_a_map_that_was_changed_is_not_found():
    with map_store("key", "name") as store:
        store.keep("image", {"nodule": a_map(1), "mass": a_map(2)})
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE maps SET map = ZEROBLOB(48) WHERE label = 'nodule'")
    with map_store("key", "name") as store:
        assert list(store.find("image", ["nodule", "mass"])) == ["mass"]


def truncate():
    os.truncate(FILE, FILE.stat().st_size // 2)


def overwrite():
    FILE.write_bytes(b"this is no database at all" * 500)


def renumber():
    with sqlite3.connect(FILE) as connection:
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("spoil", [truncate, overwrite, renumber])
def test_a_file_that_cannot_be_read_is_made_anew(spoil):
    with map_store("key", "name") as store:
        for number in range(50):
            store.keep(f"image {number}", {"nodule": a_map(number, (64, 64))})
    spoil()
    with map_store("key", "name") as store:
        assert store.find("image 49", ["nodule"]) == {}
        store.keep("image 49", {"nodule": a_map(49)})
    with map_store("key", "name") as store:
        same(store.find("image 49", ["nodule"])["nodule"], a_map(49))


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.integers(1, 5000))
def test_damage_anywhere_loses_maps_and_changes_none(place, length):
    FILE.unlink(missing_ok=True)
    with map_store("key", "name") as store:
        for number in range(10):
            store.keep(f"image {number}", {"nodule": a_map(number, (32, 32))})
    with FILE.open("r+b") as file:
        file.seek(int(place * FILE.stat().st_size))
        file.write(b"\xa5" * length)
    with map_store("key", "name") as store:
        for number in range(10):
            for found in store.find(f"image {number}", ["nodule"]).values():
                same(found, a_map(number, (32, 32)))


def write_many(start):
    for number in range(start, start + 60):
        with map_store("key", "name") as store:
            store.keep(f"image {number}", {"nodule": a_map(number)})


def test_two_processes_write_at_once(folder):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write_many, args=(start,)) for start in (0, 30)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with map_store("key", "name") as store:
        for number in range(90):
            same(store.find(f"image {number}", ["nodule"])["nodule"], a_map(number))


def test_what_was_not_used_for_longest_is_dropped_first():
    for name in ("first", "second", "third"):
        with map_store(name, name) as store:
            store.keep("image", {"nodule": a_map(size=(256, 256))})
    with map_store("first", "first"):
        pass
    one_map = 256 * 256 * 2 / 2**30
    assert prune(2 * one_map) == 1
    assert [kept.name for kept in contents()] == ["first", "third"]
    assert prune(0) == 2
    assert contents() == []
    assert FILE.stat().st_size < 2**17


def test_the_store_keeps_within_its_bound(monkeypatch):
    monkeypatch.setenv(BOUND_VARIABLE, "0")
    with map_store("key", "name") as store:
        store.keep("image", {"nodule": a_map()})
    assert contents() == []


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_a_bound_that_is_no_size_is_named(monkeypatch, text):
    monkeypatch.setenv(BOUND_VARIABLE, text)
    with pytest.raises(ParameterError, match=BOUND_VARIABLE):
        bound()


def test_without_a_file_there_is_nothing_to_prune():
    assert prune(1) == 0
    assert contents() == []
