"""A Parquet file held to its table: every planted fault is named, with its rows."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.errors import ParameterError
from saliency_audit.problem import Severity
from tasks.artifacts import write_table
from tasks.table_check import table_problems
from tasks.tables.dictionary import PLACES
from tasks.tables.history import HISTORY
from tasks.tables.masks import MASKS
from tasks.tables.saliency import saliency
from tasks.tables.split import SPLIT


def masks(folder, **changes):
    """A table of 30 masks in three row groups, with other columns put in."""
    columns = {
        "image_id": pa.array([f"i{n:02}" for n in range(30)]),
        "label": pa.array(["*"] * 30),
        "area": pa.array(range(30), pa.int32()),
        "mask": pa.array([b"png"] * 30, pa.binary()),
        **changes,
    }
    columns = {name: values for name, values in columns.items() if values is not None}
    fields = [
        pa.field(name, values.type, nullable=bool(values.null_count))
        for name, values in columns.items()
    ]
    path = folder / "data" / "ingest" / "mine" / "masks.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(list(columns.values()), pa.schema(fields)), path, row_group_size=10)
    return path


def said(path, table=None):
    found = list(table_problems(path, table))
    assert all(p.severity is Severity.STOP and p.advice and p.meaning for p in found)
    return {(p.column, p.rule): (p.count, [at for at, _ in p.places]) for p in found}


def test_of_a_sound_table_nothing_is_said(tmp_path):
    assert said(masks(tmp_path)) == {}


def test_missing_extra_and_wrong_columns_are_all_named_with_the_type(tmp_path):
    path = masks(
        tmp_path, mask=None, area=pa.array(range(30), pa.int64()), shape=pa.array(["x"] * 30)
    )
    found = {p.column: p.places[0][1] for p in table_problems(path)}
    assert found == {
        "area": "int64 never null, int32 never null is declared",
        "mask": "missing, binary never null is declared",
        "shape": "not declared",
    }


def test_columns_in_another_order_are_named(tmp_path):
    path = masks(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.select(["label", "image_id", "area", "mask"]), path)
    assert {column for column, rule in said(path) if rule == "schema"} == {"label", "image_id"}


def test_a_column_that_is_there_twice_is_named(tmp_path):
    path = masks(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table.append_column(table.schema.field("label"), table["label"]), path)
    assert [(p.column, p.places[0][1]) for p in table_problems(path)] == [
        ("label", "stands 2 times, once is declared")
    ]


def test_rows_that_break_several_rules_are_all_counted_over_row_groups(tmp_path):
    areas = [*range(28), -1, -2]
    areas[3] = areas[14] = None
    ids = [f"i{n:02}" for n in range(30)]
    ids[6], ids[21], ids[22] = "i05", "i20", "i09"
    path = masks(
        tmp_path, area=pa.array(areas, pa.int32()), image_id=pa.array(ids), shape=pa.array([1] * 30)
    )
    found = said(path)
    key = "image_id, label"
    assert found == {
        ("area", "schema"): (1, ["column area"]),
        ("shape", "schema"): (1, ["column shape"]),
        ("area", "null"): (2, ["image_id=i03, label=*", "image_id=i14, label=*"]),
        ("area", "below 0"): (2, ["image_id=i28, label=*", "image_id=i29, label=*"]),
        (key, f"twice (sort by {key})"): (2, ["image_id=i05, label=*", "image_id=i20, label=*"]),
        (key, f"after a greater key (sort by {key})"): (1, ["image_id=i09, label=*"]),
    }


def test_a_batch_of_rows_is_compared_with_the_one_before(tmp_path):
    batch = MASKS.rows_per_group
    ids = [f"i{n:04}" for n in range(batch + 6)]
    ids[batch] = ids[batch - 1]
    columns = [ids, ["*"] * len(ids), [0] * len(ids), [b"png"] * len(ids)]
    path = tmp_path / "masks.parquet"
    pq.write_table(pa.table(columns, MASKS.schema), path, row_group_size=batch)
    ((_, rule),) = said(path)
    assert rule.startswith("twice")


def test_a_key_that_is_null_is_named_and_hides_no_other_fault(tmp_path):
    ids = [f"i{n:02}" for n in range(30)]
    ids[4], ids[9], ids[12] = None, None, "i01"
    found = said(masks(tmp_path, image_id=pa.array(ids)))
    assert found["image_id", "null"][0] == 2
    assert sum(rule.startswith("after") for _, rule in found) == 1


epochs = st.lists(
    st.tuples(
        st.integers(-1, 6),
        st.one_of(st.none(), st.floats(width=64)),
    ),
    max_size=30,
)


@given(epochs, st.integers(1, 8))
def test_counts_are_those_that_numpy_finds(tmp_path_factory, rows, group):
    path = tmp_path_factory.mktemp("history") / "history.parquet"
    numbers = [epoch for epoch, _ in rows]
    losses = [loss for _, loss in rows]
    schema = HISTORY.schema.set(1, pa.field("train_loss", pa.float64(), nullable=True))
    columns = [numbers, losses, [1.0] * len(rows), [True] * len(rows)]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    pq.write_table(pa.table(arrays, schema), path, row_group_size=group)
    found = {key: count for key, (count, _) in said(path).items()}
    steps = np.diff(numbers)
    expected = {
        ("train_loss", "schema"): 1,
        ("train_loss", "null"): losses.count(None),
        ("train_loss", "not finite"): int(
            (~np.isfinite([loss for loss in losses if loss is not None])).sum()
        ),
        ("epoch", "below 1"): sum(number < 1 for number in numbers),
        ("epoch", "twice (sort by epoch)"): int((steps == 0).sum()),
        ("epoch", "after a greater key (sort by epoch)"): int((steps < 0).sum()),
    }
    assert found == {key: count for key, count in expected.items() if count}


def test_only_the_first_keys_are_kept_and_all_are_counted(tmp_path):
    (found,) = table_problems(masks(tmp_path, area=pa.array([-1] * 30, pa.int32())))
    assert (found.count, len(found.places)) == (30, 20)


# Which table


def test_the_place_says_which_table_it_is_whatever_it_holds(tmp_path):
    path = tmp_path / "data" / "split" / "mine" / "split.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"other": [1]}), path)
    assert {column for column, _ in said(path)} == {"other", *SPLIT.schema.names}


def test_elsewhere_the_columns_say_it_and_else_a_person_must(tmp_path):
    path = tmp_path / "kept.parquet"
    masks(tmp_path, area=None).rename(path)
    assert list(said(path)) == [("area", "schema")]
    pq.write_table(pa.table({"other": [1]}), path)
    (found,) = table_problems(path)
    assert found.rule == "unknown table" and all(name in found.advice for name in PLACES)
    assert len(said(path, "split")) == 4


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(ParameterError) as error:
        list(table_problems(masks(tmp_path), "mask"))
    assert all(name in str(error.value) for name in PLACES)


def test_maps_are_checked_at_the_size_that_they_have(tmp_path):
    path = tmp_path / "maps.parquet"
    row = {
        "label": "x", "method": "m", "offset": 0.0, "scale": 1.0, "status": "ok",
        "method_status": "ok", "tie_share": 0.5, "completeness": None, "pixel_sha256": "",
        "model_digest": "", "method_digest": "",
    }  # fmt: skip
    maps = np.zeros((3, 5, 7), np.float16)
    with write_table(saliency(5, 7), path) as table:
        table.write_all({**row, "image_id": f"{n}", "map": m} for n, m in enumerate(maps))
    assert said(path) == {}
    bad = pq.read_table(path)
    at = bad.schema.get_field_index("tie_share")
    pq.write_table(bad.set_column(at, bad.schema.field(at), pa.array([0.5, 1.5, 0.5])), path)
    assert said(path) == {("tie_share", "above 1"): (1, ["image_id=1, label=x"])}


def test_every_pixel_of_a_map_is_checked(tmp_path):
    path = tmp_path / "maps.parquet"
    maps = np.zeros((4, 5, 7), np.float16)
    maps[1, 4, 6], maps[2, 0, 0], maps[3, 2, 2], maps[3, 0, 1] = np.nan, -0.5, 1.5, np.inf
    kind = pa.fixed_shape_tensor(pa.float16(), (5, 7))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(maps.reshape(-1)), 35)
    columns = {
        "image_id": pa.array(list("abcd")), "label": pa.array(["x"] * 4),
        "method": pa.array(["m"] * 4), "map": pa.ExtensionArray.from_storage(kind, flat),
        "offset": pa.nulls(4, pa.float64()), "scale": pa.nulls(4, pa.float64()),
        "status": pa.array(["ok"] * 4), "method_status": pa.array(["ok"] * 4),
        "tie_share": pa.nulls(4, pa.float64()),
        "completeness": pa.nulls(4, pa.float64()), "pixel_sha256": pa.array([""] * 4),
        "model_digest": pa.array([""] * 4), "method_digest": pa.array([""] * 4),
    }  # fmt: skip
    pq.write_table(pa.table(list(columns.values()), saliency(5, 7).schema), path)
    assert said(path) == {
        ("map", "not finite"): (2, ["image_id=b, label=x", "image_id=d, label=x"]),
        ("map", "below 0"): (1, ["image_id=c, label=x"]),
        ("map", "above 1"): (1, ["image_id=d, label=x"]),
    }


# Files that are no table


@pytest.mark.parametrize("content", [b"", b"PAR1", b"image_id,label\na,b\n", "cut", "flipped"])
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path, content):
    path = masks(tmp_path, mask=pa.array([bytes(range(256)) * 40] * 30, pa.binary()))
    whole = bytearray(path.read_bytes())
    if content == "cut":
        content = whole[:-30]
    elif content == "flipped":
        middle = len(whole) // 3
        whole[4:middle] = bytes(255 - byte for byte in whole[4:middle])
        content = whole
    path.write_bytes(content)
    (found,) = table_problems(path)
    assert found.rule == "unreadable" and str(path) in found.places[0][1]


def test_text_that_is_no_utf_8_is_one_problem(tmp_path):
    broken = pa.StringArray.from_buffers(
        30, pa.py_buffer(np.arange(31, dtype=np.int32)), pa.py_buffer(b"\xff" * 30)
    )
    (found,) = table_problems(masks(tmp_path, label=broken))
    assert found.rule == "unreadable" and "UTF" in found.places[0][1].upper()


def test_a_missing_file_is_one_problem(tmp_path):
    (found,) = table_problems(tmp_path / "data" / "split" / "x" / "split.parquet")
    assert "is missing" in found.places[0][1]


def test_memory_does_not_grow_with_the_rows(tmp_path, root):
    def peak(groups):
        path = tmp_path / f"{groups}.parquet"
        with write_table(MASKS, path) as table:
            noise = np.random.default_rng(0).bytes(1 << 12)
            for number in range(groups * MASKS.rows_per_group):
                row = {"image_id": f"{number:06}", "label": "*", "area": 0, "mask": noise}
                table.write(row)
        code = (
            "import sys, pyarrow as pa; from pathlib import Path; "
            "from tasks.table_check import table_problems; "
            "assert not list(table_problems(Path(sys.argv[1]))); "
            "print(pa.default_memory_pool().max_memory())"
        )
        told = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(told.stdout)

    assert peak(8) < 1.5 * peak(2)
