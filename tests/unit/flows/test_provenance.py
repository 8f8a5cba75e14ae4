"""Names of metrics, and how recorded files stand: in a small DVC repository."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess

import pytest

from flows.lineage.provenance import trace_metric
from flows.records.artifacts import opened
from flows.records.stages import digests, read_records, recording_commits
from saliency_audit.errors import ParameterError

STAGES = {
    "one": {"cmd": "mkdir -p many && cp raw many/one", "deps": ["raw"], "outs": ["many/one"]},
    "two": {"cmd": "mkdir -p many/two && cp raw many/two/a", "deps": ["raw"], "outs": ["many/two"]},
    "all": {"cmd": "cp many/one last", "deps": ["many"], "outs": ["last"], "desc": "All of it."},
}


@pytest.fixture
def reports(tmp_path):
    """Two reports with a metric of one name."""
    for name in ("skin", "chest"):
        (tmp_path / "reports" / name).mkdir(parents=True)
        text = json.dumps({"dataset": {"images": 1, name: 2}})
        (tmp_path / "reports" / name / "metrics.json").write_text(text)
    return tmp_path


def test_a_name_in_two_reports_wants_the_report(reports):
    with pytest.raises(ParameterError, match=r"chest/metrics.json:dataset.images, .*skin/metrics"):
        trace_metric(reports, "dataset.images", None, rows=False)


def test_the_nearest_name_is_given_in_the_form_that_was_asked(reports):
    with pytest.raises(ParameterError, match=r"mean dataset\.skin\?"):
        trace_metric(reports, "dataset.skim", None, rows=False)
    with pytest.raises(ParameterError, match=r"mean reports/skin/metrics.json:dataset\.skin\?"):
        trace_metric(reports, "reports/skin/metrics.json:dataset.skim", None, rows=False)


def test_without_a_report_it_says_so(tmp_path):
    with pytest.raises(ParameterError, match="run the audit first"):
        trace_metric(tmp_path, "dataset.images", None, rows=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    path = tmp_path_factory.mktemp("project")
    (path / "raw").write_text("raw")
    (path / "dvc.yaml").write_text(json.dumps({"stages": STAGES}))
    # As in this repository: else DVC writes a file of its own into the folder, and digests it.
    (path / ".gitignore").write_text("/many/*\n")
    call(path, "git", "init", "-q")
    call(path, "dvc", "init", "-q")
    call(path, "dvc", "repro", "-q")
    commit(path)
    return path


def call(path, *command):
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(
        command, cwd=path, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(path):
    call(path, "git", "add", "-A")
    call(path, "git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "x")
    return call(path, "git", "rev-parse", "HEAD")


def test_how_recorded_files_stand(project):
    records = read_records(project)
    assert records["all"].description == "All of it."
    assert records["all"].needs == ("one", "two")
    recorded = digests(records.values())
    assert recorded["raw"] == hashlib.md5(b"raw").hexdigest()

    def states():
        with opened(project, recorded) as files:
            paths = ("raw", "many/one", "many/two", "many/two/a", "last")
            return [files.look(path).state for path in paths]

    assert states() == ["verified"] * 5
    (project / "many/one").unlink()
    (project / "raw").write_text("other")
    (project / "many/two/b").write_text("more")
    # The file of a folder that was changed is as it was.
    assert states() == ["changed", "only in cache", "changed", "verified", "verified"]
    with opened(project, recorded) as files:
        assert files.file("many/one").read_text() == "raw"
    (project / "many/one").write_text("raw")
    (project / "raw").write_text("raw")
    (project / "many/two/b").unlink()
    assert states() == ["verified"] * 5


def test_a_folder_of_parts_has_the_digest_that_dvc_gives_it(project):
    records = read_records(project)
    parts = {**records["one"].writes, **records["two"].writes}
    with opened(project, digests(records.values())) as files:
        assert files.digest_of_parts("many", parts) == records["all"].reads["many"]


def test_the_commit_is_the_one_that_recorded_a_stage(project):
    first = call(project, "git", "rev-parse", "HEAD")
    tree = {**STAGES, "more": {"cmd": "cp raw extra", "deps": ["raw"], "outs": ["extra"]}}
    (project / "dvc.yaml").write_text(json.dumps({"stages": tree}))
    call(project, "dvc", "repro", "-q", "more")
    assert recording_commits(project, ["one", "more"], None) == {"one": first}
    second = commit(project)
    assert recording_commits(project, ["one", "more"], None) == {"one": first, "more": second}
    assert recording_commits(project, ["one", "more"], first) == {"one": first}
    assert set(read_records(project, first)) == set(STAGES)
    # A commit that takes dvc.lock away ends what is older.
    call(project, "git", "rm", "-q", "--cached", "dvc.lock")
    text = (project / "dvc.lock").read_text()
    (project / "dvc.lock").unlink()
    commit(project)
    (project / "dvc.lock").write_text(text)
    third = commit(project)
    assert recording_commits(project, ["one", "more"], None) == {"one": third, "more": third}
