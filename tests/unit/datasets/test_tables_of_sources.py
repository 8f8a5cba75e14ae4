"""CSV files, the bound on what is set aside, the choice of images, and the registry."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.datasets.csv_rows import read_csv
from saliency_audit.datasets.registry import SOURCES
from saliency_audit.datasets.sample import SetAside
from saliency_audit.datasets.selection import choose
from saliency_audit.datasets.set_aside import check_set_aside
from saliency_audit.errors import DataError, ParameterError


def written(path, data):
    path.write_bytes(data)
    return path


def test_rows_know_their_lines(tmp_path):
    text = b'\xef\xbb\xbfa, b\n1,2\n\n"x\ny",3\n4\n,\n'
    table = read_csv(written(tmp_path / "t.csv", text), ["a"])
    assert table.columns == ("a", "b")
    assert [(row.line, row.cells) for row in table.rows] == [
        (2, {"a": "1", "b": "2"}),
        (4, {"a": "x\ny", "b": "3"}),
        (6, None),
    ]


def test_tab_separated_files_are_read_by_their_name(tmp_path):
    table = read_csv(written(tmp_path / "t.tab", b"a\tb\n1\t2\n"))
    assert table.rows[0].cells == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,b\n1,2\nä,3\n".encode("latin-1"), r"t.csv, line 3: byte 0xe4 is not UTF-8"),
        (b"a,b\n1,2\n", r"t.csv has no column c: its columns are a, b"),
        (b"", r"t.csv has no header"),
        (b"a,a,c\n", r"t.csv has the column 'a' twice"),
        (b"a,c\n" + b"x" * 200_000 + b",1\n", r"t.csv, line 2: not CSV"),
    ],
)
def test_files_that_are_no_table_are_named(tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        read_csv(written(tmp_path / "t.csv", data), ["c"] if b"c" in data or b"b" in data else [])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.csv is missing"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_csv(tmp_path)


def items(count, reason="image_missing"):
    return [SetAside(f"i{n}", f"i{n}.png", n, reason, "it is not there") for n in range(count)]


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0, 1))
def test_the_bound_is_on_the_share(kept, aside, bound):
    if aside / (kept + aside) <= bound:
        check_set_aside(kept, items(aside), bound)
    else:
        with pytest.raises(DataError, match=f"{aside} of {kept + aside} rows"):
            check_set_aside(kept, items(aside), bound)


def test_the_message_counts_reasons_and_names_the_first():
    mixed = items(3) + items(2, "unknown_label")
    with pytest.raises(DataError) as error:
        check_set_aside(5, mixed, 0.1)
    message = str(error.value)
    assert "image_missing 3, unknown_label 2" in message
    assert "i0.png (row 0): it is not there" in message
    assert "max_set_aside 0.1" in message


def test_a_source_without_usable_images_is_refused_whatever_the_bound():
    with pytest.raises(DataError, match="no usable image is left"):
        check_set_aside(0, items(2), 1.0)


@given(
    st.lists(st.sampled_from("xyz"), min_size=1, max_size=60),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_a_choice_is_in_proportion(strata, count, seed):
    ids = [f"{n:03d}" for n in range(len(strata))]
    chosen = choose(ids, strata, count, seed)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(count, len(ids))
    found = Counter(strata[int(i)] for i in chosen)
    for stratum, size in Counter(strata).items():
        assert abs(found[stratum] - size * len(chosen) / len(ids)) < 1


def test_a_choice_takes_groups_together():
    ids = [f"{n:03d}" for n in range(90)]
    groups = [f"g{n // 3}" for n in range(90)]
    for count in (30, 31, 32):
        chosen = choose(ids, ["x"] * 90, count, 0, group_ids=groups)
        sizes = Counter(groups[int(i)] for i in chosen)
        assert len(chosen) == count
        # At most the last group is cut.
        assert sum(size != 3 for size in sizes.values()) <= 1


def test_a_choice_stays_when_it_grows():
    ids = [f"{n:03d}" for n in range(90)]
    few, many = (set(choose(ids, ["x"] * 90, count, 4)) for count in (10, 40))
    assert few < many
    assert few != set(choose(ids, ["x"] * 90, 10, 5))


def test_a_choice_of_nothing_is_refused():
    with pytest.raises(ParameterError, match="0 images"):
        choose(["a"], ["x"], 0, 0)


@pytest.mark.parametrize("kind", SOURCES)
def test_every_registered_source_has_its_kind(kind):
    module, name = SOURCES[kind].split(":")
    source = getattr(importlib.import_module(module), name)()
    assert source.kind == kind
    assert 0 <= source.max_set_aside <= 1
