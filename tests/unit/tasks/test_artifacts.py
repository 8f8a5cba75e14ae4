"""Artifacts are whole or absent, and a reader is told what is wrong with a file."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.errors import DataError
from tasks.artifacts import partial, read_batches, read_columns, read_json, read_rows, write_table
from tasks.tables.saliency import saliency
from tasks.tables.table import Column, Table

PAIRS = Table(
    name="pairs",
    meaning="For these tests.",
    key=("name",),
    rows_per_group=2,
    columns=(
        Column("name", pa.string(), "a name"),
        Column("share", pa.float64(), "a share", null=True, low=0, high=1),
    ),
)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(rows, path):
    with write_table(PAIRS, path) as table:
        table.write_all(rows)


@given(st.sets(st.text(max_size=4)), st.floats(0, 1))
def test_rows_come_back_as_they_were_written(names, share):
    import tempfile
    from pathlib import Path

    rows = [{"name": name, "share": share} for name in sorted(names)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.parquet"
        write(rows, path)
        assert list(read_rows(path, PAIRS)) == rows


def test_equal_rows_have_equal_bytes_and_stream_by_row_group(tmp_path):
    rows = [{"name": f"{n:03}", "share": n / 10} for n in range(7)]
    write(rows, tmp_path / "a.parquet")
    write(rows, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert [b.num_rows for b in read_batches(tmp_path / "a.parquet", PAIRS)] == [2, 2, 2, 1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"name": "b", "share": 0.1}, {"name": "a", "share": 0.1}], "sort by"),
        ([{"name": "a", "share": 0.1}, {"name": "a", "share": 0.2}], "twice"),
        ([{"name": n, "share": 0.1} for n in "abca"], "after"),
        ([{"name": None, "share": 0.1}], "null in 1 rows"),
        ([{"name": "a", "share": float("nan")}], "not finite"),
        ([{"name": "a", "share": float("inf")}], "not finite"),
        ([{"name": "a", "share": 1.5}], "above 1"),
        ([{"name": "a", "share": -0.5}], "below 0"),
        ([{"name": "a", "share": "much"}], "column share"),
        ([{"name": "a"}], "has no share"),
    ],
)
def test_a_row_that_breaks_the_declaration_gets_no_file(tmp_path, rows, message):
    path = tmp_path / "pairs.parquet"
    with pytest.raises(DataError, match=message):
        write(rows, path)
    assert not path.exists()
    assert not list(tmp_path.glob("*.partial"))


def test_a_rejected_table_leaves_the_one_before_as_it_was(tmp_path):
    path = tmp_path / "pairs.parquet"
    write([{"name": "a", "share": 0.5}], path)
    before = path.read_bytes()
    with pytest.raises(DataError):
        write([{"name": "a", "share": 2.0}], path)
    assert path.read_bytes() == before


def test_an_interrupt_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), partial(tmp_path / "x") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_earlier_artifacts(tmp_path, root):
    """The process may write 64 KiB and no more; the system then refuses as a full disk does."""
    earlier = tmp_path / "pairs.parquet"
    write([{"name": "a", "share": 0.5}], earlier)
    before = earlier.read_bytes()
    code = textwrap.dedent("""
        import numpy as np
        from pathlib import Path
        from tasks.artifacts import write_table
        from tasks.tables.saliency import saliency
        rng = np.random.default_rng(0)
        row = dict(label="x", method="m", offset=0.0, scale=1.0, status="ok", tie_share=0.0,
                   method_status="ok", completeness=None, pixel_sha256="", model_digest="",
                   method_digest="")
        with write_table(saliency(64, 64), Path("pairs.parquet")) as table:
            for n in range(2000):
                values = rng.random((64, 64), "float32").astype("float16")
                table.write({**row, "image_id": f"{n:05}", "map": values})
    """)

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "pairs.parquet could not be written" in found.stderr
    assert earlier.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_maps_come_back_to_the_bit(tmp_path):
    maps = np.random.default_rng(0).random((3, 5, 7)).astype(np.float16)
    row = {
        "label": "x", "method": "m", "offset": 0.0, "scale": 1.0, "status": "ok",
        "method_status": "ok", "tie_share": 0.0, "completeness": None, "pixel_sha256": "",
        "model_digest": "", "method_digest": "",
    }  # fmt: skip
    path = tmp_path / "maps.parquet"
    with write_table(saliency(5, 7), path) as table:
        table.write_all({**row, "image_id": str(n), "map": m} for n, m in enumerate(maps))
    stored = read_columns(path, saliency(5, 7), ["map"]).column("map")
    assert np.array_equal(stored.combine_chunks().to_numpy_ndarray(), maps)


def test_reading_names_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match=r"missing: run `saliency-audit run`"):
        list(read_rows(tmp_path / "none.parquet", PAIRS))
    write([{"name": "a", "share": 0.5}], tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    with pytest.raises(DataError, match="truncated"):
        list(read_rows(tmp_path / "cut.parquet", PAIRS))
    pq.write_table(pa.table({"other": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="not a table of pairs"):
        list(read_rows(tmp_path / "other.parquet", PAIRS))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        read_json(tmp_path / "bad.json")


def test_what_an_object_of_json_lacks_is_named_with_its_file(tmp_path):
    path = tmp_path / "audit.json"
    path.write_text('{"labels": ["a"]}')
    found = read_json(path)
    assert found == {"labels": ["a"]}
    assert found.get("size") is None
    with pytest.raises(DataError, match=r"audit\.json lacks 'size'"):
        found["size"]
