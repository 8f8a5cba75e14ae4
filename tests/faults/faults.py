"""The faults, a function each: what is done to a run, and what must come of it.

What must hold after any fault is in judgement.py; here is what is particular to one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import yaml

from . import judgement
from .events import event_during, event_twice
from .miniature import IDENTITY, call
from .trial import SkippedError, Started, Trial, Worker, kill_all

#: Seconds until something that died is started again, as systemd would.
RESTART = (1.0, 6.0)


def kill_stage(trial: Trial) -> None:
    """SIGKILL of a stage's process, of its DVC, or of both."""
    checkout, start = trial.begin()
    run = trial.run(checkout)
    trial.await_moment(run, start)
    victim = trial.await_stage(run)
    what = trial.random.choice(["stage", "dvc", "group"])
    trial.note(checkout)
    if victim is None:
        trial.point += ", no stage was running"
    else:
        name = " ".join(victim.cmdline()[2:])
        family = [victim, *victim.parents()[:2]]
        above = [
            p for p in family[1:] if p.pid != run.process.pid and "dvc" in " ".join(p.cmdline())
        ]
        trial.point += f": {what} of {name}"
        kill_all({"stage": [victim], "dvc": above, "group": [*above, victim]}[what])
    code = run.wait()
    trial.need_clear(run, code, 0, 3)
    trial.judge(checkout)


def kill_flow(trial: Trial) -> None:
    """SIGKILL of `saliency-audit run`."""
    checkout, start = trial.begin()
    run = trial.run(checkout)
    trial.await_moment(run, start)
    trial.note(checkout)
    running = [" ".join(p.cmdline()[2:]) for p in trial.stages(run)]
    trial.point += f": {', '.join(running) or 'between stages'}"
    run.process.kill()
    run.wait()
    # Its stages end by themselves, soon: a run at once must wait for them, a later one not.
    if trial.random.random() < 0.5:
        trial.point += "; the next run at once"
        trial.finish(checkout, trial.before, trial.counted)
        return
    trial.judge(checkout)


def kill_server(trial: Trial) -> None:
    """SIGKILL of the Prefect server, which is restarted a few seconds later."""

    def strike() -> None:
        trial.server.kill()
        time.sleep(trial.random.uniform(*RESTART))
        trial.server.start()

    _strike_at(trial, strike)


def kill_postgresql(trial: Trial) -> None:
    """SIGKILL of PostgreSQL, which is restarted a few seconds later."""
    database = trial.server.database
    if database is None:
        raise SkippedError("the server is not on PostgreSQL")

    def strike() -> None:
        database.kill()
        time.sleep(trial.random.uniform(*RESTART))
        database.start()

    _strike_at(trial, strike)


def _strike_at(trial: Trial, strike: Callable[[], None]) -> None:
    checkout, start = trial.begin()
    run = trial.run(checkout)
    trial.await_moment(run, start)
    trial.note(checkout)
    running = [" ".join(p.cmdline()[2:]) for p in trial.stages(run)]
    trial.point += f": {', '.join(running) or 'between stages'}"
    strike()
    code = run.wait()
    # A run that has begun goes on; one that has not says that no server answers.
    trial.need_clear(run, code, 0, 3)
    trial.point += f"; the run gave {code}"
    if not trial.server.stands():
        trial.point += "; the server had to be restarted"
    trial.judge(checkout)


def kill_worker(trial: Trial) -> None:
    """SIGKILL of a worker with all it started, of its first process alone, or of one run of it."""
    checkout, store, pool = _for_pool(trial)
    worker = Worker(trial, checkout, pool)
    run = trial.run(checkout, extra={"SALIENCY_WORKER_SILENCE": "20"})
    worker.await_work(run)
    moment = trial.random.uniform(0, 25)
    what = trial.random.choice(["machine", "worker", "run"])
    until = time.monotonic() + moment
    while run.running and time.monotonic() < until:
        time.sleep(0.05)
    trial.note(checkout)
    runs = worker.processes("prefect.flow_engine", "prefect.engine")
    working = [" ".join(p.cmdline()[2:]) for p in worker.processes("tasks.")]
    trial.point = f"{moment:.1f} s after it took a stage: {what}; {working[-1:] or 'no stage'}"
    mark = worker.mark
    if what == "machine":
        kill_all([psutil.Process(worker.started.process.pid), *judgement.members(mark)])
    elif what == "worker":
        worker.started.process.kill()
    else:
        kill_all(runs[:1])
    if what != "run":
        worker.started.wait()
        time.sleep(trial.random.uniform(*RESTART))
        worker.start()
    code = run.wait()
    trial.need_clear(run, code, 0)
    if what != "run":
        trial.problems += judgement.left_behind(mark)
    trial.judge(checkout)
    worker.stop()
    shutil.rmtree(store)


