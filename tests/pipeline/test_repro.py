"""`dvc repro` gives the whole result, runs what a change asks for, and nothing else."""

from __future__ import annotations

import json

import pytest

AUDIT = "phantom_skin-tiny"


@pytest.fixture(scope="module")
def first_run(checkout):
    """Names of the stages that the first `dvc repro` ran."""
    return checkout.repro()


@pytest.fixture
def audited(checkout, first_run):
    """The miniature checkout after its first `dvc repro`."""
    return checkout


def test_one_command_gives_the_whole_result(audited, first_run):
    for name in ("reports/index.html", "reports/phantom_skin/index.html"):
        assert (audited.path / name).stat().st_size > 1000
    metrics = json.loads((audited.path / "reports/phantom_skin/metrics.json").read_text())
    assert metrics
    assert set(audited.lock()) == first_run


def test_a_second_run_runs_nothing(audited):
    assert audited.repro() == set()


def test_one_parameter_of_a_method_reruns_it_and_what_follows(audited):
    tree = audited.params()
    tree["method"]["rise"]["samples"] = 65
    audited.write_params(tree)
    ran = audited.repro()
    assert f"explain@{AUDIT}-rise" in ran
    assert f"explain@{AUDIT}-gradcam" not in ran
    before = {"ingest", "split", "train_classifier", "train_segmenter", "predict"}
    assert not {name for name in ran if name.split("@")[0] in before}


def test_a_comment_changes_no_output_and_trains_nothing(audited):
    outputs = audited.outputs()
    for name in ("models/training.py", "attribution/rise.py", "measures/overlap.py"):
        path = audited.path / "saliency_audit" / name
        path.write_text(path.read_text() + "\n# A comment.\n")
    kept = audited.path / ".saliency" / "checkpoints" / "train_classifier" / AUDIT
    written = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    ran = audited.repro()
    assert f"train_classifier@{AUDIT}" in ran
    assert audited.outputs() == outputs
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == written


def test_two_clean_runs_have_the_same_bytes(audited, new_checkout):
    other = new_checkout()
    other.write_params(audited.params())
    other.repro()
    assert other.outputs() == audited.outputs()
