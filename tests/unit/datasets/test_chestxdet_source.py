"""ChestX-Det: every real image against its annotations, and rows with planted faults."""

from __future__ import annotations

import csv
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from saliency_audit.datasets.chestxdet import ChestXDet
from saliency_audit.datasets.chestxdet_annotations import TEN, THIRTEEN
from saliency_audit.datasets.sample import Sample, SetAside
from saliency_audit.datasets.set_aside import check_set_aside
from saliency_audit.datasets.vocabulary import NOTES, REASONS
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling, MaskKind

SIZE = (128, 128)


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "chestxdet"


@pytest.fixture(scope="module")
def annotations(folder):
    rows = json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
    return {row["file_name"]: row for row in rows}


def items(folder, **parameters):
    found = list(ChestXDet(source=str(folder), **{"size": SIZE, **parameters}).samples())
    samples = [item for item in found if isinstance(item, Sample)]
    aside = [item for item in found if isinstance(item, SetAside)]
    assert all(note in NOTES for sample in samples for note in sample.notes)
    assert all(item.reason in REASONS and item.detail for item in aside)
    return samples, aside


@pytest.fixture(scope="module")
def thirteen(folder):
    return items(folder, variant="chestxdet13")


@pytest.fixture(scope="module")
def ten(folder):
    return items(folder, variant="chestxdet10", mask_source="boxes")


def name(sample):
    return sample.source_file.rsplit("/", 1)[1]


def test_every_real_image_is_read_and_every_other_row_set_aside(thirteen, folder):
    samples, aside = thirteen
    with (folder / "available.csv").open(encoding="utf-8", newline="") as file:
        available = list(csv.DictReader(file))
    assert {s.source_file for s in samples} == {
        f"{row['folder']}/{row['file_name']}" for row in available
    }
    assert [s.image_id for s in samples] == sorted(s.image_id for s in samples)
    assert Counter(i.reason for i in aside) == {"image_missing": 3578 - 141}
    with pytest.raises(DataError, match="image_missing 3437"):
        check_set_aside(len(samples), aside, ChestXDet().max_set_aside)
    by_file = {f"{row['folder']}/{row['file_name']}": row for row in available}
    for sample in samples:
        row = by_file[sample.source_file]
        assert (sample.width, sample.height) == (int(row["width"]), int(row["height"]))
        assert set(sample.labels) == set(filter(None, row["labels"].split(";")))
        assert sample.strata["official_split"] == row["split"]
        assert sample.group_id == row["nih_file_name"][:8]
        assert "group_unknown" not in sample.notes


def test_the_image_in_both_folders_is_two_samples_of_one_patient(thirteen):
    twins = [s for s in thirteen[0] if s.image_id.startswith("36361")]
    assert [s.image_id for s in twins] == ["36361", "36361@images_64"]
    assert twins[0].group_id == twins[1].group_id
    assert [s.width for s in twins] == [512, 64]
    assert abs(twins[0].pixels.astype(int) - twins[1].pixels).mean() < 12


def test_instances_and_labels_are_those_of_the_annotations(thirteen, ten, annotations):
    for (samples, _), labels in ((thirteen, THIRTEEN), (ten, TEN)):
        for sample in samples:
            expected = Counter(s for s in annotations[name(sample)]["syms"] if s in labels)
            assert dict(sample.instances) == expected
            assert sample.labels == tuple(label for label in labels if label in expected)
            assert set(sample.masks) == set(sample.labels)
    assert len(ten[0]) == len(thirteen[0])
    assert any(not s.labels for s in ten[0])


def test_masks_are_the_polygons_that_pillow_draws(thirteen, annotations):
    """At 1024 pixels, as annotated; a thin corner may cover a pixel but not its centre."""
    for sample in thirteen[0]:
        row = annotations[name(sample)]
        for label, mask in sample.masks.items():
            canvas = Image.new("1", (1024, 1024))
            for found, polygon in zip(row["syms"], row["polygons"], strict=True):
                if found == label:
                    corners = [tuple(point) for point in polygon]
                    ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
            covered = np.array(canvas, float).reshape(128, 8, 128, 8).mean(axis=(1, 3))
            assert (mask & (covered < 0.2)).sum() <= sample.instances[label]
            assert (~mask & (covered > 0.8)).sum() <= sample.instances[label]


