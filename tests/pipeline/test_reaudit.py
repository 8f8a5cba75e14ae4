"""Audits of revisions in worktrees: what is new is audited once, and the clone stays as it is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from flows.ground.git import commit_of, show
from flows.history.imports import newest
from flows.history.past_audits import past_audits
from flows.history.reaudit import reaudit
from flows.history.releases import Release, permitted, sha256_of
from flows.history.subject import subject_of
from flows.serving.pending import announce, pending
from flows.serving.schedule import read_schedule
from saliency_audit.errors import AuditError, DataError, ModelError, ParameterError
from tests.pipeline.conftest import take_cache

pytestmark = pytest.mark.usefixtures("one_server")
AUDIT = "skin-given"


def commit(checkout, message="change"):
    checkout.call("git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    checkout.call("git", *identity, "commit", "-q", "-m", message)
    return checkout.call("git", "rev-parse", "HEAD").stdout.strip()


@pytest.fixture(scope="module")
def trained(warm_checkout):
    """A checkout that has trained its classifier."""
    checkout = warm_checkout()
    checkout.repro("train_classifier@phantom_skin-tiny", "train_segmenter@phantom_skin")
    return checkout


@pytest.fixture(scope="module")
def models(tmp_path_factory, trained):
    """A folder of weights that a training pipeline left: v0 as trained, v1 and v2 later."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("models")
    path = trained.path / "data" / "train_classifier" / "phantom_skin-tiny" / "weights.safetensors"
    shutil.copy(path, folder / "v0.safetensors")
    weights = load_file(path)
    first = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    for number in (1, 2):
        changed = {**weights, first: weights[first] * (1 + number / 10)}
        save_file(changed, folder / f"v{number}.safetensors")
    return folder


@pytest.fixture(scope="module")
def main(trained, models, root):
    """A clone whose classifier was adopted, and tracked by DVC; all is committed."""
    card = json.loads(
        (trained.path / "data/train_classifier/phantom_skin-tiny/model.json").read_text()
    )
    folder = trained.path / "classifiers" / "given"
    folder.mkdir()
    adopt = {"weights": "weights.safetensors", "labels": card["labels"]}
    (folder / "model.yaml").write_text(yaml.safe_dump({"architecture": "cnn", "adopt": adopt}))
    shutil.copy(models / "v0.safetensors", folder / "weights.safetensors")
    tree = trained.params()
    tree["audits"] = {AUDIT: {"dataset": "phantom_skin", "classifier": "given", "images": 8}}
    # What is adopted here has hardly learned; of its proof other tests tell.
    severity = {"adopted_accuracy": "warn"}
    models_gate = {**tree["quality"]["models"], "severity": severity}
    tree["quality"] = {**tree["quality"], "models": models_gate}
    trained.write_params(tree)
    trained.call("dvc", "add", "-q", "classifiers/given/weights.safetensors")
    (trained.path / "deploy").mkdir()
    (trained.path / "deploy" / "serve.yaml").write_text(
        yaml.safe_dump({"revision": "HEAD", "models": [str(models)], "cron": None})
    )
    trained.call("git", "branch", "-m", "main")
    commit(trained, "base")
    return trained


def release(models, name):
    path = models / f"{name}.safetensors"
    return Release("given", str(path), sha256_of(path))


@pytest.fixture(scope="module")
def first(main, models):
    """What the first audit found."""
    return reaudit(main.path, "HEAD", tell=lambda line: None)


@pytest.fixture(scope="module")
def second(main, models, first):
    """What the audit of newer weights found."""
    return reaudit(
        main.path, "HEAD", [release(models, "v1")], [str(models)], tell=lambda line: None
    )


