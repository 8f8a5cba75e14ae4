"""HAM10000: a real subset against its table and files, and an archive with planted faults."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from saliency_audit.datasets.ham10000 import LABELS, Ham10000
from saliency_audit.datasets.sample import Sample, SetAside
from saliency_audit.datasets.set_aside import check_set_aside
from saliency_audit.datasets.vocabulary import NOTES, REASONS
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind

COUNT = 700


@pytest.fixture(scope="module")
def ham(real_data):
    return real_data / "ham10000"


@pytest.fixture(scope="module")
def table(ham):
    with (ham / "HAM10000_metadata.csv").open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def subset(ham):
    return list(Ham10000(source=str(ham), size=(75, 100), images=COUNT).samples())


def test_a_real_subset_has_no_fault_and_the_table_s_proportions(subset, table):
    assert all(isinstance(item, Sample) for item in subset)
    assert [s.image_id for s in subset] == sorted({s.image_id for s in subset})
    assert len(subset) == COUNT
    whole = Counter(row["dx"] for row in table.values())
    found = Counter(s.labels[0] for s in subset)
    for label in LABELS:
        assert abs(found[label] - whole[label] * COUNT / len(table)) < 1


def test_real_rows_are_those_of_the_table(subset, table):
    for sample in subset:
        row = table[sample.image_id]
        assert sample.group_id == row["lesion_id"]
        assert sample.labels == (row["dx"],) and sample.instances == {row["dx"]: 1}
        assert sample.strata["sex"] == (None if row["sex"] == "unknown" else row["sex"])
        age = sample.strata["age"]
        assert (age is None) == (row["age"] == "")
        assert age is None or (float(age) == float(row["age"]) and "." not in age)
    assert None in {sample.strata["localization"] for sample in subset}


def test_lesions_of_a_real_subset_are_whole_but_for_the_last_of_a_class(subset, table):
    lesions = Counter(row["lesion_id"] for row in table.values())
    found = Counter(sample.group_id for sample in subset)
    assert sum(found[name] != lesions[name] for name in found) <= len(LABELS)


def test_real_pixels_and_masks_are_those_of_the_files(subset, ham):
    for sample in subset[:60]:
        image = Image.open(ham / "images" / f"{sample.image_id}.jpg").convert("RGB")
        assert (sample.width, sample.height) == image.size == (200, 150)
        means = np.array(image, float).reshape(75, 2, 100, 2, 3).mean(axis=(1, 3))
        # Pillow averages rows, then columns, and rounds twice.
        assert abs(sample.pixels - means).max() <= 1
        mask = np.array(Image.open(ham / "masks" / f"{sample.image_id}.png")) > 127
        np.testing.assert_array_equal(sample.masks[EVERY_LABEL], mask[1::3, 1::3])
        assert "mask_rescaled" in sample.notes


def test_what_the_source_says_of_itself(ham, tmp_path):
    described = Ham10000(source=str(ham)).describe()
    assert described.labels == LABELS
    assert described.labelling is Labelling.MULTICLASS
    assert described.mask_kind is MaskKind.SINGLE
    assert Ham10000(source=str(tmp_path)).describe().mask_kind is MaskKind.NONE


IDS = ("ISIC_0024306", "ISIC_0024307", "ISIC_0026042", "ISIC_0029306", "ISIC_0030000")


@pytest.fixture
def archive(tmp_path, ham, table):
    """The layout of the public archive, with five real images."""
    for number, image_id in enumerate(IDS):
        part = tmp_path / f"HAM10000_images_part_{number % 2 + 1}"
        masks = tmp_path / "HAM10000_segmentations_lesion_tschandl"
        part.mkdir(exist_ok=True)
        masks.mkdir(exist_ok=True)
        shutil.copyfile(ham / f"images/{image_id}.jpg", part / f"{image_id}.jpg")
        shutil.copyfile(ham / f"masks/{image_id}.png", masks / f"{image_id}_segmentation.png")
    write_rows(tmp_path, [dict(table[image_id]) for image_id in IDS])
    return tmp_path


def write_rows(folder, rows):
    with (folder / "HAM10000_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_rows(folder):
    with (folder / "HAM10000_metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def items(folder, **parameters):
    found = list(Ham10000(source=str(folder), size=(48, 64), **parameters).samples())
    samples = [item for item in found if isinstance(item, Sample)]
    aside = [item for item in found if isinstance(item, SetAside)]
    assert all(note in NOTES for sample in samples for note in sample.notes)
    assert all(item.reason in REASONS and item.detail for item in aside)
    return samples, aside


def test_the_public_layout_is_read(archive):
    samples, aside = items(archive)
    assert [s.image_id for s in samples] == sorted(IDS) and not aside
    assert samples[0].source_file == "HAM10000_images_part_1/ISIC_0024306.jpg"
    notes = {s.image_id: s.notes for s in samples}
    assert "mask_full" in notes["ISIC_0026042"]
    assert all("mask_full" not in notes[i] for i in IDS if i != "ISIC_0026042")


def test_a_tab_separated_table_is_read(archive):
    rows = read_rows(archive)
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    (archive / "HAM10000_metadata.tab").write_text("\n".join(lines), encoding="utf-8")
    (archive / "HAM10000_metadata.csv").unlink()
    assert len(items(archive)[0]) == len(IDS)


def test_missing_values_are_unknown(archive):
    rows = read_rows(archive)
    rows[0].update(age="", sex="unknown", localization="")
    write_rows(archive, rows)
    strata = items(archive)[0][0].strata
    assert (strata["age"], strata["sex"], strata["localization"]) == (None, None, None)


def test_a_row_without_image_and_an_image_without_row_are_set_aside(archive):
    rows = read_rows(archive)
    write_rows(archive, rows[1:])
    (archive / f"HAM10000_images_part_2/{IDS[1]}.jpg").unlink()
    samples, aside = items(archive)
    assert len(samples) == 3
    assert [(i.image_id, i.reason, i.row) for i in aside] == [
        (IDS[1], "image_missing", 2),
        (IDS[0], "no_metadata", None),
    ]
    with pytest.raises(DataError, match=r"image_missing 1, no_metadata 1"):
        check_set_aside(len(samples), aside, Ham10000().max_set_aside)


def test_truncated_and_false_images_are_set_aside(archive):
    damaged = archive / f"HAM10000_images_part_1/{IDS[0]}.jpg"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    (archive / f"HAM10000_images_part_2/{IDS[1]}.jpg").write_text("no image", encoding="utf-8")
    samples, aside = items(archive)
    assert len(samples) == 3
    assert [i.reason for i in aside] == ["image_truncated", "image_unreadable"]
    assert [i.row for i in aside] == [2, 3]


def test_a_damaged_mask_sets_its_image_aside_and_a_missing_one_does_not(archive):
    masks = archive / "HAM10000_segmentations_lesion_tschandl"
    (masks / f"{IDS[0]}_segmentation.png").write_bytes(b"no image")
    (masks / f"{IDS[1]}_segmentation.png").unlink()
    samples, aside = items(archive)
    assert [(i.image_id, i.reason) for i in aside] == [(IDS[0], "mask_unreadable")]
    without = next(s for s in samples if s.image_id == IDS[1])
    assert without.masks == {} and without.notes == ("mask_missing",)


def test_a_mask_with_an_inverted_palette_is_read_by_its_colours(archive, ham):
    """As 402 of the archive's own masks, which a reader of indices turns round."""
    path = archive / f"HAM10000_segmentations_lesion_tschandl/{IDS[0]}_segmentation.png"
    right = items(archive)[0][0].masks[EVERY_LABEL]
    lesion = np.array(Image.open(path)) > 127
    image = Image.frombytes("P", (300, 225), np.where(lesion, 0, 255).astype(np.uint8).tobytes())
    image.putpalette([value for level in range(256) for value in [255 - level] * 3])
    image.save(path)
    assert (np.array(Image.open(path))[lesion] == 0).all()
    sample = items(archive)[0][0]
    np.testing.assert_array_equal(sample.masks[EVERY_LABEL], right)
    assert "mask_inverted" not in sample.notes