def test_masks_from_boxes_hold_the_polygons(thirteen, ten, annotations):
    boxes = {s.image_id: s for s in ten[0]}
    for sample in thirteen[0]:
        for label in boxes[sample.image_id].labels:
            box, polygon = boxes[sample.image_id].masks[label], sample.masks[label]
            assert (polygon & ~box).sum() <= 0.05 * polygon.sum() + 2
            row = annotations[name(sample)]
            corners = [b for s, b in zip(row["syms"], row["boxes"], strict=True) if s == label]
            if len(corners) == 1:
                x1, y1, x2, y2 = corners[0]
                assert abs(box.sum() - (x2 - x1) * (y2 - y1) / 64) <= (x2 - x1 + y2 - y1) / 8 + 2


def test_no_real_mask_is_empty_at_the_smallest_resolution(folder):
    samples, _ = items(folder, variant="chestxdet13", size=(16, 16), folders=("images_64",))
    assert len(samples) == 102
    assert all(mask.any() for sample in samples for mask in sample.masks.values())


def test_colour_files_and_alpha_become_equal_channels(thirteen, folder):
    modes = {Image.open(folder / s.source_file).mode for s in thirteen[0]}
    assert modes == {"L", "RGB", "RGBA"}
    for sample in thirteen[0]:
        assert (sample.pixels == sample.pixels[..., :1]).all()


def test_what_the_source_says_of_itself(folder):
    described = ChestXDet(source=str(folder)).describe()
    assert described.labels == TEN
    assert described.labelling is Labelling.MULTILABEL
    assert described.mask_kind is MaskKind.PER_LABEL
    assert len(ChestXDet(variant="chestxdet13").describe().labels) == 13


# Planted rows

BOX = [100, 200, 300, 400]
SQUARE = [[100, 200], [300, 200], [300, 400], [100, 400]]


def row(number, **changes):
    return {
        "file_name": f"{number}.png",
        "syms": ["Nodule"],
        "boxes": [BOX],
        "polygons": [SQUARE],
        "split": "train",
        "nih_file_name": f"{number:08d}_000.png",
        **changes,
    }


@pytest.fixture
def planted(tmp_path):
    """Write rows, with an image each."""

    def write(rows, table="annotations.json", images="images"):
        (tmp_path / images).mkdir(exist_ok=True)
        for item in rows:
            grey = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
            if isinstance(item, dict) and str(item.get("file_name", "/")).endswith(".png"):
                Image.fromarray(grey).save(tmp_path / images / item["file_name"])
        (tmp_path / table).write_text(json.dumps(rows), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"syms": ["Pneumonia"]}, "unknown_label", "'Pneumonia' is no finding"),
        ({"syms": ["Nodule", "Mass"]}, "annotation_malformed", "no lists of one length"),
        ({"syms": None}, "annotation_malformed", "no lists of one length"),
        ({"polygons": [[[1, 2], [3, 4]]]}, "annotation_malformed", "no area"),
        ({"polygons": [[[1, "x"], [3, 4], [5, 6]]]}, "annotation_malformed", "no numbers"),
        (
            {"polygons": [[[2000, 10], [2100, 10], [2100, 90]]]},
            "annotation_malformed",
            "lies outside of the image",
        ),
    ],
)
def test_rows_that_cannot_be_right_are_set_aside(planted, changes, reason, detail):
    samples, aside = items(planted([row(1), row(2, **changes)]))
    assert [s.image_id for s in samples] == ["1"]
    assert [(i.image_id, i.row, i.reason) for i in aside] == [("2", 2, reason)]
    assert detail in aside[0].detail