def test_it_is_committed_on_a_branch_and_the_clone_stays_as_it_is(main, first):
    assert first.state == "changed"
    assert first.branch.startswith("audit/")
    assert main.call("git", "status", "--porcelain").stdout == ""
    assert main.call("git", "branch", "--show-current").stdout.strip() == "main"
    assert (
        not (main.path / "dvc.lock").exists() or AUDIT not in (main.path / "dvc.lock").read_text()
    )
    changed = main.call("git", "diff", "--name-only", "HEAD", first.branch).stdout.split()
    assert "dvc.lock" in changed
    assert "reports/phantom_skin/metrics.json" in changed
    assert not [path for path in changed if path.endswith((".parquet", ".safetensors", ".html"))]


def test_its_result_is_that_of_a_run_in_the_clone(main, first, reproduced, tmp_path):
    """What the classifier that was adopted has no part in is not computed a third time."""
    lock = yaml.safe_load(show(main.path, first.branch, "dvc.lock"))["stages"]
    clone = tmp_path / "clone"
    main.call("git", "clone", "-q", str(main.path), str(clone))
    alone = type(main)(clone)
    take_cache(reproduced, alone)
    shutil.copy(main.path / "classifiers/given/weights.safetensors", clone / "classifiers/given/")
    alone.repro()
    assert {name: entry for name, entry in lock.items() if name in alone.lock()} == alone.lock()


def test_its_commit_says_of_what_it_is(main, first, second):
    newest_audit, former = past_audits(main.path)
    assert (former.branch, former.subject) == (first.branch, first.subject)
    assert newest_audit.result == second.state
    assert newest_audit.classifiers["given"].startswith("sha256:")


def test_the_same_subject_is_audited_once(main, first, models, second):
    again = reaudit(main.path, "HEAD", tell=lambda line: None)
    assert (again.state, again.branch) == ("unchanged", first.branch)
    repeated = reaudit(
        main.path, "HEAD", [release(models, "v1")], [str(models)], tell=lambda line: None
    )
    assert (repeated.state, repeated.branch) == ("unchanged", second.branch)
    assert len(past_audits(main.path)) == 2


def test_an_audit_in_progress_is_not_started_again(main, first, models):
    subject = subject_of(
        main.path, commit_of(main.path, "HEAD"), {"given": release(models, "v2").digest}, {}
    )
    folder = main.path / ".saliency" / "audits"
    with (folder / f"{subject.digest}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = reaudit(
            main.path, "HEAD", [release(models, "v2")], [str(models)], tell=lambda line: None
        )
    assert found.state == "busy"


def test_newer_weights_are_audited_and_their_branch_has_them(main, second):
    assert second.state == "changed"
    assert second.changes
    tracked = "classifiers/given/weights.safetensors.dvc"
    assert show(main.path, "HEAD", tracked) != show(main.path, second.branch, tracked)


def test_weights_that_are_others_than_announced_are_not_audited(main, models, first):
    wrong = Release("given", str(models / "v2.safetensors"), f"sha256:{'0' * 64}")
    with pytest.raises(DataError, match="the message says sha256:000"):
        reaudit(main.path, "HEAD", [wrong], [str(models)], tell=lambda line: None)
    assert len(past_audits(main.path)) <= 2


def test_a_failed_audit_leaves_no_branch_and_says_why(main, first):
    path = main.path / "classifiers" / "given" / "model.yaml"
    text = path.read_text()
    path.write_text(text.replace("architecture: cnn", "architecture: resnet18"))
    broken = commit(main, "another architecture than the weights'")
    path.write_text(text)
    commit(main, "back")
    before = past_audits(main.path)
    found = reaudit(main.path, broken, tell=lambda line: None)
    assert found.state == "failed"
    assert "weights" in found.error
    assert past_audits(main.path) == before


def test_an_unknown_revision_is_named(main):
    with pytest.raises(ParameterError, match="no-such-thing: no such revision"):
        reaudit(main.path, "no-such-thing", tell=lambda line: None)
    with pytest.raises(ParameterError, match="no such revision"):
        reaudit(main.path, "--upload-pack=evil", tell=lambda line: None)


