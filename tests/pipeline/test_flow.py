"""The Prefect flow gives what `dvc repro` gives, says what it does, and survives what fails."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.pipeline.conftest import SAID

AUDIT = "phantom_skin-tiny"


pytestmark = pytest.mark.usefixtures("one_server")


@pytest.fixture(scope="module")
def said(flown):
    """What the first `saliency-audit run` said."""
    return (flown.path.parent / SAID).read_text()


@pytest.fixture(scope="module")
def audited(flown, copied):
    """The miniature checkout after `saliency-audit run`."""
    return copied(flown)


def test_a_server_that_is_not_there_is_named(new_checkout, monkeypatch):
    address = "http://127.0.0.1:9/api"  # nobody listens there
    monkeypatch.setenv("PREFECT_API_URL", address)
    found = new_checkout().audit("run", check=False)
    assert found.returncode == 3
    assert f"the Prefect server at {address} does not answer" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_flow_and_repro_agree(audited, reproduced):
    assert reproduced.lock() == audited.lock()
    assert audited.repro() == set()


def test_it_says_what_runs_and_how_long_each_stage_took(audited, said):
    assert "stages may have to run" in said
    for stage in audited.lock():
        assert f"ran {stage} (" in said
    assert "report:" in said


def test_nothing_to_do_starts_no_server(audited):
    said = audited.audit("run").stderr
    assert "stages are up to date" in said


def test_a_dry_run_names_the_reason_and_runs_nothing(audited):
    tree = audited.params()
    tree["method"]["rise"]["seed"] = 5
    audited.write_params(tree)
    lock = audited.lock()
    found = audited.audit("run", "--dry-run", "--json")
    tree["method"]["rise"]["seed"] = 0
    audited.write_params(tree)
    assert "method.rise" in found.stderr
    told = json.loads(found.stdout)
    stage = told["stages"][f"explain@{AUDIT}-rise"]
    assert "method.rise" in " ".join(stage["why"])
    assert stage["state"] == "planned"
    assert told["up_to_date"] + len(told["stages"]) == len(lock)
    assert audited.lock() == lock


def test_a_failing_stage_stops_what_depends_on_it_and_nothing_else(audited):
    """The classifier's folder is spoiled; the segmenter does not depend on it."""
    path = audited.path / "classifiers" / "tiny" / "model.yaml"
    text = path.read_text()
    tree = audited.params()
    tree["segmenter"]["epochs"] = 2
    audited.write_params(tree)
    path.write_text(text.replace("epochs: 2", "epochs: 2\n  learning_rate: 1.0e+30"))
    found = audited.audit("run", "--json", check=False)
    path.write_text(text)
    tree["segmenter"]["epochs"] = 1
    audited.write_params(tree)
    assert found.returncode == 3
    states = {name: stage["state"] for name, stage in json.loads(found.stdout)["stages"].items()}
    assert states[f"train_classifier@{AUDIT}"] == "failed"
    assert states["train_segmenter@phantom_skin"] == "ran"
    assert states[f"predict@{AUDIT}"] == "not reached"
    assert f"error: train_classifier@{AUDIT}" in found.stderr
    assert "learning" in found.stderr
    assert "ran train_segmenter@phantom_skin" in found.stderr
    assert f"not reached: predict@{AUDIT}" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_typo_is_named_before_anything_runs(audited):
    tree = audited.params()
    audited.write_params({**tree, "metod": {}})
    found = audited.audit("run", check=False)
    audited.write_params(tree)
    assert found.returncode == 2
    assert "unknown key metod: did you mean method" in found.stderr


def test_a_second_run_in_one_checkout_refuses(audited):
    with (audited.path / ".saliency" / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = audited.audit("run", check=False)
    assert found.returncode == 6
    assert "another run" in found.stderr


def test_a_second_run_waits_if_told_to(audited):
    with (audited.path / ".saliency" / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "run", "--wait"],
            cwd=audited.path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "CI": "1"},
        )
        assert "waiting for it to end" in process.stderr.readline()
        assert process.poll() is None
    assert process.wait(300) == 0


def test_an_interrupt_ends_the_stages_and_a_new_run_goes_on(audited):
    tree = audited.params()
    tree["method"]["rise"]["samples"] = 200_000
    audited.write_params(tree)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "run"],
        cwd=audited.path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "CI": "1"},
    )
    running = f"tasks.explain {AUDIT} rise"
    while process.poll() is None and running not in commands(audited.path):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    assert running not in commands(audited.path)
    tree["method"]["rise"]["samples"] = 64
    audited.write_params(tree)
    assert audited.audit("run").returncode == 0


def commands(folder):
    """Command lines of the processes that work in a folder, one per line.

    Not those of the whole machine: tests beside this one run stages of the same names.
    """
    lines = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder.resolve()):
                lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)
