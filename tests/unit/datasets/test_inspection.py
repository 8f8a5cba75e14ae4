"""What is said of a source before training: each planted defect by its own, and nothing else."""

from __future__ import annotations

import csv
import json
import weakref
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saliency_audit.datasets.chestxdet import ChestXDet
from saliency_audit.datasets.folder import Folder
from saliency_audit.datasets.ham10000 import Ham10000
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.datasets.set_aside import check_set_aside
from saliency_audit.datasets.splitting import LabelSplit, SplitParameters, split_groups
from saliency_audit.datasets.vocabulary import NOTES
from saliency_audit.errors import DataError
from saliency_audit.inspection import ADVICE, STATUSES, inspect
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.problem import Severity

STOP, WARN, NOTE = Severity
SIZE = (16, 16)
LABELS = ("healthy", "torn")


@dataclass
class Plant:
    """A folder of images as one keeps one's own, in which defects can be planted."""

    path: object
    rows: list[dict[str, str]] = field(default_factory=list)

    def save(self, name, pixels):
        Image.fromarray(np.asarray(pixels, np.uint8)).save(self.path / name)

    def cut(self, name, kept):
        whole = (self.path / name).read_bytes()
        (self.path / name).write_bytes(whole[: int(kept * len(whole))])

    def line(self, number):
        return f"{self.path / 'images.csv'}:{number + 2}"

    def write(self):
        with (self.path / "images.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(dict.fromkeys(name for r in self.rows for name in r)))
            table.writeheader()
            table.writerows(self.rows)


def sow(path, count=40):
    plant = Plant(path)
    rng = np.random.default_rng(0)
    half = np.zeros((20, 30))
    half[:, :15] = 255
    for number in range(count):
        plant.save(f"{number:02}.png", rng.integers(0, 256, (20, 30, 3)))
        plant.save(f"{number:02}_m.png", half)
        plant.rows.append(
            {
                "image": f"{number:02}.png",
                "label": LABELS[number % 2],
                "group": f"p{number}",
                "mask": f"{number:02}_m.png",
                "sex": "f",
            }
        )
    plant.write()
    return plant


@pytest.fixture
def plant(tmp_path):
    return sow(tmp_path)


def source_of(path, **parameters):
    given = {"size": SIZE, "max_set_aside": 0.9, **parameters}
    return Folder(source=str(path), **given)


def problems(plant, **parameters):
    plant.write()
    return list(inspect(source_of(plant.path, **parameters), str(plant.path), SplitParameters()))


def test_of_a_clean_folder_nothing_is_said(plant):
    assert problems(plant, max_set_aside=0.0) == []


# Each defect: what it plants at row 5, the rule, how much that matters.


def truncated(plant):
    plant.cut("05.png", 0.6)


def no_image_file(plant):
    (plant.path / "05.png").write_text("no image")


def gone(plant):
    (plant.path / "05.png").unlink()


def mask_gone(plant):
    (plant.path / "05_m.png").unlink()


def mask_unreadable(plant):
    (plant.path / "05_m.png").write_text("no image")


def unknown_label(plant):
    plant.rows[5]["label"] = "tron"


def no_label(plant):
    plant.rows[5]["label"] = ""


def two_labels(plant):
    plant.rows[5]["label"] = "healthy;torn"


def outside(plant):
    plant.rows[5]["mask"] = "../other/05_m.png"


def no_group(plant):
    plant.rows[5]["group"] = ""


def no_mask(plant):
    plant.rows[5]["mask"] = ""
    (plant.path / "05_m.png").unlink()


def no_sex(plant):
    plant.rows[5]["sex"] = ""


def constant(plant):
    plant.save("05.png", np.full((20, 30, 3), 7))


def empty(plant):
    plant.save("05_m.png", np.zeros((20, 30)))


def full(plant):
    plant.save("05_m.png", np.full((20, 30), 255))


def inverted(plant):
    mask = np.full((20, 30), 255)
    mask[5:15, 8:20] = 0
    plant.save("05_m.png", mask)


def grey(plant):
    plant.save("05_m.png", np.linspace(0, 255, 600).reshape(20, 30))


def of_other_size(plant):
    plant.save("05_m.png", np.eye(40, 60) * 255 + np.eye(40, 60, 1) * 255 > 0)


def copied_to_another_group(plant):
    (plant.path / "05.png").write_bytes((plant.path / "03.png").read_bytes())


DEFECTS = [
    (truncated, "image_truncated", WARN),
    (no_image_file, "image_unreadable", WARN),
    (gone, "image_missing", WARN),
    (mask_gone, "mask_missing", WARN),
    (mask_unreadable, "mask_unreadable", WARN),
    (unknown_label, "unknown_label", WARN),
    (no_label, "label_missing", WARN),
    (two_labels, "several_labels", WARN),
    (no_group, "group_unknown", WARN),
    (no_mask, "mask_missing", NOTE),
    (no_sex, "sex_unknown", NOTE),
    (constant, "constant", WARN),
    (empty, "mask_empty", WARN),
    (full, "mask_full", WARN),
    (inverted, "mask_inverted", WARN),
    (grey, "mask_grey", WARN),
    (copied_to_another_group, "duplicate_across_groups", WARN),
]


@pytest.mark.parametrize(("defect", "rule", "severity"), DEFECTS)
def test_a_planted_defect_is_named_with_its_line_and_nothing_else_is(plant, defect, rule, severity):
    defect(plant)
    (found,) = problems(plant, labels=LABELS)
    assert (found.rule, found.severity, found.count) == (rule, severity, 1)
    ((at, what),) = found.places
    assert at == plant.line(5)
    assert "05" in what
    assert found.meaning and found.advice


def test_a_mask_of_other_size_is_noted_and_of_other_shape_warned_of(plant):
    of_other_size(plant)
    plant.save("07_m.png", np.eye(30, 20) > 0)
    found = {p.rule: p for p in problems(plant)}
    assert [at for at, _ in found["mask_rescaled"].places] == [plant.line(5), plant.line(7)]
    assert [at for at, _ in found["mask_aspect"].places] == [plant.line(7)]
    assert (found["mask_rescaled"].severity, found["mask_aspect"].severity) == (NOTE, WARN)


def test_files_without_a_row_and_paths_that_lead_out_are_named(plant):
    plant.save("stray.png", np.zeros((9, 9, 3)))
    outside(plant)
    found = {p.rule: p.places for p in problems(plant)}
    assert set(found) == {"no_metadata", "path_outside"}
    # The mask that row 5 no longer names is a stray file, too.
    assert [at for at, _ in found["no_metadata"]] == [
        str(plant.path / name) for name in ("05_m.png", "stray.png")
    ]
    assert found["path_outside"][0][0] == plant.line(5)


def test_a_second_row_of_an_image_is_named(plant):
    plant.rows.append(dict(plant.rows[5]))
    (found,) = problems(plant)
    assert (found.rule, found.places[0][0]) == ("duplicate_row", plant.line(40))


def test_equal_pixels_in_one_group_are_noted_and_contradicting_labels_said(plant):
    copied_to_another_group(plant)
    plant.rows[5]["group"] = "p3"
    found = {p.rule: p for p in problems(plant)}
    assert set(found) == {"duplicate_in_group", "several_in_group"}
    assert {p.severity for p in found.values()} == {NOTE}
    assert found["duplicate_in_group"].places == [
        (plant.line(5), f"05.png is 03.png ({plant.line(3)})")
    ]
    plant.rows[5]["label"] = "healthy"
    assert "with other labels" in problems(plant)[0].places[0][1]


def test_a_label_of_few_patients_is_named_with_all_its_lines(plant):
    for number in (6, 7, 8):
        plant.rows[number]["label"] = "sprained"
    (found,) = problems(plant)
    assert (found.rule, found.severity, found.count) == ("few_groups", WARN, 3)
    assert "sprained" in found.meaning
    assert [at for at, _ in found.places] == [plant.line(n) for n in (6, 7, 8)]


def test_a_label_that_nothing_can_be_trained_on_stops(plant):
    found = problems(plant, labels=(*LABELS, "sprained", "worn"))
    assert [(p.rule, p.severity) for p in found] == [("no_image", STOP)] * 2
    assert "sprained" in found[0].meaning and "worn" in found[1].meaning
    several = problems(plant, labels=(*LABELS, "sprained"), labelling=Labelling.MULTILABEL)
    assert [(p.rule, p.severity) for p in several] == [("no_image", WARN)]


def test_fewer_patients_than_splits_stop(plant):
    for number, row in enumerate(plant.rows):
        row["group"] = f"p{number % 3}"
    found = {p.rule: p for p in problems(plant)}
    assert found["split"].severity is STOP
    assert "3 group(s)" in found["split"].places[0][1]


def test_groups_that_a_split_by_image_tears_apart_are_warned_of(plant):
    for number, row in enumerate(plant.rows):
        row["group"] = f"p{number // 2}"
    plant.write()
    source = source_of(plant.path)
    by_image = {p.rule: p for p in inspect(source, "x", SplitParameters(by="image"))}
    assert by_image["leaking_groups"].severity is WARN
    by_group = {p.rule: p for p in inspect(source, "x", SplitParameters())}
    assert set(by_group) == {"several_in_group"} and by_group["several_in_group"].count == 20


def test_one_row_with_three_defects_is_named_for_each(plant):
    unknown_label(plant)
    truncated(plant)
    mask_gone(plant)
    found = {p.rule: p.places[0][0] for p in problems(plant, labels=LABELS)}
    assert found == dict.fromkeys(
        ("unknown_label", "image_truncated", "mask_missing"), plant.line(5)
    )


def test_a_table_that_is_wrong_as_a_whole_hides_no_image(plant):
    truncated(plant)
    for row in plant.rows:
        row["mask_torn"] = row.pop("mask")
        row["mask_shin"] = row["mask_knee"] = ""
    found = problems(plant)
    (whole,) = [p for p in found if p.rule == "source"]
    assert whole.severity is STOP and whole.count == 2
    assert all(name in str(whole.places) for name in ("mask_shin", "mask_knee"))
    assert plant.line(5) in [p.places[0][0] for p in found if p.rule == "image_truncated"]
    with pytest.raises(DataError, match=r"mask_shin.*mask_knee"):
        source_of(plant.path).describe()


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "missing"), (b"image,group\n", "label or labels"), (b"\xff", "UTF-8"), (b"", "header")],
)
def test_a_table_that_cannot_be_read_is_one_problem(plant, content, word):
    plant.write()
    table = plant.path / "images.csv"
    table.unlink()
    if content is not None:
        table.write_bytes(content)
    (found,) = inspect(source_of(plant.path), "mine", SplitParameters())
    assert (found.rule, found.severity, found.places[0][0]) == ("source", STOP, "mine")
    assert word in found.places[0][1]