def test_raw_data_outside_the_clone_is_part_of_the_subject(main, tmp_path_factory):
    raw = main.path.parent / "raw"
    raw.mkdir()
    (raw / "images.csv").write_text("image,labels\n")
    tree = main.params()
    former = main.params()
    tree["datasets"]["own"] = {"kind": "folder", "source": "../raw"}
    main.write_params(tree)
    changed = commit(main, "own data")
    main.write_params(former)
    commit(main, "back")
    before = subject_of(main.path, changed, {}, {})
    assert subject_of(main.path, changed, {}, {}).digest == before.digest
    (raw / "images.csv").write_text("image,labels\na.png,x\n")
    after = subject_of(main.path, changed, {}, {})
    assert after.digest != before.digest
    assert after.data["phantom_skin"] == before.data["phantom_skin"]


def test_an_import_whose_source_changed_is_part_of_the_subject(main, models, tmp_path):
    source = tmp_path / "latest.bin"
    source.write_bytes(b"one")
    main.call("git", "checkout", "-q", "-b", "imports")
    (main.path / "raw.dvc").unlink(missing_ok=True)
    main.call("dvc", "import-url", "-q", str(source), "raw.bin")
    there = commit(main, "an import")
    main.call("git", "checkout", "-q", "main")
    (main.path / "raw.bin").unlink()
    before = newest(main.path, there)
    assert list(before) == ["raw.bin.dvc"]
    assert newest(main.path, there) == before
    source.write_bytes(b"two")
    assert newest(main.path, there) != before
    assert main.call("git", "status", "--porcelain").stdout == ""


class TestReferences:
    """A model reference cannot leave the sources that a person configured."""

    def test_a_file_in_a_source_is_permitted(self, tmp_path):
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "a.pt").touch()
        assert permitted(tmp_path, "models/a.pt", ["models"]).endswith("models/a.pt")

    @pytest.mark.parametrize(
        "reference",
        [
            "/etc/passwd",
            "models/../secret.pt",
            "models/link.pt",
            "modelsx/a.pt",
            "https://evil.example/models/a.pt",
            "https://store.example/other/a.pt",
            "https://store.example/models/../other/a.pt",
            "https://store.example/models/%2e%2e/other/a.pt",
            "http://store.example/models/a.pt",
            "https://store.example.evil.example/models/a.pt",
            "https://user:secret@store.example/models/a.pt",
            "https://store.example/models/a.pt?token=secret",
        ],
    )
    def test_any_other_is_refused(self, tmp_path, reference):
        (tmp_path / "models").mkdir()
        (tmp_path / "modelsx").mkdir()
        (tmp_path / "secret.pt").touch()
        (tmp_path / "models" / "link.pt").symlink_to(tmp_path / "secret.pt")
        with pytest.raises(ParameterError) as refused:
            permitted(tmp_path, reference, ["models", "https://store.example/models"])
        assert "secret@" not in str(refused.value)
        assert "token" not in str(refused.value)

    def test_an_address_in_a_source_is_permitted(self, tmp_path):
        address = "s3://bucket/models/a.pt"
        assert permitted(tmp_path, address, ["s3://bucket/models"]) == address

    @pytest.mark.parametrize("name", ["../x", "a/b", "", "-x", "a b", "$(x)"])
    def test_a_classifier_is_a_plain_name(self, name):
        with pytest.raises(ParameterError, match="classifier"):
            Release(name, "x", f"sha256:{'0' * 64}")

    @pytest.mark.parametrize("digest", ["", "0" * 64, "sha256:xyz", "md5:" + "0" * 32])
    def test_a_digest_has_its_form(self, digest):
        with pytest.raises(ParameterError, match="digest"):
            Release("a", "x", digest)