def _for_pool(trial: Trial) -> tuple[Path, Path, str]:
    """Give a checkout whose explaining goes to a pool, its DVC remote, and the pool's name."""
    checkout, _ = trial.begin("predicted")
    pool = trial.mark
    path = checkout / "dvc.yaml"
    tree = yaml.safe_load(path.read_text())
    stage = tree["stages"].get("explain") or tree["stages"]["toy"]["do"]
    stage["meta"] = {**stage.get("meta", {}), "pool": pool}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    store = trial.folder / "store"
    store.mkdir()
    call(checkout, "dvc", "remote", "add", "-q", "--default", "store", str(store))
    _commit(checkout, "a pool")
    return checkout, store, pool


def _commit(checkout: Path, message: str) -> None:
    call(checkout, "git", "add", "-A")
    call(checkout, "git", *IDENTITY, "commit", "-q", "--allow-empty", "-m", message)


def two_runs(trial: Trial) -> None:
    """A second run in one clone is refused and names the first; one that waits ends well."""
    checkout, start = trial.begin("predicted", "explained")
    trial.note(checkout)
    run = trial.run(checkout)
    _await_lock(checkout, run)
    trial.await_moment(run, start)
    waits = trial.run(checkout, "--wait")
    other = trial.run(checkout)
    code = other.wait()
    trial.need(code == 6, f"the second run gave {code}: {other.errors()}")
    trial.need(
        f"process {run.process.pid}" in other.errors(), f"the first is not named: {other.errors()}"
    )
    for started in (run, waits):
        trial.need_clear(started, started.wait(), 0)
    trial.judge(checkout)
    counted = judgement.executions([checkout])
    twice = [name for name, number in counted.items() if number > 1]
    trial.need(not twice, f"ran twice: {twice}")


def _await_lock(checkout: Path, run: Started) -> None:
    path = checkout / ".saliency" / "run.lock"
    while run.running and not (path.is_file() and path.read_text() == str(run.process.pid)):
        time.sleep(0.02)


def by_hand(trial: Trial) -> None:
    """`dvc repro` by hand beside a run: the run ends well, and nothing is done twice."""
    checkout, start = trial.begin("predicted", "explained", "new")
    trial.note(checkout)
    run = trial.run(checkout)
    trial.await_moment(run, start)
    hand = trial.start(checkout, "dvc", "repro")
    code, by_hand_code = run.wait(), hand.wait()
    trial.point += f"; by hand gave {by_hand_code}"
    trial.need_clear(run, code, 0)
    trial.judge(checkout, [hand.out])
    counted = judgement.executions([checkout], [hand.out])
    twice = [name for name, number in counted.items() if number > 1]
    trial.need(not twice, f"ran twice: {twice}")


def full_disk(trial: Trial) -> None:
    """The disk of the checkout fills up half-way, and is made larger later."""
    start = trial.draw("new", "predicted", "explained")
    share = trial.random.uniform(0.05, 0.8)
    trial.point = f"{share:.0%} of what is written from {start}"
    with _disk(trial.folder / "disk") as disk:
        checkout = trial.miniature.copy(start, disk / "project")
        taken = os.statvfs(disk)
        used = (taken.f_blocks - taken.f_bfree) * taken.f_frsize
        _resize(disk, used + int(share * trial.miniature.growth[start]))
        trial.note(checkout)
        run = trial.run(checkout)
        code = run.wait()
        trial.need_clear(run, code, 3)
        said = run.errors()
        trial.need(
            "No space left" in said or "space" in said, f"the full disk is not named: {said[-300:]}"
        )
        _resize(disk, 2**30)
        trial.judge(checkout)
        if trial.problems:
            shutil.copytree(checkout, trial.folder / "project", symlinks=True)