@pytest.mark.parametrize(
    "item", [{"syms": []}, "x", {"file_name": "../../secret"}, {"file_name": 3}]
)
def test_rows_without_a_plain_name_are_set_aside(planted, item):
    _, aside = items(planted([row(1), item]))
    assert [(i.row, i.reason) for i in aside] == [(2, "row_malformed")]


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ("boxes", [900, 900, 1100, 1200]),
        ("polygons", [[900, 900], [1100, 900], [1100, 1200], [900, 1200]]),
    ],
)
def test_shapes_beyond_the_image_are_clipped_with_a_note(planted, source, shape):
    samples, _ = items(planted([row(1, **{source: [shape]})]), mask_source=source)
    assert samples[0].notes == ("annotation_clipped",)
    expected = np.zeros(SIZE, bool)
    # A pixel's centre is at 8 n + 4 of 1024.
    expected[112:, 112:] = True
    np.testing.assert_array_equal(samples[0].masks["Nodule"], expected)


@pytest.mark.parametrize("box", [[300, 200, 100, 400], [1, 2, 3], [1, 1, 1, 1], "box"])
def test_boxes_without_area_are_set_aside(planted, box):
    _, aside = items(planted([row(1), row(2, boxes=[box])]), mask_source="boxes")
    assert [i.reason for i in aside] == ["annotation_malformed"]


def test_overlapping_instances_make_one_mask(planted):
    shifted = [[x + 100, y] for x, y in SQUARE]
    twice = row(1, syms=["Nodule"] * 2, boxes=[BOX] * 2, polygons=[SQUARE, shifted])
    sample = items(planted([twice]))[0][0]
    assert sample.instances == {"Nodule": 2}
    assert sample.masks["Nodule"].sum() * 64 == pytest.approx(300 * 200, rel=0.05)


def test_repeated_rows_and_images_without_row_are_set_aside(planted):
    place = planted([row(1), row(2), row(1)])
    Image.new("L", (8, 8)).save(place / "images/9.png")
    samples, aside = items(place)
    assert [s.image_id for s in samples] == ["1", "2"]
    assert [(i.image_id, i.reason) for i in aside] == [("1", "duplicate_row"), ("9", "no_metadata")]


def test_an_image_without_a_known_patient_is_its_own_group(planted):
    samples, _ = items(planted([row(1, nih_file_name=None), row(2, nih_file_name=None)]))
    assert len({s.group_id for s in samples}) == 2
    assert all(s.notes == ("group_unknown",) for s in samples)


def test_a_damaged_image_is_set_aside(planted):
    place = planted([row(1), row(2)])
    (place / "images/2.png").write_bytes((place / "images/2.png").read_bytes()[:60])
    _, aside = items(place)
    assert len(aside) == 1 and aside[0].source_file == "images/2.png"
    assert aside[0].reason in ("image_truncated", "image_unreadable")


def test_the_layouts_of_both_public_releases_are_read(planted, tmp_path):
    bare = {"split", "nih_file_name", "polygons"}
    train, test = ({k: v for k, v in row(n).items() if k not in bare} for n in (1, 2))
    planted([train], "train.json", "train_data")
    place = planted([test], "test.json", "test_data")
    with pytest.raises(DataError, match="set mask_source: boxes"):
        items(place)
    samples, aside = items(place, mask_source="boxes")
    assert not aside
    assert [(s.image_id, s.strata["official_split"]) for s in samples] == [
        ("1", "train"),
        ("2", "test"),
    ]


def test_folders_that_are_no_chestxdet_are_named(planted, tmp_path):
    with pytest.raises(DataError, match=r"holds none of annotations\.json"):
        items(tmp_path)
    place = planted([row(1)])
    with pytest.raises(DataError, match="small is missing"):
        items(place, folders=("small",))
    for data, message in ((b"[{", "is not JSON"), (b"{}", "no list"), (b'["\xe4"]', "not UTF-8")):
        (place / "annotations.json").write_bytes(data)
        with pytest.raises(DataError, match=message):
            items(place)


@pytest.mark.parametrize(
    "wrong",
    [{"variant": "chestxdet14"}, {"mask_source": "masks"}, {"folders": ()}, {"size": (4, 9)}],
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"^{next(iter(wrong))} is "):
        ChestXDet(**wrong)