class TestPending:
    """Releases that were announced and are not in the revision."""

    @pytest.fixture
    def clone(self, tmp_path):
        for name in ("a", "b"):
            folder = tmp_path / "classifiers" / name
            folder.mkdir(parents=True)
            (folder / "model.yaml").write_text("architecture: cnn\n")
        (tmp_path / ".gitignore").write_text("/.saliency/\n")
        self.commit(tmp_path, "init")
        return tmp_path

    def commit(self, path, first=None):
        options = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        for command in (
            *([["git", "init", "-q"]] if first else []),
            ["git", "add", "-A"],
            ["git", *options, "commit", "-q", "-m", "x"],
        ):
            subprocess.run(command, cwd=path, check=True)

    def release(self, name, digit):
        return Release(name, f"models/{digit}", f"sha256:{digit * 64}")

    NOW = datetime(2026, 1, 1, tzinfo=UTC)

    def test_one_classifiers_release_does_not_lose_anothers(self, clone):
        for name in ("a", "b"):
            announce(clone, "HEAD", self.release(name, "1"), self.NOW)
        assert {found.classifier for found in pending(clone, "HEAD")} == {"a", "b"}

    def test_a_message_that_comes_late_takes_no_newer_ones_place(self, clone):
        announce(clone, "HEAD", self.release("a", "2"), self.NOW)
        announce(clone, "HEAD", self.release("a", "1"), self.NOW - timedelta(seconds=1))
        assert [found.digest[-1] for found in pending(clone, "HEAD")] == ["2"]

    def test_it_is_over_when_the_revision_has_moved_on(self, clone):
        announce(clone, "HEAD", self.release("a", "1"), self.NOW)
        announce(clone, "HEAD", self.release("b", "1"), self.NOW)
        (clone / "classifiers" / "a" / "weights.dvc").write_text("new\n")
        self.commit(clone)
        assert [found.classifier for found in pending(clone, "HEAD")] == ["b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("revison: main", "unknown key revison: did you mean revision"),
        ("watch_minutes: 0", "watch_minutes"),
        ("watch: {../x: a}", "watch"),
        ("models: 3", "models"),
        ("- 1", "holds no keys"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_in_the_schedule_is_named(tmp_path, text, said):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "serve.yaml").write_text(text)
    with pytest.raises(ParameterError) as error:
        read_schedule(tmp_path)
    assert said in str(error.value)


def test_the_schedule_of_the_project_is_in_order(root):
    schedule = read_schedule(root)
    assert schedule.models == ()
    assert schedule.push is None


def test_serving_a_dirty_clone_is_refused_with_the_list(main):
    (main.path / "new.txt").write_text("x")
    found = main.audit("serve", check=False)
    other = main.audit("backfill", check=False)
    (main.path / "new.txt").unlink()
    for said in (found, other):
        assert said.returncode == 3
        assert "?? new.txt" in said.stderr


class TestRetrained:
    """What a training pipeline calls."""

    def test_it_puts_the_weights_into_the_registry(self, main, models):
        path = str(models / "v2.safetensors")
        main.audit("retrained", "given", path, "--no-event")
        found = main.path / "classifiers" / "given" / "weights.safetensors"
        assert sha256_of(found) == sha256_of(models / "v2.safetensors")
        changed = main.call("git", "status", "--porcelain").stdout.split()
        assert changed == ["M", "classifiers/given/weights.safetensors.dvc"]
        main.call("git", "checkout", "-q", "classifiers")
        main.call("dvc", "checkout", "-q", "classifiers/given/weights.safetensors.dvc")

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["gven", "v1.safetensors"], 2, "did you mean given"),
            (["given", "none.safetensors"], 2, "is no file here"),
            (["given", "/etc/hostname"], 2, "none of the sources"),
            (["tiny", "v1.safetensors"], 3, "says train:"),
            (["given", "v1.safetensors", "--digest", f"sha256:{'1' * 64}"], 3, "have the digest"),
            (["given", "v1.safetensors", "--digest", "1234"], 2, "digest is '1234'"),
            (["given", "v1.safetensors", "--no-update"], 3, "was not sent"),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_changes(self, main, models, arguments, code, said):
        name, file, *options = arguments
        reference = file if file.startswith("/") else str(models / file)
        environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api", "CI": "1"}
        found = subprocess.run(
            [sys.executable, "-m", "flows", "retrained", name, reference, *options],
            cwd=main.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == code, found.stderr
        assert said in found.stderr
        assert "Traceback" not in found.stderr
        assert main.call("git", "status", "--porcelain").stdout == ""


def test_models_and_data_of_the_past_are_compared_in_one_table(main, first, second):
    found = main.audit("backfill", "--models", "HEAD", "--models", second.branch, "--json")
    assert "Error logging" not in found.stderr
    told = json.loads(found.stdout)
    one, other = told["pairs"]
    for pair, column in ((one, 0), (other, 1)):
        path = "reports/phantom_skin/metrics.json"
        metrics = json.loads(show(main.path, pair["branch"], path))
        value = metrics[AUDIT]["localisation"]["gradcam"]["iou_original"]
        key = f"{path}:{AUDIT}.localisation.gradcam.iou_original"
        assert told["metrics"][key][column] == value
    assert main.call("git", "status", "--porcelain").stdout == ""
    again = json.loads(
        main.audit("backfill", "--models", "HEAD", "--models", second.branch, "--json").stdout
    )
    assert {pair["state"] for pair in again["pairs"]} == {"unchanged"}
    assert again["metrics"] == told["metrics"]


def test_a_digest_stands_for_the_revision_that_brought_it(main, models, second):
    from flows.cli.backfill import resolve

    tracked = yaml.safe_load(show(main.path, "HEAD", "classifiers/given/weights.safetensors.dvc"))
    md5 = tracked["outs"][0]["md5"]
    brought = main.call("git", "log", "--reverse", "--format=%H", "-S", md5).stdout.split()[0]
    assert resolve(main.path, f"md5:{md5}") == brought
    named = resolve(main.path, release(models, "v1").digest)
    assert named == commit_of(main.path, second.branch)
    with pytest.raises(AuditError, match=r"no such revision|no commit"):
        resolve(main.path, "sha256:" + "9" * 64)


def test_the_status_names_the_last_audit_of_each_classifier(main, first, second):
    told = json.loads(main.audit("status", "--json").stdout)
    last = told["last_audits"]["given"]
    assert last["branch"] == past_audits(main.path)[0].branch
    assert told["stale"]
    assert told["disk"]["worktrees of audits"] > 0
    assert "given" in main.audit("status").stdout


def test_clean_says_first_and_then_keeps_what_is_asked_for(main, first, second):
    before = [audit.branch for audit in past_audits(main.path)]
    said = main.audit("clean", "--keep", "1").stderr
    assert f"would remove branch {before[-1]}" in said
    assert [audit.branch for audit in past_audits(main.path)] == before
    main.audit("clean", "--keep", "1", "--yes")
    assert [audit.branch for audit in past_audits(main.path)] == before[:1]
    folders = [path.name for path in (main.path / ".saliency" / "worktrees").iterdir()]
    assert folders == [before[0].split("/", 1)[1]]
    # What the newest audit refers to is still in the cache: nothing of it is computed again.
    main.call("git", "checkout", "-q", "--detach", before[0])
    main.call("dvc", "checkout", "-q")
    assert main.call("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    main.call("git", "checkout", "-q", "main")


def test_a_classifier_that_the_audit_trains_cannot_be_released(main, models):
    wrong = Release("tiny", str(models / "v1.safetensors"), sha256_of(models / "v1.safetensors"))
    with pytest.raises(ModelError, match="says train:"):
        reaudit(main.path, "HEAD", [wrong], [str(models)], tell=lambda line: None)