def test_a_mask_with_black_and_white_exchanged_is_noted_and_kept(archive):
    path = archive / f"HAM10000_segmentations_lesion_tschandl/{IDS[0]}_segmentation.png"
    right = items(archive)[0][0].masks[EVERY_LABEL]
    Image.fromarray(255 - np.array(Image.open(path))).save(path)
    sample = items(archive)[0][0]
    np.testing.assert_array_equal(sample.masks[EVERY_LABEL], ~right)
    assert "mask_inverted" in sample.notes


def test_rows_that_cannot_be_right_are_set_aside(archive):
    rows = read_rows(archive)
    rows[1]["dx"] = "melanoma"
    rows[2]["lesion_id"] = ""
    rows.append(dict(rows[0], dx="nv"))
    write_rows(archive, rows)
    samples, aside = items(archive)
    assert [(i.row, i.reason) for i in aside] == [
        (3, "unknown_label"),
        (4, "row_malformed"),
        (7, "duplicate_row"),
    ]
    assert "'melanoma'" in aside[0].detail
    assert samples[0].labels == (rows[0]["dx"],)


def test_folders_and_tables_that_are_no_ham10000_are_named(archive, tmp_path):
    with pytest.raises(DataError, match=r"nowhere holds no HAM10000_metadata.csv"):
        items(tmp_path / "nowhere")
    rows = [{k: v for k, v in row.items() if k != "lesion_id"} for row in read_rows(archive)]
    write_rows(archive, rows)
    with pytest.raises(DataError, match=r"metadata.csv has no column lesion_id"):
        items(archive)
    (archive / "HAM10000_metadata.csv").write_bytes("image_id\nä".encode("latin-1"))
    with pytest.raises(DataError, match="line 2: byte 0xe4 is not UTF-8"):
        items(archive)


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"size": (4, 64)}, {"seed": -1}, {"max_set_aside": -0.1}]
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=f"^{next(iter(wrong))} is "):
        Ham10000(**wrong)