def test_a_table_without_rows_is_said(plant):
    (plant.path / "images.csv").write_text("image,label\n")
    source = source_of(plant.path, labels=LABELS, unlisted="ignore")
    found = {p.rule: p for p in inspect(source, "mine", SplitParameters())}
    assert "holds no image" in found["max_set_aside"].places[0][1]


def test_more_than_may_be_set_aside_stops_with_each_line(plant):
    truncated(plant)
    mask_gone(plant)
    found = {p.rule: p for p in problems(plant, max_set_aside=0.01)}
    assert set(found) == {"max_set_aside", "image_truncated", "mask_missing"}
    assert {p.severity for p in found.values()} == {STOP}


def defective(plant, chosen):
    for number, defect in enumerate(chosen):
        name = f"{number:02}.png"
        if defect == "cut":
            plant.cut(name, 0.5)
        elif defect == "gone":
            (plant.path / name).unlink()
        elif defect:
            plant.rows[number]["label"] = {"unknown": "tron", "none": "", "rare": "rare"}[defect]
    plant.write()


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([None, None, "cut", "gone", "unknown", "none", "rare"]), max_size=12),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([LABELS, (*LABELS, "rare"), None]),
)
def test_it_stops_exactly_where_an_audit_would(tmp_path_factory, chosen, bound, labels):
    plant = sow(tmp_path_factory.mktemp("folder"), count=12)
    defective(plant, chosen)
    source = source_of(plant.path, max_set_aside=bound, labels=labels)
    try:
        items = list(source.samples())
        samples = [item for item in items if isinstance(item, Sample)]
        aside = [item for item in items if isinstance(item, SetAside)]
        check_set_aside(len(samples), aside, bound)
        split_groups(
            [s.image_id for s in samples],
            [s.group_id for s in samples],
            [s.labels for s in samples],
            source.describe().labels,
            SplitParameters(),
            labelling=Labelling.MULTICLASS,
        )
        ends = False
    except DataError:
        ends = True
    found = list(inspect(source, "mine", SplitParameters()))
    assert any(p.severity is STOP for p in found) == ends
    lines = {at for p in found for at, _ in p.places if p.rule not in ("few_groups", "not_in_test")}
    for number, defect in enumerate(chosen):
        if defect in ("cut", "gone", "none"):
            assert f"mine/images.csv:{number + 2}" in lines


