"""A sample of the trials of `make faults`, on stages that do next to nothing; their judge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections import Counter

import pytest

from tests.faults import judgement, record
from tests.faults.faults import FAULTS
from tests.faults.miniature import cached, entries, make_toy
from tests.faults.servers import Server
from tests.faults.trial import Trial


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all trials here."""
    with Server(tmp_path_factory.mktemp("server"), None) as server:
        yield server


@pytest.fixture(scope="module")
def toy(tmp_path_factory, server):
    """A checkout to start from, and what an undisturbed run of it gives."""
    return make_toy(tmp_path_factory.mktemp("toy"), server.environment)


@pytest.mark.parametrize("kind", ["kill-stage", "kill-flow"])
def test_a_fault_costs_nothing_that_was_recorded(kind, tmp_path, toy, server):
    trial = Trial(kind, 1, tmp_path / "trial", toy, server)
    try:
        FAULTS[kind][0](trial)
    finally:
        trial.end()
    assert trial.problems == [], trial.point


class TestJudgement:
    """Each check sees what it is there to see."""

    @pytest.fixture
    def finished(self, toy, tmp_path):
        shutil.copytree(toy.folder / "done", tmp_path / "done", symlinks=True)
        return tmp_path / "done"

    def test_an_undisturbed_run_has_no_problem(self, finished, toy):
        assert list(judgement.corrupt(finished, toy.entries, whole=True)) == []

    def test_a_corrupt_output_is_seen(self, finished, toy):
        (finished / "data/toy/left.txt").chmod(0o644)
        (finished / "data/toy/left.txt").write_text("other")
        [problem] = judgement.corrupt(finished, toy.entries, whole=True)
        assert "data/toy/left.txt in the workspace" in problem

    def test_a_corrupt_file_of_a_folder_is_seen(self, finished, toy):
        (finished / "data/code/toy.txt.extra").write_text("other")
        [problem] = judgement.corrupt(finished, toy.entries, whole=True)
        assert "data/code in the workspace" in problem

    def test_a_corrupt_object_of_the_cache_is_seen(self, finished, toy):
        md5 = entries(finished)["toy@left"]["outs"][0]["md5"]
        path = cached(finished, md5)
        path.chmod(0o644)
        path.write_text("other")
        path.chmod(0o444)
        problems = list(judgement.corrupt(finished, toy.entries, whole=True))
        assert any("not what its name says" in problem for problem in problems)
        assert any(
            "not what its name says" in p for p in judgement.corrupt(finished, toy.entries, False)
        )

    def test_an_object_that_is_gone_is_seen(self, finished, toy):
        cached(finished, entries(finished)["toy@left"]["outs"][0]["md5"]).unlink()
        [problem] = judgement.corrupt(finished, toy.entries, whole=False)
        assert "is not in the cache" in problem

    def test_another_result_is_seen(self, finished, toy):
        path = finished / "dvc.lock"
        md5 = entries(finished)["toy@last"]["outs"][0]["md5"]
        path.write_text(path.read_text().replace(md5, "f" * 32))
        problems = list(judgement.corrupt(finished, toy.entries, whole=False))
        assert any("toy@last is recorded otherwise" in problem for problem in problems)

    def test_a_stage_that_is_not_recorded_is_seen(self, finished, toy):
        more = {**toy.entries, "toy@more": {"outs": []}}
        assert list(judgement.corrupt(finished, more, whole=True)) == ["toy@more is not recorded"]

    def test_work_that_is_done_again_is_seen(self, finished):
        counted = judgement.executions([finished])
        assert counted["toy@left"] == 1
        folder = finished / ".saliency/logs/later"
        folder.mkdir()
        (folder / "toy@left.log").write_text("Running stage 'toy@left':\n> python -m tasks.toy\n")
        again = judgement.executions([finished])
        problems = list(judgement.repeated(["toy@left", "toy@right"], counted, again))
        assert problems == ["toy@left was recorded, and was run again"]
        assert not list(judgement.repeated(["toy@right"], Counter(), Counter()))

    def test_a_process_that_is_left_behind_is_seen_and_ended(self):
        mark = uuid.uuid4().hex
        program = "import time; time.sleep(1000)"
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={judgement.MARK: mark},
            start_new_session=True,
        )
        [problem] = judgement.left_behind(mark, patience=0.5)
        assert f"process {process.pid} was left behind" in problem
        assert process.wait(10) == -9
        assert judgement.left_behind(mark, patience=0.5) == []


class TestRecord:
    """Results are kept, and those of other code do not count."""

    def result(self, **changes):
        base = {
            "kind": "kill-flow",
            "seed": 1,
            "point": "",
            "outcome": "passed",
            "seconds": 2.0,
            "code": "a",
            "revision": "r",
        }
        return record.Result(**{**base, **changes})

    def test_the_last_of_each_trial_of_this_code_counts(self, tmp_path):
        path = tmp_path / "results.jsonl"
        for change in ({"outcome": "failed"}, {}, {"code": "b", "seed": 2}):
            record.add(path, self.result(**change))
        with path.open("a") as file:
            file.write(json.dumps({"kind": "torn"})[:-3])
        known = record.latest(record.read(path), "a")
        assert [r.outcome for r in known.values()] == ["passed"]

    def test_the_table_takes_the_place_of_the_former(self, tmp_path):
        page = tmp_path / "faults.md"
        page.write_text("before\n<!-- table: begin -->\nold\n<!-- table: end -->\nafter\n")
        results = [self.result(seed=n) for n in (1, 2, 4)]
        record.write(page, record.table(results), results)
        text = page.read_text()
        assert "| `kill-flow` | 3 | 3 | 0 | 0 | 2 | 1-2, 4 |" in text
        assert "Revision r, 3 trials" in text
        assert "old" not in text
        assert text.startswith("before\n")
        assert text.endswith("after\n")
