"""What DVC does under load, kills and other DVCs: the flow makes that nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
import yaml

from flows.execution.recovery import COPY, mend, remember
from flows.execution.stage import Runner, Running
from flows.ground.hold import hold

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


class Small:
    """A checkout of a few trivial stages: a real git, a real DVC."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stages: dict[str, object] = {}
        for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
            self.call(*command)

    def call(self, *command: str) -> str:
        environment = {**os.environ, "PATH": PATH}
        found = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def stage(self, name: str, program: str, deps: list[str] | None = None) -> None:
        """Add a stage that runs a program and says at its end that its work is done."""
        head = """
            import json, os, subprocess, sys, time
            from pathlib import Path
            with open("ran.txt", "a") as file: file.write(NAME + "\\n")
        """
        end = """
            with open(os.environ.get("SALIENCY_PROGRESS", os.devnull), "a") as file:
                file.write(json.dumps({"finished": True}) + "\\n")
        """
        text = "".join(textwrap.dedent(part) for part in (head, program, end))
        (self.path / f"{name}.py").write_text(f"NAME = {name!r}\n{text}")
        self.stages[name] = {
            "cmd": f"{sys.executable} {name}.py",
            "outs": [f"{name}.out"],
            "deps": [f"{name}.py", *(deps or [])],
        }
        (self.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": self.stages}))

    def run(self, name: str, minutes: float | None = None):
        """Run a stage as the flow does."""
        with hold(self.path / ".saliency" / "alive.lock") as held:
            runner = Runner(self.path, self.path / ".saliency" / "logs", Running(), held)
            return runner.run(name, {"PATH": PATH}, minutes)

    def ran(self) -> list[str]:
        return (self.path / "ran.txt").read_text().split()

    def lock(self) -> dict[str, object]:
        return yaml.safe_load((self.path / "dvc.lock").read_text())["stages"]


pytestmark = [pytest.mark.audit, pytest.mark.cold]


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


WRITE = 'Path(NAME + ".out").write_text(NAME)\n'


def test_finished_work_is_recorded_where_dvc_could_not_take_its_lock_again(small):
    """As its stage ends, something holds a lock of DVC's for longer than DVC waits."""
    holder = """
    hold = '''
    import sys, time, zc.lockfile
    lock = zc.lockfile.LockFile(".dvc/tmp/rwlock.lock")
    print("held", flush=True)
    time.sleep(6)
    '''
    import textwrap
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(hold)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    process.stdout.readline()
    """
    small.stage("work", WRITE + textwrap.dedent(holder))
    outcome = small.run("work")
    assert "Unable to acquire lock" in outcome.log.read_text()
    assert (outcome.state, outcome.error) == ("ran", "")
    assert small.ran() == ["work"], "the work was done again"
    assert "work" in small.lock()
    assert small.run("work").state == "unchanged"


def test_a_stage_waits_for_a_dvc_by_hand_that_writes_what_it_reads(small):
    small.stage("slow", "time.sleep(6)\n" + WRITE)
    small.stage("next", WRITE, ["slow.out"])
    environment = {**os.environ, "PATH": PATH}
    with subprocess.Popen(["dvc", "repro", "slow"], cwd=small.path, env=environment) as by_hand:
        while not (small.path / "ran.txt").exists():
            time.sleep(0.05)
        # Not there yet, and being written.
        first, second = small.run("slow"), small.run("next")
    assert by_hand.returncode == 0
    assert first.state == "unchanged"
    assert "is busy" in first.log.read_text()
    assert second.state == "ran"
    assert small.ran() == ["slow", "next"]


def test_a_stage_that_failed_is_not_tried_again(small):
    small.stage("bad", "raise SystemExit('error: no such thing')\n")
    outcome = small.run("bad")
    assert (outcome.state, outcome.error) == ("failed", "no such thing")
    assert small.ran() == ["bad"]


def test_a_stage_that_hangs_is_ended_with_all_that_it_started(small):
    small.stage(
        "hang", "subprocess.run([sys.executable, '-c', 'import time; time.sleep(1234)'])\n" + WRITE
    )
    outcome = small.run("hang", minutes=0.05)
    assert "still not done after 0.05 minutes" in outcome.error
    assert not _alive("import time; time.sleep(1234)")


def test_each_stage_is_a_process_of_its_own(small):
    """DVC's list of readers and writers knows processes: threads of one process pass it by."""
    seen = []
    for name in ("one", "two"):
        small.stage(name, 'Path(NAME + ".out").write_text(str(os.getppid()))\n')
        assert small.run(name).state == "ran"
        seen.append((small.path / f"{name}.out").read_text())
    assert len({*seen, str(os.getpid())}) == 3


FOLLOWER = """
    sys.path.insert(0, {root!r})
    import signal
    from tasks.supervision import alone, follow_run
    follow_run()
    with alone(NAME):
        Path("pid").write_text(str(os.getpid()))
        time.sleep(1000)
"""


@pytest.fixture
def flow_over_one_stage(small, root):
    """A run in a process of its own, over a stage that would take a quarter of an hour."""
    small.stage("long", textwrap.dedent(FOLLOWER.format(root=str(root))) + WRITE)
    program = f"""
    import os, sys
    sys.path.insert(0, {str(root)!r})
    from pathlib import Path
    from flows.execution.stage import Runner, Running
    from flows.ground.hold import hold
    root = Path.cwd()
    with hold(root / ".saliency" / "alive.lock") as held:
        Runner(root, root / ".saliency" / "logs", Running(), held).run("long", {{"PATH": {PATH!r}}})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=small.path)
    while not (small.path / "pid").exists():
        time.sleep(0.05)
    yield process
    process.kill()


def test_a_stage_whose_run_was_killed_ends(small, flow_over_one_stage):
    stage = psutil.Process(int((small.path / "pid").read_text()))
    family = [stage, *stage.parents()[:2]]
    assert any("dvc" in " ".join(process.cmdline()) for process in family)
    flow_over_one_stage.send_signal(signal.SIGKILL)
    flow_over_one_stage.wait()
    _, left = psutil.wait_procs(family, timeout=20)
    assert not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


def test_a_stage_waits_for_one_that_was_left_behind(tmp_path, root):
    """The second takes the place when the first ends, not before."""
    program = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(root)!r})
        from tasks.supervision import alone
        with alone("stage@x"):
            print("has it", flush=True)
            time.sleep(1000)
        """
    )
    first, second = (
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    # Either may be first.
    holder, waiter = (first, second) if _says(first, second) else (second, first)
    assert f"process {holder.pid} still works on stage@x" in waiter.stderr.readline()
    holder.kill()
    assert waiter.stdout.readline() == "has it\n"
    waiter.kill()
    for process in (first, second):
        process.communicate()


def _says(first, second):
    """Whether the first of two processes says something before the second does."""
    import select

    ready, _, _ = select.select([first.stdout, second.stdout], [], [], 60)
    assert ready, "neither took the place"
    return first.stdout in ready


def test_a_torn_lock_file_costs_no_finished_work(small):
    for name in ("one", "two", "three"):
        small.stage(name, WRITE)
        assert small.run(name).state == "ran"
    path, whole = small.path / "dvc.lock", small.lock()
    remember(small.path)
    text = path.read_text()
    for cut in range(1, len(text), len(text) // 7):
        path.write_text(text[:cut])
        mend(small.path)
        # Cut between two entries it is a valid file with fewer: the run-cache has what it lost.
        outcomes = [small.run(name) for name in whole]
        assert {o.state for o in outcomes} <= {"unchanged", "cached"}
    assert small.ran() == ["one", "two", "three"]


def test_a_merge_conflict_keeps_what_both_sides_recorded(small):
    for name in ("one", "two"):
        small.stage(name, WRITE)
    small.call("git", "add", "-A")
    small.call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "base")
    base = small.call("git", "rev-parse", "HEAD").strip()
    for name in ("one", "two"):
        small.call("git", "checkout", "-q", "-b", name, base)
        (small.path / "dvc.lock").unlink(missing_ok=True)
        small.run(name)
        small.call("git", "add", "dvc.lock")
        small.call("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", name)
    merged = subprocess.run(
        ["git", "merge", "one"], cwd=small.path, capture_output=True, check=False
    )
    assert merged.returncode != 0
    assert "<<<<<<<" in (small.path / "dvc.lock").read_text()
    [said] = mend(small.path)
    assert "merge conflict" in said
    assert set(small.lock()) == {"one", "two"}
    assert {small.run(name).state for name in ("one", "two")} <= {"unchanged", "cached"}


@pytest.mark.parametrize(
    "attributes", [False, True], ids=["as git merges", "as .gitattributes says"]
)
def test_a_merge_takes_no_half_of_one_side_and_half_of_the_other_for_a_result(
    small, root, attributes
):
    """Each side changed another input. Git merges those lines, and only the output conflicts."""
    if attributes:
        (small.path / ".gitattributes").write_text((root / ".gitattributes").read_text())
    inputs = [f"in{n}" for n in range(6)]
    for name in inputs:
        (small.path / name).write_text("old")
    small.stage(
        "sum",
        "Path('sum.out').write_text(Path('in0').read_text() + Path('in5').read_text())\n",
        inputs,
    )
    (small.path / ".gitignore").write_text("ran.txt\n.saliency/\n*.out\n__pycache__/\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for branch, changed in (("base", None), ("theirs", "in0"), ("ours", "in5")):
        if changed:
            small.call("git", "checkout", "-q", "-b", branch, "base")
            (small.path / changed).write_text(branch)
        else:
            small.call("git", "checkout", "-q", "-b", branch)
        assert small.run("sum").state == "ran"
        small.call("git", "add", "-A")
        small.call("git", *identity, "commit", "-qm", branch)
    merged = subprocess.run(
        ["git", *identity, "merge", "theirs"], cwd=small.path, capture_output=True, check=False
    )
    assert merged.returncode != 0
    said = mend(small.path)
    # With the attribute the file is ours, and whole.
    assert ["merge conflict" in line for line in said] == ([] if attributes else [True])
    assert small.run("sum").state == "ran"
    assert (small.path / "sum.out").read_text() == "theirsours"


def test_where_nothing_was_recorded_there_is_nothing_to_remember(small):
    """Seed 1 of `make faults ONLY=kill-stage` on the toy: the first stage was killed."""
    remember(small.path)
    assert not (small.path / COPY).exists()


def test_a_torn_list_of_readers_is_removed(small):
    small.stage("one", WRITE)
    (small.path / ".dvc" / "tmp").mkdir(exist_ok=True)
    (small.path / ".dvc" / "tmp" / "rwlock").write_text('{"read": {"/a/b')
    [said] = mend(small.path)
    assert "torn" in said
    assert small.run("one").state == "ran"


def test_an_empty_entry_of_the_run_cache_stops_no_stage(small):
    """A DVC that is killed, or has no space, between making the folder and writing in it."""
    small.stage("one", WRITE)
    assert small.run("one").state == "ran"
    [entry] = (small.path / ".dvc" / "cache" / "runs").glob("*/*")
    for file in entry.iterdir():
        file.unlink()
    for file in ("dvc.lock", "one.out"):
        (small.path / file).unlink()
    assert small.run("one").state == "failed", "DVC has learned to: no need to mend"
    [said] = mend(small.path)
    assert "run-cache" in said
    assert small.run("one").state == "ran"


def test_what_is_whole_is_left_as_it_is(small):
    small.stage("one", WRITE)
    small.run("one")
    before = (small.path / "dvc.lock").read_bytes()
    assert mend(small.path) == []
    assert (small.path / "dvc.lock").read_bytes() == before
    remember(small.path)
    assert (small.path / COPY).read_bytes() == before


def test_no_stage_switches_the_run_cache_off_or_has_numbers_in_its_command(root):
    """`persist: true` does the one; a value of params.yaml in `cmd` is a change of the command."""
    text = (root / "dvc.yaml").read_text()
    assert "persist" not in text
    for stage in yaml.safe_load(text)["stages"].values():
        words = stage.get("do", stage)["cmd"].split()
        assert words[:2] == ["python", "-m"]
        # Names only: keys of params.yaml, not what stands under them.
        assert {w for w in words if "$" in w} <= {"${key}", "${item.audit}", "${item.method}"}


def _alive(command):
    return [p for p in psutil.process_iter(["cmdline"]) if command in (p.info["cmdline"] or [])]


def test_the_reporter_says_when_the_work_is_done(tmp_path, monkeypatch):
    from tasks.progress import Reporter

    monkeypatch.setenv("SALIENCY_PROGRESS", str(tmp_path / "p"))
    reporter = Reporter("x")
    reporter(1, 2)
    reporter.finish()
    records = [json.loads(line) for line in (tmp_path / "p").read_text().splitlines()]
    assert [r.get("finished", False) for r in records] == [False, True]