def test_every_word_that_sources_note_and_every_status_has_advice():
    assert set(ADVICE) == set(NOTES)
    # The statuses are told in the docstring of LabelSplit.
    assert all(f"``{status}``" in LabelSplit.__doc__ for status in STATUSES)


def test_pixels_are_let_go_of():
    """However many images there are, one at a time is held."""
    alive: list[weakref.ref] = []

    class Many:
        max_set_aside = 0.0

        def describe(self):
            return Description(LABELS, Labelling.MULTICLASS, MaskKind.SINGLE, SIZE)

        def samples(self, progress=None):
            for number in range(40):
                pixels = np.full((*SIZE, 3), number, np.uint8)
                alive.append(weakref.ref(pixels))
                name = f"{number:02}"
                yield Sample(name, name, LABELS[:1], pixels, {}, {}, {}, 16, 16, None, ("turned",))
                del pixels
                assert sum(ref() is not None for ref in alive) <= 1

    found = {p.rule: p for p in inspect(Many(), "many", SplitParameters())}
    assert found["turned"].count == 40 and found["no_image"].severity is STOP


def test_phantoms_have_no_fault():
    source = PhantomSkin(images=80, size=SIZE)
    assert not [p for p in inspect(source, "phantoms", SplitParameters()) if p.severity is STOP]


