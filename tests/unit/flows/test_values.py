"""Two artifacts compared: numpy says which numbers differ, and a planted difference is found."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from flows.reproduction.comparison import DIFFERENT, IDENTICAL, WITHIN, compare
from flows.reproduction.training_band import IN_BAND, Band, compare_trainings
from flows.reproduction.values import Tolerance, text_differences, tree_differences
from tasks.artifacts import write_table
from tasks.tables.history import HISTORY
from tasks.tables.saliency import saliency

EXACT = Tolerance(0.0, 0.0, 0.0)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(numbers, numbers, st.floats(0, 1e-2), st.floats(0, 1e-2))
def test_two_numbers_are_the_same_where_numpy_says_so(one, other, relative, absolute):
    # numpy's tolerance is of its second argument: the recorded number.
    expected = bool(np.isclose(other, one, rtol=relative, atol=absolute))
    assert Tolerance(relative, absolute).holds(one, other) == expected
    found = list(tree_differences([one], [other], Tolerance(relative, absolute)))
    assert all(d.within == expected for d in found)
    assert bool(found) == (one != other)


def history(path, losses, best=1):
    with write_table(HISTORY, path) as table:
        for epoch, loss in enumerate(losses, start=1):
            table.write(
                {"epoch": epoch, "train_loss": loss, "tune_loss": loss, "best": epoch == best}
            )
    return path


@pytest.fixture
def pair(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "other"


@given(seed=st.integers(0, 2**31))
def test_the_first_differing_row_and_column_are_those_that_numpy_finds(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(seed)
    values = random.random((700, 2))
    others = values * (1 + 1e-3 * (random.random(values.shape) < 0.005))
    for name, array in (("one", values), ("other", others)):
        table = pa.table({"row": np.arange(700), "a": array[:, 0], "b": array[:, 1]})
        # Other row groups are other bytes, and the same table.
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=200 + len(name))
    found = compare(folder / "one.parquet", folder / "other.parquet", Tolerance())
    apart = np.argwhere(values != others)
    if not len(apart):
        assert found.state == WITHIN
        return
    row, column = apart[0]
    assert found.state == DIFFERENT
    assert found.first.place == f"row {row + 1}, column {'ab'[column]}"
    assert found.first.recorded == repr(float(values[row, column]))
    assert found.first.rerun == repr(float(others[row, column]))


def test_a_row_is_named_by_its_key(pair):
    one, other = (folder / "history.parquet" for folder in pair)
    history(one, [3.0, 2.0, 1.0])
    history(other, [3.0, 2.0, 1.5])
    found = compare(one, other, Tolerance())
    assert found.first.place == "row epoch=3, column train_loss"
    assert (found.first.recorded, found.first.rerun) == ("1.0", "1.5")
    assert [d.place for d in found.differences] == [
        "row epoch=3, column train_loss",
        "row epoch=3, column tune_loss",
    ]
    history(other, [3.0, 2.0])
    assert compare(one, other, Tolerance()).first.place == "row epoch=3"


def test_a_tiny_difference_is_within_and_a_flag_never_is(pair):
    one, other = (folder / "history.parquet" for folder in pair)
    history(one, [3.0, 2.0])
    history(other, [3.0, 2.0 + 1e-6])
    assert compare(one, other, Tolerance()).state == WITHIN
    assert compare(one, other, EXACT).state == DIFFERENT
    history(other, [3.0, 2.0], best=2)
    assert compare(one, other, Tolerance()).first.place == "row epoch=1, column best"


def maps(path, values, offset=0.0, scale=1.0, digest="weights"):
    table = saliency(*values.shape[1:])
    with write_table(table, path) as sink:
        for number, value in enumerate(values):
            sink.write(
                {
                    "image_id": f"image-{number:03}",
                    "label": "veil",
                    "method": "rise",
                    "map": value.astype(np.float16),
                    "offset": offset,
                    "scale": scale,
                    "status": "ok",
                    "method_status": "ok",
                    "tie_share": None,
                    "completeness": None,
                    "pixel_sha256": "pixels",
                    "model_digest": digest,
                    "method_digest": "method",
                }
            )
    return path


def test_maps_may_be_two_steps_of_float16_apart(pair):
    one, other = (folder / "rise.parquet" for folder in pair)
    random = np.random.default_rng(0)
    values = random.uniform(0.6, 0.9, (5, 4, 4)).astype(np.float16)
    maps(one, values)
    step = np.spacing(np.float16(0.75))
    for steps, state in ((2, WITHIN), (3, DIFFERENT)):
        changed = values.copy()
        changed[3, 1, 2] += steps * step
        maps(other, changed)
        found = compare(one, other, Tolerance())
        assert found.state == state
        assert found.first.place == "row image_id=image-003, label=veil, column map"
        assert f"{values[3, 1, 2]:.6g} at [1, 2]" == found.first.recorded


def test_an_offset_is_as_exact_as_its_maps_scale(pair):
    """One of 1e-7 in a map that reaches 100 is rounding; in a map that reaches 1e-7 it is all."""
    one, other = (folder / "rise.parquet" for folder in pair)
    values = np.zeros((2, 3, 3), np.float16)
    tolerance = Tolerance(absolute=0.0)
    for scale, state in ((100.0, WITHIN), (1e-7, DIFFERENT)):
        maps(one, values, offset=1e-7, scale=scale)
        maps(other, values, offset=2e-7, scale=scale)
        assert compare(one, other, tolerance).state == state


def test_the_digest_of_another_artifact_follows_it(pair):
    one, other = (folder / "rise.parquet" for folder in pair)
    values = np.zeros((2, 3, 3), np.float16)
    maps(one, values)
    maps(other, values, digest="others")
    assert compare(one, other, EXACT).state == WITHIN


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, 0.0, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (None, float("nan"), False),
        (float("inf"), 1e308, False),
    ],
)
def test_null_and_nan_are_the_same_as_themselves_alone(pair, one, other, same):
    paths = [folder / "values.parquet" for folder in pair]
    for path, value, way in zip(paths, (one, other), ("none", "zstd"), strict=True):
        column = pa.array([1.0, value], pa.float64())
        pq.write_table(pa.table({"v": column}), path, compression=way)
    wide = Tolerance(relative=1e9, absolute=1e300)
    found = compare(*paths, wide)
    assert found.state == (WITHIN if same else DIFFERENT)
    assert bool(list(tree_differences([one], [other], wide))) != same


def test_the_dotted_key_of_json(pair):
    one, other = (folder / "metrics.json" for folder in pair)
    one.write_text(json.dumps({"a": {"b": [1, 2.0], "n": 3}, "gone": 1}))
    other.write_text(json.dumps({"a": {"b": [1, 2.5], "n": 4}}))
    found = compare(one, other, Tolerance(relative=10.0))
    assert [(d.place, d.within) for d in found.differences] == [
        ("a.b.1", True),
        ("a.n", False),
        ("gone", False),
    ]
    assert found.first.place == "a.n"


@given(st.lists(numbers, min_size=1, max_size=6), st.lists(numbers, min_size=1, max_size=6))
def test_lines_are_compared_by_their_numbers(one, other):
    texts = ["\n".join(f"row,{value!r}" for value in values) for values in (one, other)]
    expected = len(one) == len(other) and np.allclose(other, one, rtol=1e-5, atol=1e-6)
    found = list(text_differences(*texts, Tolerance()))
    assert all(d.within for d in found) == expected


def test_the_first_tensor_and_the_largest_difference(pair):
    one, other = (folder / "weights.safetensors" for folder in pair)
    random = np.random.default_rng(0)
    tensors = {name: random.random((3, 4)).astype(np.float32) for name in ("a", "b", "c")}
    save_file(tensors, one)
    changed = {**tensors, "b": tensors["b"].copy()}
    changed["b"][1, 2] += 0.5
    changed["b"][2, 0] += 0.25
    save_file(changed, other)
    found = compare(one, other, Tolerance())
    assert found.first.place == "tensor b[1, 2]"
    largest = np.abs(changed["b"].astype(float) - tensors["b"]).max()
    assert found.first.more == f"2 of 12 numbers differ, by at most {largest:.3g}"
    save_file({"a": tensors["a"]}, other)
    assert compare(one, other, Tolerance()).first.place == "tensor b"


def test_folders_are_compared_file_by_file(pair):
    one, other = pair
    for folder in pair:
        (folder / "same.txt").write_text("x")
    assert compare(one, other, Tolerance()).state == IDENTICAL
    (one / "gone.png").write_bytes(b"1")
    (other / "image.png").write_bytes(b"2")
    (one / "image.png").write_bytes(b"1")
    assert [d.place for d in compare(one, other, Tolerance()).differences] == [
        "gone.png",
        "image.png, byte 0",
    ]


def test_what_is_no_table_is_different_and_not_a_bug(pair):
    one, other = (folder / "broken.parquet" for folder in pair)
    history(one, [1.0])
    other.write_bytes(b"no table")
    found = compare(one, other, Tolerance())
    assert found.state == DIFFERENT
    assert "not comparable" in found.first.rerun


def model(folder, accuracy, loss, shape=(2, 2)):
    folder.mkdir(exist_ok=True)
    quality = {"test": {"accuracy": accuracy, "images": 20}}
    card = {"digest": str(accuracy), "labels": ["a"], "quality": quality, "epochs": 3}
    (folder / "model.json").write_text(json.dumps(card))
    history(folder / "history.parquet", [9.0, loss, 8.0])
    save_file({"w": np.full(shape, accuracy, np.float32)}, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("accuracy", "loss", "shape", "state"),
    [
        (0.84, 1.1, (2, 2), IN_BAND),
        (0.74, 1.1, (2, 2), DIFFERENT),
        (0.84, 1.3, (2, 2), DIFFERENT),
        (0.84, 1.1, (2, 3), DIFFERENT),
    ],
)
def test_a_training_is_judged_by_its_metrics(pair, accuracy, loss, shape, state):
    model(pair[0], 0.8, 1.0)
    model(pair[1], accuracy, loss, shape)
    assert compare_trainings(*pair, Tolerance(), Band()).state == state
