"""`saliency-audit accept` in a real checkout: what it commits, what it refuses, what runs after."""

from __future__ import annotations

import fcntl
import json
import shutil

import pytest
import yaml

from tests.invented_project import Project

REFERENCE = "references/phantom_skin/profile.json"
DRIFT = "reports/phantom_skin/drift.json"
ACCEPT = ("accept", "phantom_skin", "--why", "first audit, report read")


@pytest.fixture(scope="module")
def audited(new_checkout):
    """A checkout whose invented audit is checked for drift and committed; other stages are gone."""
    checkout = new_checkout()
    path = checkout.path / "dvc.yaml"
    stages = yaml.safe_load(path.read_text())["stages"]
    kept = {name: stages[name] for name in ("code", "check_drift")}
    path.write_text(yaml.safe_dump({"stages": kept}))
    Project(
        checkout.path,
        name="phantom_skin",
        audits=("phantom_skin-tiny",),
        methods=("gradcam", "rise"),
    ).build().summarise()
    (checkout.path / REFERENCE).parent.mkdir(parents=True, exist_ok=True)
    (checkout.path / REFERENCE).write_text('{"status": "none"}\n')
    for key, value in (("name", "R. Reader"), ("email", "reader@localhost")):
        checkout.call("git", "config", f"user.{key}", value)
    assert checkout.repro() == {"code", "check_drift@phantom_skin"}
    checkout.call("git", "add", "-A")
    checkout.call("git", "commit", "-q", "-m", "audit")
    return checkout


@pytest.fixture
def fresh(audited, tmp_path):
    """A copy of it, to change."""
    path = tmp_path / "project"
    shutil.copytree(audited.path, path, symlinks=True)
    return type(audited)(path)


def head(checkout):
    return checkout.call("git", "rev-parse", "HEAD").stdout.strip()


def refused(checkout, *arguments):
    """Accept where that is refused; gives what was said."""
    before = head(checkout)
    found = checkout.audit(*(arguments or ACCEPT), check=False)
    assert found.returncode == 2, found.stderr
    assert head(checkout) == before
    return found.stderr


def test_one_commit_holds_what_was_accepted_and_only_the_comparison_runs_after_it(fresh):
    revision = head(fresh)
    profile = json.loads((fresh.path / DRIFT).read_text())["profile"]
    (fresh.path / "notes.txt").write_text("mine")
    fresh.call("git", "add", "notes.txt")
    fresh.audit(*ACCEPT)
    changed = fresh.call("git", "show", "--name-only", "--format=%P %s", "HEAD").stdout.split("\n")
    assert changed[0] == f"{revision} Accept the profile of phantom_skin: first audit, report read"
    assert [line for line in changed[1:] if line] == [REFERENCE]
    assert fresh.call("git", "status", "--short").stdout == "A  notes.txt\n"
    assert json.loads((fresh.path / REFERENCE).read_text()) == {
        "status": "accepted",
        "revision": revision,
        "who": "R. Reader",
        "why": "first audit, report read",
        "profile": profile,
    }

    # Before and after the comparison, the same profile is accepted already.
    accepted = head(fresh)
    assert "accepted already" in fresh.audit(*ACCEPT).stderr
    assert fresh.repro() == {"check_drift@phantom_skin"}
    found = json.loads((fresh.path / DRIFT).read_text())
    assert (found["status"], found["reference"]["revision"]) == ("same", revision)
    assert found["profile"] == profile
    fresh.call("git", "commit", "-q", "-a", "-m", "compared")
    assert f"as of {revision} by R. Reader" in fresh.audit(*ACCEPT).stderr
    assert fresh.call("git", "rev-parse", "HEAD~1").stdout.strip() == accepted


def test_another_profile_takes_the_place_of_the_accepted(fresh):
    fresh.audit(*ACCEPT)
    described = fresh.path / "data" / "predict" / "phantom_skin-tiny"
    shutil.rmtree(described.parent)
    Project(
        fresh.path,
        name="phantom_skin",
        audits=("phantom_skin-tiny",),
        methods=("gradcam", "rise"),
        seed=1,
    ).build().summarise()
    assert "run `saliency-audit run`" in refused(fresh)
    fresh.repro()
    assert "not committed" in refused(fresh)
    fresh.call("git", "commit", "-q", "-a", "-m", "new images")
    revision = head(fresh)
    fresh.audit("accept", "phantom_skin", "--why", "new images")
    found = json.loads((fresh.path / REFERENCE).read_text())
    assert (found["revision"], found["why"]) == (revision, "new images")


def test_who_accepts_is_named(fresh):
    fresh.call("git", "config", "--unset", "user.name")
    fresh.call("git", "config", "--unset", "user.email")
    quiet = ("env", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "XDG_CONFIG_HOME=/nonexistent")
    command = (*quiet, "python", "-m", "flows", *ACCEPT)
    found = fresh.call(*command, check=False)
    assert found.returncode == 2
    assert "--who NAME" in found.stderr
    fresh.call(*command, "--who", "S. Surgeon")
    assert json.loads((fresh.path / REFERENCE).read_text())["who"] == "S. Surgeon"
    assert "Accept the profile" in fresh.call("git", "log", "-1", "--format=%s").stdout


def test_an_unknown_dataset_or_no_reason_is_refused(fresh):
    said = refused(fresh, "accept", "phantom_skim", "--why", "x")
    assert "did you mean phantom_skin?" in said
    assert "--why is empty" in refused(fresh, "accept", "phantom_skin", "--why", " ")


def test_results_that_are_not_of_this_checkout_are_refused(fresh):
    tree = fresh.params()
    fresh.write_params({**tree, "quality": {**tree["quality"], "drift": {"alpha": 0.02}}})
    fresh.call("git", "commit", "-q", "-a", "-m", "alpha")
    assert "quality.drift" in refused(fresh)
    fresh.write_params(tree)
    module = fresh.path / "saliency_audit" / "quality" / "drift.py"
    module.write_text(module.read_text() + "\nADDED = 1\n")
    fresh.call("git", "commit", "-q", "-a", "-m", "code")
    assert "saliency_audit.quality.drift" in refused(fresh)


def test_a_missing_or_changed_profile_is_refused(fresh):
    path = fresh.path / DRIFT
    text = path.read_text()
    path.unlink()
    assert DRIFT in refused(fresh)
    path.write_text(text.replace('"n": 60', '"n": 61', 1))
    fresh.call("git", "commit", "-q", "-a", "-m", "by hand")
    assert DRIFT in refused(fresh)


def test_results_that_are_not_committed_are_refused_by_name(fresh):
    fresh.call("git", "rm", "-q", "--cached", DRIFT)
    fresh.call("git", "commit", "-q", "-m", "forgotten")
    assert "reports/phantom_skin" in refused(fresh)
    fresh.call("git", "add", "-f", DRIFT)
    fresh.call("git", "commit", "-q", "-m", "remembered")
    (fresh.path / "classifiers" / "tiny" / "model.yaml").write_text("architecture: resnet18\n")
    assert "classifiers/tiny/model.yaml" in refused(fresh)


def test_a_run_in_progress_is_left_alone(fresh):
    lock = fresh.path / ".saliency" / "run.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert fresh.audit(*ACCEPT, check=False).returncode == 6