# Real data


@pytest.fixture
def archive(real_data, tmp_path):
    """A part of HAM10000 with what its description names: full masks, ages unknown, lesions."""
    ham = real_data / "ham10000"
    with (ham / "HAM10000_metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lesions = Counter(row["lesion_id"] for row in rows)
    six = next(name for name, count in lesions.items() if count == 6)
    chosen = [
        row
        for number, row in enumerate(rows)
        if row["image_id"] in ("ISIC_0026042", "ISIC_0029819")
        or row["lesion_id"] == six
        or (not row["age"] and number % 9 == 0)
        or number % 100 == 0
    ]
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for row in chosen:
            (file,) = (ham / name).glob(f"{row['image_id']}.*")
            (tmp_path / name / file.name).symlink_to(file)
    with (tmp_path / "HAM10000_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(chosen[0]))
        table.writeheader()
        table.writerows(chosen)
    return tmp_path, chosen


def test_what_is_odd_in_ham10000_is_named(archive):
    folder, rows = archive
    source = Ham10000(source=str(folder), size=(75, 100))
    found = {p.rule: p for p in inspect(source, str(folder), SplitParameters())}
    lines = {row["image_id"]: number for number, row in enumerate(rows, start=2)}

    def said(rule):
        places = found[rule].places
        assert all(at.endswith(f"HAM10000_metadata.csv:{lines[what]}") for at, what in places)
        return {what for _, what in places}

    assert said("mask_full") == {"ISIC_0026042", "ISIC_0029819"}
    assert said("age_unknown") == {row["image_id"] for row in rows if not row["age"]}
    assert said("mask_rescaled") == set(lines)
    several = Counter(row["lesion_id"] for row in rows)
    assert {what for _, what in found["several_in_group"].places} == {
        f"{name} has {count} images" for name, count in several.items() if count > 1
    }
    assert found["mask_rescaled"].severity is NOTE and found["mask_full"].severity is WARN


def test_rows_of_chestxdet_without_an_image_are_counted_and_named(real_data):
    folder = real_data / "chestxdet"
    rows = json.loads((folder / "annotations.json").read_text("utf-8"))
    there = {path.name for name in ("images", "images_64") for path in (folder / name).iterdir()}
    missing = {n for n, row in enumerate(rows, start=1) if row["file_name"] not in there}
    for bound, severity in ((0.01, STOP), (1.0, WARN)):
        source = ChestXDet(source=str(folder), size=(32, 32), max_set_aside=bound)
        found = {p.rule: p for p in inspect(source, "chest", SplitParameters())}
        assert found["image_missing"].severity is severity
        assert found["image_missing"].count == len(missing) == 3578 - 141
        assert {at for at, _ in found["image_missing"].places} == {
            f"chest/annotations.json, row {n}" for n in missing
        }
        assert ("max_set_aside" in found) == (severity is STOP)
