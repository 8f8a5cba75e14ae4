"""Facts of strata and of rows set aside, from small tables with what they should see in them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from saliency_audit.datasets.encoding import encode_image, pixel_sha256
from tasks import places
from tasks.artifacts import write_table
from tasks.check_inputs.source_facts import folded, source_facts, stratum_facts
from tasks.gates.rule import Facts
from tasks.tables.images import IMAGES
from tasks.tables.set_aside import SET_ASIDE

AGES = ["31", "40", "44", "52", "57", "63", "70", "624", "58 years", ""]
SEXES = ["female", "male", "Female", "male", "female", "male", "male", "female", "male", "male"]


@pytest.fixture
def project(tmp_path):
    """Ten images with an age and a sex, and one file that was set aside."""
    with contextlib.chdir(tmp_path):
        folder = places.ingest("own")
        pixels = np.zeros((8, 8, 3), np.uint8)
        with write_table(IMAGES, folder / "images.parquet") as table:
            for number, (age, sex) in enumerate(zip(AGES, SEXES, strict=True)):
                table.write(
                    {
                        "image_id": f"i{number}",
                        "group_id": f"g{number}",
                        "labels": ["a"],
                        "instances": [1],
                        "width": 8,
                        "height": 8,
                        "pixel_sha256": pixel_sha256(pixels),
                        "pixels": encode_image(pixels),
                        "strata": [("age", age or None), ("sex", sex)],
                        "source_file": None,
                        "notes": [],
                    }
                )
        with write_table(SET_ASIDE, folder / "set_aside.parquet") as table:
            table.write(
                {
                    "number": 0,
                    "image_id": None,
                    "source_file": "lost.png",
                    "row": None,
                    "reason": "no_metadata",
                    "detail": "it has no row",
                }
            )
        yield


def _of(facts, stratum, column):
    rows = zip(facts.columns["stratum"], facts.columns[column], strict=True)
    return [value for name, value in rows if name == stratum]


def test_a_number_in_another_unit_is_far_from_the_others(project):
    apart = _of(stratum_facts("own"), "age", "apart")
    assert max(a for n, a in enumerate(apart[:8]) if n != 7) < 3
    assert apart[7] > 8


def test_what_is_no_number_among_numbers_is_said(project):
    facts = stratum_facts("own")
    assert _of(facts, "age", "number") == [True] * 8 + [False]
    assert _of(facts, "age", "apart")[8] is None
    assert _of(facts, "sex", "number") == [None] * 10


def test_words_are_folded_and_numbers_are_not(project):
    facts = stratum_facts("own")
    assert set(_of(facts, "sex", "folded")) == {"sex: female", "sex: male"}
    assert set(_of(facts, "age", "folded")) == {None}
    assert "Female" in _of(facts, "sex", "written")


def test_only_names_that_another_is_nearly_like_are_folded():
    assert folded(["Lesion 1", "lesion_1", "LESION-2"]) == ["lesion-1", "lesion-1", "LESION-2"]


def test_every_image_is_used_and_no_file_that_was_set_aside(project):
    images = Facts("images", ("image_id",), {"image_id": [f"i{n}" for n in range(10)]})
    facts = source_facts("own", images)
    assert facts.columns["image_id"][-1] == "lost.png"
    assert facts.columns["reason"] == [None] * 10 + ["no_metadata"]
