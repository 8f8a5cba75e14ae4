"""A sample of `make mutations`: some kinds at 1 %, some clean seeds, and the harness itself."""

from __future__ import annotations

import numpy as np
import pytest

from saliency_audit.errors import DataError

from . import base, clean, record
from .kind import Kind, put
from .kinds import KINDS
from .seams import NothingChangedError, Pick, Rows
from .trial import Result, attempt

#: Kinds of all sorts, with the outcome and the stage or rule that must name them.
SAMPLE = {
    "label-misspelt": ("warned", "set_aside"),
    "image-copied": ("stopped", "equal_pixels"),
    "channels-exchanged": ("warned", "unlike_others"),
    "mask-inverted": ("warned", "mask_inverted"),
    "digest-stale": ("stopped", "pixel_digest"),
    "group-leaked": ("stopped", "group_in_one_split"),
    "probability-percent": ("stopped", "DataError"),
    "scores-of-others": ("stopped", "score_again"),
    "drawn-inverted": ("stopped", "drawn_again"),
    "truth-of-others": ("stopped", "region_truth"),
    "maps-of-other-model": ("stopped", "map_model"),
    "map-clipped": ("stopped", "map_highest"),
    "cohort-correct": ("stopped", "cohort_prediction"),
    "segx-with-other-mask": ("stopped", "segx"),
    "iou-with-mirrored-mask": ("stopped", "with_truth"),
    "grid-transposed": ("stopped", "agreement_counts"),
    "cells-of-other-map": ("stopped", "cell_means"),
}


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The clean audit of skin."""
    return base.build(tmp_path_factory.mktemp("mutations") / "base", subjects=["skin"])


@pytest.mark.parametrize("name", SAMPLE)
def test_a_kind_is_noticed_at_one_percent(name, ready, tmp_path):
    result = attempt(KINDS[name], 0.01, 1, ready, tmp_path / "trial")
    outcome, named = SAMPLE[name]
    assert result.outcome == outcome, result
    assert any(named in what for what in result.what), result


def test_what_changes_nothing_is_no_trial(ready, tmp_path):
    kind = Kind("idle", "Nothing goes wrong.", Rows("cohort", "tiny", put(reason="ok")))
    assert attempt(kind, 0.01, 1, ready, tmp_path / "trial").outcome == "idle"


@pytest.mark.audit
@pytest.mark.parametrize("seed", range(1000, 1004))
def test_clean_data_raises_no_alarm(seed, tmp_path):
    assert clean.attempt(seed, clean.INPUTS, tmp_path / "clean").rules == []


class TestKinds:
    """What is declared before anything runs."""

    def test_there_are_many_and_names_are_unique(self):
        told = [kind for kind in KINDS.values() if not kind.untold]
        assert len(told) >= 60
        assert len(KINDS) == sum(map(len, record.GROUPS.values()))

    def test_what_cannot_be_told_says_why(self):
        for kind in KINDS.values():
            assert kind.meaning.endswith("."), kind.name
            assert not kind.untold or len(kind.untold) > 40, kind.name


class TestPick:
    """How much is touched, and what."""

    @pytest.mark.parametrize(("rate", "number"), [(0.0, 1), (0.01, 2), (0.05, 10), (0.2, 40)])
    def test_a_rate_is_a_share_of_what_can_be_touched(self, rate, number):
        pick = Pick(rate, np.random.default_rng(0))
        found = pick(range(400), lambda thing: thing % 2 == 0)
        assert len(set(found)) == number
        assert all(place % 2 == 0 for place in found)

    def test_the_same_seed_touches_the_same(self):
        one, two = (Pick(0.1, np.random.default_rng(3))(range(50)) for _ in range(2))
        assert one == two

    def test_nothing_to_touch_is_said(self):
        with pytest.raises(NothingChangedError):
            Pick(0.1, np.random.default_rng(0))([1, 2], lambda thing: thing > 5)


class TestRecord:
    """Results are kept, and become tables."""

    def test_results_of_other_code_do_not_count(self, tmp_path):
        path = tmp_path / "results.jsonl"
        for code in ("a", "b"):
            record.add(path, Result("map-nan", 0.01, 1, "stopped", "explain", code=code))
        record.add(path, clean.Alarm(3, "skin", clean.INPUTS, code="a"))
        assert [r.code for r in record.read(path, Result, "a")] == ["a"]
        assert [a.seed for a in record.read(path, clean.Alarm, "a")] == [3]

    def test_kinds_that_cannot_be_told_do_not_count(self):
        results = [
            Result("map-nan", 0.01, 1, "stopped", "explain"),
            Result("map-halved", 0.01, 1, "unseen"),
            Result("labels-shuffled", 0.01, 1, "unseen"),
        ]
        assert record.noticed(results) == "1 of 2 (50.0 %)"

    def test_a_page_keeps_what_is_around_its_tables(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("before\n<!-- clean: begin -->\nold\n<!-- clean: end -->\nafter\n")
        record.write(page, {"clean": "new"})
        assert page.read_text() == (
            "before\n<!-- clean: begin -->\nnew\n<!-- clean: end -->\nafter\n"
        )


def test_an_image_of_a_classifiers_own_label_is_refused(ready, tmp_path):
    """A card with labels that the dataset lacks is an error that says so, and no traceback."""
    result = attempt(KINDS["classifier-labels-others"], 0.01, 1, ready, tmp_path / "trial")
    assert result.outcome == "stopped"
    assert DataError.__name__ in result.what[0]
