"""A revision reproduced: the same, or different, and where first.

A project of five small stages takes all turns; the miniature audit shows that real stages give
their bytes again, and what a run keeps a record of.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from flows.execution.run_record import (
    MachineRecord,
    former_runs,
    machine_here,
    machine_of,
    recorded_machine,
)
from flows.ground.git import commit_of
from tests.pipeline.conftest import SAID

pytestmark = pytest.mark.cold
AUDIT = "phantom_skin-tiny"

TOY = """
import json, sys, time
from pathlib import Path
import yaml
from tasks.artifacts import write_table
from tasks.tables.history import HISTORY

stage = sys.argv[1]
params = yaml.safe_load(Path("params.yaml").read_text())
data = Path("data")
if stage == "ingest":
    numbers = [float(n) for n in Path("../raw/numbers.csv").read_text().split()]
    (data / "ingest.json").write_text(json.dumps(numbers))
elif stage in ("left", "right"):
    time.sleep(params["measures"]["wait"])
    numbers = json.loads((data / "ingest.json").read_text())
    with write_table(HISTORY, data / f"{stage}.parquet") as table:
        for n, number in enumerate(numbers, start=1):
            loss = number + params["measures"][stage] * (n == 2)
            row = {"epoch": n, "train_loss": loss, "tune_loss": number, "best": n == 1}
            table.write(row)
else:
    import pyarrow.parquet as pq
    tables = {s: pq.read_table(data / f"{s}.parquet")["train_loss"] for s in ("left", "right")}
    sums = {s: round(sum(t.to_pylist()), 6) for s, t in tables.items()}
    Path("reports/toy").mkdir(parents=True, exist_ok=True)
    Path("reports/toy/metrics.json").write_text(json.dumps({"sum": sums}))
"""


def stage(name, deps, out, *measures, **how):
    """A stage of the toy, as dvc.yaml has it."""
    params = [f"measures.{measure}" for measure in measures]
    entry = {"cmd": f"python toy.py {name}", "deps": deps, "outs": [{out: how} if how else out]}
    return {**entry, "params": params} if params else entry


STAGES = {
    "ingest": stage("ingest", ["../raw/numbers.csv"], "data/ingest.json"),
    "left": stage("left", ["data/ingest.json"], "data/left.parquet", "left", "wait"),
    "right": stage("right", ["data/ingest.json"], "data/right.parquet", "right", "wait"),
    "report": stage(
        "report",
        ["data/left.parquet", "data/right.parquet"],
        "reports/toy/metrics.json",
        cache=False,
    ),
}
PARAMS = {
    "datasets": {"toy": {"source": "../raw/numbers.csv"}},
    "measures": {"left": 0, "right": 0, "wait": 0},
}


def commit(project, message="change"):
    """Commit all; gives the revision."""
    project.call("git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    project.call("git", *identity, "commit", "-q", "--allow-empty", "-m", message)
    return project.call("git", "rev-parse", "HEAD").stdout.strip()


def plant(project, run, *stages, **measures):
    """Record what other `measures` give as if the revision's own had given it."""
    before = project.params()
    project.write_params({**before, "measures": {**before["measures"], **measures}})
    run(*stages)
    project.write_params(before)
    path = project.path / "dvc.lock"
    tree = yaml.safe_load(path.read_text())
    for entry in tree["stages"].values():
        for key in entry.get("params", {}).get("params.yaml", {}):
            value = before
            for part in key.split("."):
                value = value[part]
            entry["params"]["params.yaml"][key] = value
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def reproduced(project, *arguments):
    """Reproduce there; gives the exit code, what `--json` says, and what a person is told."""
    found = project.audit("reproduce", "--json", *arguments, check=False)
    return found.returncode, json.loads(found.stdout) if found.stdout else None, found.stderr


def states(told, which):
    return {name: rerun["state"] for name, rerun in told[which].items()}


def base_of(project, revision):
    return project.path / ".saliency" / "reproductions" / revision[:12]


