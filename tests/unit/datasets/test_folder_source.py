"""A person's own folder: tables of every kind, and every fault that one can hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saliency_audit.datasets.folder import Folder, contained
from saliency_audit.datasets.sample import Sample, SetAside
from saliency_audit.datasets.vocabulary import NOTES, REASONS
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.parameters import build

SIZE = (16, 16)


@pytest.fixture
def make(tmp_path):
    """Write a table, and an image for every cell of its column ``image``."""

    def write(text, *masks):
        (tmp_path / "images.csv").write_text(text, encoding="utf-8")
        for number, line in enumerate(text.splitlines()[1:]):
            cell = line.split(",")[0]
            if cell.endswith((".png", ".jpg", ".tif")) and ".." not in cell and cell[0] != "/":
                path = tmp_path / cell
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((20, 30, 3), 9 * number % 250, np.uint8)).save(path)
        for name in masks:
            half = np.zeros((20, 30), np.uint8)
            half[:, :15] = 255
            Image.fromarray(half).save(tmp_path / name)
        return tmp_path

    return write


def items(folder, **parameters):
    source = Folder(source=str(folder), **{"size": SIZE, **parameters})
    found = list(source.samples())
    samples = [item for item in found if isinstance(item, Sample)]
    aside = [item for item in found if isinstance(item, SetAside)]
    assert all(note in NOTES for sample in samples for note in sample.notes)
    assert all(item.reason in REASONS and item.detail for item in aside)
    return samples, aside


def reasons(folder, **parameters):
    return [(i.row, i.reason) for i in items(folder, **parameters)[1]]


def test_the_least_table_is_images_and_labels(make):
    place = make("image,label\nb.png,cat\na.jpg,dog\nsub/c.tif,cat\n")
    samples, aside = items(place)
    assert not aside
    assert [(s.image_id, s.labels, s.source_file) for s in samples] == [
        ("a.jpg", ("dog",), "a.jpg"),
        ("b.png", ("cat",), "b.png"),
        ("sub/c.tif", ("cat",), "sub/c.tif"),
    ]
    assert len({s.group_id for s in samples}) == 3
    assert samples[0].masks == {} and samples[0].strata == {}
    described = Folder(source=str(place)).describe()
    assert described.labels == ("cat", "dog")
    assert described.mask_kind is MaskKind.NONE
    assert described.labelling is Labelling.MULTICLASS


def test_groups_strata_and_one_mask(make):
    place = make(
        "image,label,group,mask,age,site\na.png,x,p1,m.png,63,\nb.png,y,,,,Vienna\n", "m.png"
    )
    first, second = items(place)[0]
    assert first.group_id == "p1" and second.group_id not in ("", "p1")
    assert first.strata == {"age": "63", "site": None}
    assert second.strata == {"age": None, "site": "Vienna"}
    np.testing.assert_array_equal(
        first.masks[EVERY_LABEL], np.arange(16)[None] < 8 * np.ones((16, 1))
    )
    assert second.masks == {} and "mask_missing" in second.notes
    assert Folder(source=str(place)).describe().mask_kind is MaskKind.SINGLE


def test_several_labels_each_with_a_mask(make):
    place = make(
        "image,labels,mask_x,mask_y\na.png,y;x,m.png,n.png\nb.png,,,\nc.png,x; x,,n.png\n",
        "m.png",
        "n.png",
    )
    both, none, one = items(place, labelling=Labelling.MULTILABEL)[0]
    assert both.labels == ("x", "y") and set(both.masks) == {"x", "y"}
    assert none.labels == () and none.masks == {} and "mask_missing" not in none.notes
    assert one.labels == ("x",) and one.instances == {"x": 2} and one.masks == {}
    assert {"mask_missing", "mask_without_label"} <= set(one.notes)
    described = Folder(source=str(place), labelling=Labelling.MULTILABEL).describe()
    assert described.mask_kind is MaskKind.PER_LABEL


def test_another_separator_and_order_of_labels(make):
    place = make("image,labels\na.png,x|y\n")
    sample = items(
        place, labelling=Labelling.MULTILABEL, label_separator="|", labels=("y", "x", "z")
    )[0][0]
    assert sample.labels == ("y", "x")


def test_binary_takes_the_negative_label_first(make):
    place = make("image,label\na.png,1\nb.png,0\n")
    source = Folder(source=str(place), labelling=Labelling.BINARY)
    assert source.describe().labels == ("0", "1")
    with pytest.raises(DataError, match="binary takes two labels"):
        items(make("image,label\na.png,1\nb.png,0\nc.png,2\n"), labelling=Labelling.BINARY)
    with pytest.raises(DataError, match="multiclass takes two labels or more"):
        items(make("image,label\na.png,1\n"))


def test_a_choice_is_in_proportion_and_keeps_groups(make):
    lines = [f"i{n:02d}.png,{'x' if n < 30 else 'y'},g{n // 2}" for n in range(40)]
    place = make("image,label,group\n" + "\n".join(lines) + "\n")
    samples, _ = items(place, images=8)
    assert [s.labels[0] for s in samples].count("x") == 6
    assert len({s.group_id for s in samples}) == 4


# Faults


def test_rows_that_cannot_be_right_are_set_aside(make):
    place = make(
        "image,label\na.png,x\nb.png\n,x\na.png,y\n./a.png,y\nc.png,\nd.png,x;y\ne.png,z\nf.png,y\n"
    )
    assert reasons(place, labels=("x", "y"), unlisted="ignore") == [
        (3, "row_malformed"),
        (4, "row_malformed"),
        (5, "duplicate_row"),
        (6, "duplicate_row"),
        (7, "label_missing"),
        (8, "several_labels"),
        (9, "unknown_label"),
    ]


def test_missing_false_and_truncated_files_are_set_aside(make):
    place = make(
        "image,label,mask\na.png,x,m.png\nb.png,y,m.png\nc.png,y,n.png\nd.png,x,\n", "m.png"
    )
    (place / "a.png").unlink()
    (place / "b.png").write_text("no image", encoding="utf-8")
    noise = np.random.default_rng([0]).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(place / "d.png")
    (place / "d.png").write_bytes((place / "d.png").read_bytes()[:900])
    assert reasons(place) == [
        (2, "image_missing"),
        (3, "image_unreadable"),
        (4, "mask_missing"),
        (5, "image_truncated"),
    ]


def test_files_that_no_row_names_are_counted_or_ignored(make):
    place = make("image,label,mask\na.png,x,m.png\nb.png,y,\n", "m.png", "stray.png")
    samples, aside = items(place)
    assert len(samples) == 2
    assert [(i.source_file, i.reason) for i in aside] == [("stray.png", "no_metadata")]
    assert not items(place, unlisted="ignore")[1]


def test_a_mask_of_another_size_is_scaled_nearest(make):
    place = make("image,label,mask\na.png,x,m.png\nb.png,y,\n")
    checks = np.indices((16, 16)).sum(axis=0) % 2 == 1
    Image.fromarray(checks.repeat(5, 0).repeat(7, 1)).save(place / "m.png")
    sample = items(place)[0][0]
    np.testing.assert_array_equal(sample.masks[EVERY_LABEL], checks)
    assert "mask_rescaled" in sample.notes


OUTSIDE = ["/etc/passwd", "../x.png", "a/../../x.png", "C:\\x.png", "..\\x.png", "\\\\host\\x.png"]


@pytest.mark.parametrize("cell", OUTSIDE)
def test_no_path_leads_out_of_the_folder(make, cell):
    place = make(f"image,label,mask\n{cell},x,\na.png,x,{cell}\nb.png,y,\n")
    samples, aside = items(place)
    assert [s.image_id for s in samples] == ["b.png"]
    assert sorted((i.row, i.reason) for i in aside) == [(2, "path_outside"), (3, "path_outside")]
    with pytest.raises(DataError, match="leads out of"):
        items(place, table=cell)


def test_a_link_out_of_the_folder_is_refused(make, tmp_path_factory):
    place = make("image,label\na.png,x\nb.png,y\nlinks/c.png,y\n")
    outside = tmp_path_factory.mktemp("outside")
    Image.new("RGB", (9, 9)).save(outside / "c.png")
    (place / "a.png").unlink()
    (place / "a.png").symlink_to(outside / "c.png")
    (place / "links/c.png").unlink()
    (place / "links").rmdir()
    (place / "links").symlink_to(outside)
    samples, aside = items(place)
    assert [s.image_id for s in samples] == ["b.png"]
    assert [i.reason for i in aside] == ["path_outside"] * 2
    assert "is a link out of" in aside[0].detail


def test_a_link_within_the_folder_is_followed(make):
    place = make("image,label\na.png,x\nb.png,y\n")
    (place / "a.png").unlink()
    (place / "a.png").symlink_to("b.png")
    assert len(items(place)[0]) == 2


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_whatever_the_cell_the_path_stays_inside(tmp_path_factory, cell):
    folder = tmp_path_factory.getbasetemp()
    try:
        found = contained(folder, cell)
    except DataError:
        return
    assert found.resolve().is_relative_to(folder.resolve())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,group\na.png,x\n", "needs one column label or labels"),
        ("image,label,labels\na.png,x,y\n", "needs one column label or labels"),
        ("file,label\na.png,x\n", "has no column image: its columns are file, label"),
        ("image,label\na.png,\n", "has no label in any row"),
        ("image,label,mask_z\na.png,x,\nb.png,y,\n", "column mask_z names no label"),
        ("image,label,mask,mask_x\na.png,x,,\nb.png,y,,\n", "both mask and mask_x"),
    ],
)
def test_tables_that_cannot_be_right_are_named(make, text, message):
    with pytest.raises(DataError, match=message):
        items(make(text))


def test_a_table_that_is_missing_or_not_utf_8_is_named(make):
    place = make("image,label\na.png,x\n")
    with pytest.raises(DataError, match=r"other\.csv is missing"):
        items(place, table="other.csv")
    with pytest.raises(DataError, match="nowhere is no folder"):
        items(place / "nowhere")
    (place / "images.csv").write_bytes("image,label\nä.png,x\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"images\.csv, line 2: byte 0xe4 is not UTF-8"):
        items(place)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": ("x", "x")}, "give each once"),
        ({"labels": ("x", "y", "z"), "labelling": Labelling.BINARY}, "binary takes two labels"),
        ({"label_separator": ""}, "label_separator is empty"),
        ({"unlisted": "drop"}, "unlisted is 'drop'"),
        ({"size": (4, 4)}, "size is"),
        ({"images": -1}, "images is -1"),
    ],
)
def test_parameters_out_of_range_are_named(wrong, message):
    with pytest.raises(ParameterError, match=message):
        Folder(**wrong)


def test_parameters_come_from_plain_values():
    raw = {
        "kind": "folder",
        "source": "x",
        "labelling": "binary",
        "size": [50, 50],
        "labels": ["0", "1"],
    }
    source = build(Folder, raw)
    assert source == Folder(
        source="x", labelling=Labelling.BINARY, size=(50, 50), labels=("0", "1")
    )