def _resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={2**30}", "none", str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise SkippedError(f"no disk may be mounted here: {found.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remote_away(trial: Trial) -> None:
    """The DVC remote goes away while a worker computes or pushes, and comes back."""
    checkout, store, pool = _for_pool(trial)
    worker = Worker(trial, checkout, pool)
    trial.note(checkout)
    run = trial.run(checkout)
    _await_computing(worker, run)
    moment, away = trial.random.uniform(0, 6), trial.random.uniform(5, 12)
    trial.point = f"{moment:.1f} s after it began to compute, for {away:.1f} s"
    time.sleep(moment)
    _take_away(store)
    time.sleep(away)
    _bring_back(store)
    code = run.wait()
    trial.need_clear(run, code, 0)
    worker.stop()
    trial.judge(checkout)


def remote_gone(trial: Trial) -> None:
    """The DVC remote goes away for good: a clear error; what was computed is not computed again."""
    checkout, store, pool = _for_pool(trial)
    worker = Worker(trial, checkout, pool)
    trial.note(checkout)
    run = trial.run(checkout)
    _await_computing(worker, run)
    trial.point = "as it began to compute"
    _take_away(store)
    code = run.wait()
    trial.need_clear(run, code, 3)
    said = run.errors()
    trial.need("push" in said or "remote" in said, f"the remote is not named: {said[-300:]}")
    _bring_back(store)
    computed = judgement.executions([], worker.logs())
    trial.judge(checkout)
    again = judgement.executions([], worker.logs())
    trial.problems += judgement.repeated(computed, computed, again)
    worker.stop()


def _await_computing(worker: Worker, run: Started) -> None:
    while run.running and not worker.processes("tasks."):
        time.sleep(0.05)


def _take_away(store: Path) -> None:
    # A file in its place: DVC would make a folder that is not there.
    store.rename(store.with_name("away"))
    store.touch()


def _bring_back(store: Path) -> None:
    store.unlink()
    store.with_name("away").rename(store)


#: A stage that holds a GPU for some time, and says when.
HOLD = """
import json, os, sys, time
from pathlib import Path
name, seconds, spans = sys.argv[1:]
started = time.time()
while time.time() < started + float(seconds):
    time.sleep(0.1)
with open(spans, "a") as file:
    span = [name, os.environ["CUDA_VISIBLE_DEVICES"], started, time.time()]
    file.write(json.dumps(span) + "\\n")
Path(name + ".out").write_text(name)
"""
SEND = """
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from flows.ground.environment import prepare
root = Path.cwd()
prepare(root)
from flows.execution.placement import Need
from flows.workers.pools import pools_of
from flows.execution.stage import Listener, Runner, Running
from flows.ground.hold import hold
from tasks.supervision import end_self, follow_run
with hold(root / ".saliency" / "send.lock") as held:
    runner = Runner(root, root / ".saliency" / "logs" / "send", Running(), held)
    pools = pools_of(root)
    send = lambda name: pools.send(
        name, frozenset(), Need(gpus=1, pool={pool!r}), runner, Listener()
    )
    with ThreadPoolExecutor(2) as threads:
        for outcome in threads.map(send, ["hold_a", "hold_b"]):
            print(outcome.state, outcome.where, outcome.error)
"""


def lost_lease(trial: Trial) -> None:
    """Prefect forgets that a stage holds a GPU: it goes on, it is said, no other gets the GPU."""
    checkout, _, pool = _for_pool(trial)
    spans = trial.folder / "spans.jsonl"
    (checkout / "hold.py").write_text(HOLD)
    path = checkout / "dvc.yaml"
    tree = yaml.safe_load(path.read_text())
    for name in ("hold_a", "hold_b"):
        command = f"python hold.py {name} 60 {spans}"
        tree["stages"][name] = {"cmd": command, "deps": ["hold.py"], "outs": [f"{name}.out"]}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    (checkout / ".gitignore").open("a").write("/hold_?.out\n")
    _commit(checkout, "two that hold a GPU")
    worker = Worker(trial, checkout, pool)
    run = trial.start(
        checkout, sys.executable, "-c", SEND.format(pool=pool), extra={"PYTHONPATH": str(checkout)}
    )
    while run.running and not worker.processes("hold.py"):
        time.sleep(0.1)
    if not run.running:
        raise RuntimeError(f"nothing was sent: {run.errors()[-300:]}")
    moment = trial.random.uniform(1, 10)
    time.sleep(moment)
    lost = trial.server.lose_leases(f"gpu:{pool}")
    trial.point = f"{moment:.1f} s after it held the GPU: {lost} leases"
    trial.need(lost > 0, "there was no lease to lose")
    code = run.wait()
    lines = run.out.read_text().split("\n")
    trial.need(code == 0 and [x.split()[:1] for x in lines[:2]] == [["ran"], ["ran"]], str(lines))
    seen = sorted((json.loads(x) for x in spans.read_text().splitlines()), key=lambda s: s[2])
    trial.need(len(seen) == 2, f"stages ran {len(seen)} times, not twice")
    for one, other in pairwise(seen):
        trial.need(one[3] <= other[2], f"two stages held one GPU: {seen}")
    said = worker.started.errors() + worker.started.out.read_text()
    trial.need("lease" in said.lower(), "the worker's log says nothing of the lost lease")
    worker.stop()
    for name in ("hold_a", "hold_b"):
        trial.need((checkout / f"{name}.out").read_text() == name, f"{name}.out is wrong")
    trial.problems += judgement.left_behind(trial.mark)


#: libfaketime takes the end of a sleep by the clock that does not jump for one by the clock that
#: does, and the sleep fails: here it is another call of the system.
SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


def clock(trial: Trial) -> None:
    """The clock of the run and its stages jumps by hours, forwards or backwards."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise SkippedError("no libfaketime: apt-get install libfaketime")
    checkout, start = trial.begin("predicted", "explained")
    (trial.folder / "sitecustomize.py").write_text(SLEEP)
    offset = trial.folder / "clock"
    offset.write_text("+0")
    extra = {
        "LD_PRELOAD": str(found[0]),
        "PYTHONPATH": str(trial.folder),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    run = trial.run(checkout, extra=extra)
    trial.await_moment(run, start)
    trial.note(checkout)
    hours = trial.random.choice([-1, 1]) * trial.random.randint(1, 48)
    trial.point += f": by {hours:+d} hours"
    offset.write_text(f"{hours:+d}h")
    code = run.wait()
    trial.need_clear(run, code, 0)
    trial.judge(checkout)


def conflict(trial: Trial) -> None:
    """Two branches have run the audit; their dvc.lock conflicts, and the run mends it."""
    checkout, start = trial.begin("predicted", "explained")
    _commit(checkout, "base")
    call(checkout, "git", "checkout", "-q", "-b", "theirs")
    key, value = trial.random.choice([("control_seed", 1), ("kept_fraction", 0.1)])
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["measures"][key] = value
    (checkout / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    trial.point = f"from {start}: theirs has measures.{key} = {value}"
    trial.need(trial.run(checkout).wait() == 0, "their run failed")
    _commit(checkout, "theirs")
    call(checkout, "git", "checkout", "-q", "-b", "ours", "HEAD~1")
    trial.need(trial.run(checkout).wait() == 0, "our run failed")
    _commit(checkout, "ours")
    trial.note(checkout)
    call(checkout, "git", *IDENTITY, "merge", "-q", "theirs", check=False)
    for name in call(checkout, "git", "diff", "--name-only", "--diff-filter=U").stdout.split():
        if name != "dvc.lock":
            call(checkout, "git", "checkout", "--ours", name)
    call(checkout, "git", "checkout", "ours", "--", "params.yaml")
    trial.need("<<<<<<<" in (checkout / "dvc.lock").read_text(), "there is no conflict")
    trial.finish(checkout, trial.before, trial.counted)
    said = trial.processes[-1].errors()
    trial.need("merge conflict" in said, f"the conflict is not named: {said[-300:]}")


def hang(trial: Trial) -> None:
    """A stage stops for good; after its minutes its whole process group is ended."""
    checkout, start = trial.begin("predicted", "explained")
    path = checkout / "dvc.yaml"
    text = path.read_text()
    tree = yaml.safe_load(text)
    for stage in tree["stages"].values():
        body = stage.get("do", stage)
        body["meta"] = {**body.get("meta", {}), "minutes": 0.5}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    run = trial.run(checkout)
    trial.await_moment(run, start)
    victim = trial.await_stage(run)
    if victim is None:
        raise RuntimeError("no stage was running")
    name = " ".join(victim.cmdline()[2:])
    trial.point += f": {name}"
    family = [victim, *victim.children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGSTOP)
    trial.note(checkout)
    code = run.wait()
    trial.need_clear(run, code, 3)
    trial.need("still not done after 0.5 minutes" in run.errors(), f"not named: {run.errors()}")
    trial.need(not any(p.is_running() and p.status() != "zombie" for p in family), "still there")
    path.write_text(text)
    trial.judge(checkout)


#: What can be injected, and how many trials each gets.
FAULTS: dict[str, tuple[Callable[[Trial], None], int]] = {
    "kill-stage": (kill_stage, 10),
    "kill-flow": (kill_flow, 10),
    "kill-worker": (kill_worker, 10),
    "kill-server": (kill_server, 10),
    "kill-postgresql": (kill_postgresql, 10),
    "two-runs": (two_runs, 2),
    "by-hand": (by_hand, 3),
    "full-disk": (full_disk, 4),
    "remote-away": (remote_away, 2),
    "remote-gone": (remote_gone, 1),
    "lost-lease": (lost_lease, 1),
    "clock": (clock, 3),
    "conflict": (conflict, 2),
    "hang": (hang, 2),
    "event-twice": (event_twice, 1),
    "event-during": (event_during, 1),
}