@pytest.fixture(scope="module")
def toy(tmp_path_factory, root, new_checkout):
    """A project of small stages whose raw data lie beside it; its results are committed."""
    folder = tmp_path_factory.mktemp("toy")
    checkout = new_checkout()
    project = type(checkout)(folder / "project")
    (folder / "raw").mkdir()
    (folder / "raw" / "numbers.csv").write_text("1.5\n2.5\n3.5\n")
    for name in ("flows", "tasks", "saliency_audit"):
        shutil.copytree(checkout.path / name, project.path / name)
    (project.path / "data").mkdir()
    (project.path / "data" / "README.md").touch()
    shutil.copy(root / ".gitignore", project.path)
    (project.path / "toy.py").write_text(TOY)
    (project.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    # All else of params.yaml has to be there, and no stage of the toy reads it.
    project.write_params({**checkout.params(), **PARAMS})
    project.call("git", "init", "-q")
    project.call("dvc", "init", "-q")
    project.repro()
    commit(project, "recorded")
    return project


@pytest.fixture(scope="module")
def recorded(toy):
    """The revision that was recorded as it should be."""
    return toy.call("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()


@pytest.fixture(scope="module")
def planted(toy, recorded):
    """A branch of an audit whose two tables were recorded with other numbers; the report fits."""
    toy.call("git", "switch", "-q", "-c", "audit/20260101-0123456789ab")
    plant(toy, toy.repro, left=1, right=2)
    commit(toy, "planted")
    toy.call("git", "switch", "-q", "-")
    toy.call("dvc", "checkout", "-q")
    return "audit/20260101-0123456789ab"


def test_the_same_bytes(toy, recorded):
    (toy.path / "notes.txt").write_text("not committed")
    code, told, said = reproduced(toy)
    (toy.path / "notes.txt").unlink()
    assert code == 0
    assert told["commit"] == recorded
    assert told["verdict"] == "identical"
    assert states(told, "from_the_start") == dict.fromkeys(STAGES, "identical")
    assert told["on_recorded_inputs"] == {}
    assert "1 files here are not committed" in said
    assert not base_of(toy, recorded).exists()
    assert toy.call("git", "status", "--porcelain").stdout == ""


def test_two_differences_are_both_found_and_hide_nothing(toy, planted):
    code, told, said = reproduced(toy, planted)
    assert code == 5
    assert states(told, "from_the_start") == {
        "ingest": "identical",
        "left": "different",
        "right": "different",
        "report": "different",
    }
    assert states(told, "on_recorded_inputs") == {"report": "identical"}
    assert told["causes"] == ["left", "right"]
    assert told["first"] == {"stage": "left", "artifact": "data/left.parquet"}
    left = told["from_the_start"]["left"]["artifacts"]["data/left.parquet"]["first"]
    assert left["place"] == "row epoch=2, column train_loss"
    assert (left["recorded"], left["rerun"]) == ("3.5", "2.5")
    metrics = {m["place"]: (m["recorded"], m["rerun"]) for m in told["metrics"]}
    assert metrics == {"sum.left": ("8.5", "7.5"), "sum.right": ("9.5", "7.5")}
    assert "not reproduced: first at left" in said
    assert base_of(toy, commit_of(toy.path, planted)).exists()


def test_a_tiny_difference_is_within_the_tolerance(toy, recorded):
    toy.call("git", "switch", "-q", "-c", "tiny", recorded)
    plant(toy, toy.repro, "left", left=1e-7)
    commit(toy, "tiny")
    toy.call("git", "switch", "-q", "-")
    code, told, _ = reproduced(toy, "tiny", "--only", "left")
    assert (code, told["verdict"]) == (0, "within")
    code, told, _ = reproduced(toy, "tiny", "--only", "left", "--tolerance", "1e-12")
    # Numbers near 0 have an absolute tolerance, which stays.
    assert (code, told["verdict"]) == (0, "within")
    toy.call("dvc", "checkout", "-q")


def test_what_nobody_has_any_more_is_told_apart(toy, planted, tmp_path):
    """Then a DVC remote brings it back."""
    cache = toy.path / ".dvc" / "cache"
    cache.rename(tmp_path / "cache")
    try:
        code, told, _ = reproduced(toy, planted, "--only", "left", "--only", "report")
        # Nobody has the planted tables; `left` itself reads what it makes no difference to.
        assert states(told, "on_recorded_inputs") == {"left": "not judged", "report": "not judged"}
        assert code == 3
        toy.call("dvc", "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "cache"))
        code, told, _ = reproduced(toy, planted, "--only", "left", "--only", "report")
        assert states(told, "on_recorded_inputs") == {"left": "different", "report": "identical"}
        assert code == 5
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        (tmp_path / "cache").rename(cache)
        toy.call("dvc", "remote", "remove", "-q", "--local", "store")


def test_a_raw_source_that_changed_is_named_and_nothing_runs(toy, recorded, tmp_path):
    source = toy.path.parent / "raw" / "numbers.csv"
    text = source.read_text()
    source.write_text(text.replace("2.5", "2.6"))
    code, told, said = reproduced(toy, recorded, "--into", str(tmp_path / "there"))
    source.write_text(text)
    assert (code, told) == (3, None)
    assert "../raw/numbers.csv (read by ingest)" in said
    assert "nothing was run" in said
    assert not list((tmp_path / "there").rglob("*.log"))


def test_what_cannot_be_meant_is_refused(toy, tmp_path):
    assert reproduced(toy, "no-such-revision")[0] == 2
    code, _, said = reproduced(toy, "--only", "lefd")
    assert code == 2
    assert "did you mean left?" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert reproduced(toy, "--into", str(tmp_path / "full"))[0] == 2
    assert (tmp_path / "full" / "file").exists()


def test_a_revision_without_records_is_refused(toy, recorded):
    toy.call("git", "switch", "-q", "-c", "bare", recorded)
    toy.call("git", "rm", "-q", "dvc.lock")
    commit(toy, "bare")
    toy.call("git", "switch", "-q", "-")
    code, _, said = reproduced(toy, "bare")
    assert code == 3
    assert "no dvc.lock" in said


def within(folder):
    """Processes whose working folder lies in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(folder):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_an_interrupt_leaves_no_process_and_two_do_not_share_a_folder(toy, recorded):
    toy.call("git", "switch", "-q", "-c", "slow", recorded)
    tree = toy.params()
    toy.write_params({**tree, "measures": {**tree["measures"], "wait": 600}})
    revision = commit(toy, "slow")
    toy.call("git", "switch", "-q", "-")
    base = base_of(toy, revision)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "reproduce", "slow"],
        cwd=toy.path,
        env={**os.environ, "CI": "1"},
        stderr=subprocess.DEVNULL,
    )
    log = base / "logs" / "left.log"
    while not log.exists() or "toy.py left" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.1)
    assert within(base)
    code, _, said = reproduced(toy, "slow")
    assert code == 6
    assert str(base) in said
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130
    assert within(base) == []


# The miniature audit


@pytest.fixture(scope="module")
def audited(flown, copied):
    """The miniature audit, committed."""
    project = copied(flown)
    commit(project, "audited")
    return project


def test_real_stages_give_their_bytes_again(audited):
    code, told, _ = reproduced(audited, "--only", "explain", "--only", f"apply_segx@{AUDIT}")
    assert (code, told["verdict"]) == (0, "identical")
    assert sorted(told["on_recorded_inputs"]) == [
        f"apply_segx@{AUDIT}",
        f"explain@{AUDIT}-gradcam",
        f"explain@{AUDIT}-rise",
    ]
    assert told["recorded_on"] == told["here"]


def test_another_seed_is_found_where_it_enters(audited):
    """The control's seed enters two stages side by side, and what follows fits what they gave."""
    path = f"data/apply_segx/{AUDIT}.parquet"
    was = pq.read_table(audited.path / path).to_pylist()
    plant(audited, audited.repro, control_seed=1)
    planted = pq.read_table(audited.path / path).to_pylist()
    revision = commit(audited, "planted")
    names = [f"{kind}@{AUDIT}" for kind in ("apply_segx", "score_segu", "summarise")]
    code, told, _ = reproduced(audited, *(word for name in names for word in ("--only", name)))
    assert code == 5
    assert told["commit"] == revision
    found = states(told, "on_recorded_inputs")
    assert found == dict(zip(names, ("different", "different", "identical"), strict=True))
    place = told["on_recorded_inputs"][names[0]]["artifacts"][path]["first"]["place"]
    key = next(a for a, b in zip(planted, was, strict=True) if a != b)
    assert place.startswith(f"row image_id={key['image_id']}, label={key['label']}")
    assert key["saliency"] == "shuffled"
    assert "saliency=shuffled" in place


def test_a_run_keeps_a_record_of_what_it_ran_on(audited):
    record = list(former_runs(audited.path))[-1]
    assert record["end"] >= record["start"]
    assert record["commit"] is None
    assert {stage["state"] for stage in record["stages"].values()} == {"ran"}
    assert all(stage["seconds"] > 0 for stage in record["stages"].values())
    assert record["machine"]["versions"]["torch"] == version("torch")
    assert record["machine"]["python"] == platform.python_version()
    assert record["machine"]["threads"] == audited.params()["compute"]["threads"]
    text = json.dumps(record)
    assert platform.node() not in text
    assert str(Path.home()) not in text
    first = audited.call("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    lock = yaml.safe_load(audited.call("git", "show", f"{first}:dvc.lock").stdout)["stages"]
    assert recorded_machine(audited.path, first, lock) == record["line"]


def test_a_run_says_what_it_knows_of_its_time(flown, audited):
    """Nothing is known before the first run; each stage's own time is, after it."""
    said = (flown.path.parent / SAID).read_text()
    assert "time, if all of them run: not known yet" in said
    (audited.path / "data" / "cohort" / f"{AUDIT}.parquet").unlink()
    said = audited.audit("run", "--dry-run").stderr
    assert "time, if all of them run: about " in said


def test_another_number_of_threads_is_another_machine():
    one, two = machine_here(1), machine_here(2)
    assert one.line != two.line
    assert isinstance(one, MachineRecord)


def test_a_machine_is_described_for_the_parameters(audited):
    assert machine_of(audited.path).line == machine_here(1).line
