"""A trial: a fresh checkout, a run in it, a fault, and what is judged afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from . import judgement
from .miniature import Miniature, call, entries, environment
from .servers import Server

#: Seconds after which a run counts as one that does not end.
LIMIT = 400.0


class SkippedError(Exception):
    """A trial cannot be made here; says why."""


@dataclass
class Started:
    """A process that a trial started; what it says lies in two files."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait(self, limit: float = LIMIT) -> int | None:
        """Give its exit code; None where it does not end, and it is killed then."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def errors(self) -> str:
        """Give what it says to a person."""
        return self.err.read_text("utf-8", errors="replace")

    def told(self) -> dict[str, Any]:
        """Give what it says to a program."""
        text = self.out.read_text("utf-8", errors="replace").strip()
        return json.loads(text) if text.startswith("{") else {}


@dataclass
class Trial:
    """What a fault's function works with; ``problems`` is what it found to be wrong.

    ``point``: where the fault struck.
    """

    kind: str
    seed: int
    folder: Path
    miniature: Miniature
    server: Server
    point: str = ""
    problems: list[str] = field(default_factory=list)
    processes: list[Started] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.kind}-{self.seed}")
        self.mark = f"{self.kind}-{self.seed}-{uuid.uuid4().hex[:8]}"
        self.before: set[str] = set()
        self.counted: Counter[str] = Counter()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def begin(self, *starts: str) -> tuple[Path, str]:
        """Give a fresh checkout in a state drawn from some, and its name."""
        start = self.draw(*(starts or ("new", "predicted", "predicted", "explained")))
        return self.miniature.copy(start, self.folder / "project"), start

    def draw(self, *starts: str) -> str:
        """Draw a state from some; a toy has one only."""
        known = [start for start in starts if start in self.miniature.seconds]
        return self.random.choice(known or list(self.miniature.seconds))

    def start(
        self, folder: Path, *command: str, extra: Mapping[str, str] | None = None, mark: str = ""
    ) -> Started:
        """Start a command in a folder, in a process group of its own."""
        name = f"{len(self.processes) + 1}"
        out, err = self.folder / f"{name}.out", self.folder / f"{name}.err"
        with out.open("wb") as to, err.open("wb") as errors:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(
                    {
                        **self.server.environment,
                        judgement.MARK: mark or self.mark,
                        **(extra or {}),
                    }
                ),
                stdout=to,
                stderr=errors,
                start_new_session=True,
            )
        started = Started(process, out, err)
        self.processes.append(started)
        return started

    def run(self, checkout: Path, *options: str, extra: Mapping[str, str] | None = None) -> Started:
        """Start `saliency-audit run`."""
        command = [sys.executable, "-m", "flows", "run", "--json", *options]
        return self.start(checkout, *command, extra=extra)

    def need(self, holds: bool, problem: str) -> None:
        """Take note of a problem where something does not hold."""
        if not holds:
            self.problems.append(problem)

    def await_moment(self, run: Started, start: str) -> bool:
        """Wait until a random moment of a run, uniform over an undisturbed one's time.

        Gives whether the run was still going on then.
        """
        moment = self.random.uniform(0, 0.95 * self.miniature.seconds[start])
        self.point = f"{moment:.1f} s after the start from {start}"
        until = time.monotonic() + moment
        while run.running and time.monotonic() < until:
            time.sleep(0.02)
        return run.running

    def note(self, checkout: Path, *logs: Path) -> None:
        """Take note, as the fault strikes, of what is recorded, and how often each stage ran."""
        self.before = self.recorded(checkout)
        self.counted = judgement.executions([checkout], logs)

    def recorded(self, checkout: Path) -> set[str]:
        """Give the stages that DVC has recorded; looks again where it is just being written."""
        for _ in range(20):
            found = entries(checkout)
            if found or not (checkout / "dvc.lock").exists():
                return set(found)
            time.sleep(0.01)
        return set()

    def stages(self, run: Started) -> list[psutil.Process]:
        """Give the processes that do a stage's work."""
        try:
            family = psutil.Process(run.process.pid).children(recursive=True)
        except psutil.Error:
            return []
        found = []
        for process in family:
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if len(line) > 2 and line[1] == "-m" and line[2].startswith("tasks."):
                found.append(process)
        return found

    def await_stage(self, run: Started, name: str = "tasks.") -> psutil.Process | None:
        """Wait until a stage runs; None where the run ends before."""
        while run.running:
            for process in self.stages(run):
                try:
                    if " ".join(process.cmdline()[2:]).startswith(name):
                        return process
                except psutil.Error:
                    continue
            time.sleep(0.02)
        return None

    def judge(
        self,
        checkout: Path,
        logs: Iterable[Path] = (),
    ) -> None:
        """Check after the fault, make the next run, and check again.

        ``logs``: what other DVCs have said than those of runs here.
        """
        logs = list(logs)
        self.problems += judgement.left_behind(self.mark)
        after = judgement.executions([checkout], logs)
        self.problems += judgement.repeated(self.before, self.counted, after)
        self.problems += judgement.corrupt(checkout, self.miniature.entries, whole=False)
        recorded = self.before | set(entries(checkout))
        self.finish(checkout, recorded, after, logs)

    def finish(
        self,
        checkout: Path,
        recorded: Iterable[str],
        counted: Counter[str],
        logs: Iterable[Path] = (),
    ) -> None:
        """Make the next run, which must end well and give the bytes of an undisturbed one."""
        run = self.run(checkout)
        code = run.wait()
        self.need(code == 0, f"the next run gave {code}: {_last(run.errors())}")
        last = judgement.executions([checkout], logs)
        self.problems += judgement.repeated(recorded, counted, last)
        self.problems += judgement.left_behind(self.mark)
        self.problems += judgement.corrupt(checkout, self.miniature.entries, whole=True)

    def need_clear(self, run: Started, code: int | None, *codes: int) -> None:
        """Take note where a run ends otherwise than with one of some codes, and a clear error."""
        self.need(code in codes, f"the run gave {code}, not {codes}: {_last(run.errors())}")
        self.need("Traceback" not in run.errors(), f"a traceback: {run.err}")
        if code not in (0, None):
            self.need("error:" in run.errors(), f"no error is named: {run.err}")

    def end(self) -> None:
        """End whatever is still there."""
        for started in self.processes:
            if started.running:
                started.process.kill()
                started.process.wait()
        for process in judgement.members(self.mark):
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-400:]


class Worker:
    """A worker of a pool in a clone of a checkout, restarted as systemd would."""

    def __init__(self, trial: Trial, checkout: Path, pool: str, **extra: str) -> None:
        self._trial = trial
        self._pool = pool
        self._extra = {"SALIENCY_GPUS": "only", **extra}
        self.clone = trial.folder / "worker"
        self.starts = 0
        call(trial.folder, "git", "clone", "-q", str(checkout), str(self.clone))
        (self.clone / ".dvc" / "config.local").write_text(
            f"[core]\n    site_cache_dir = {self.clone / '.dvc' / 'tmp' / 'site'}\n"
        )
        self.start()

    @property
    def mark(self) -> str:
        """The mark of what the worker that runs now started."""
        return f"{self._trial.mark}-worker-{self.starts}"

    def start(self) -> None:
        """Start it."""
        self.starts += 1
        command = ["worker", "--pool", self._pool, "--name", self._pool, "--slots", "2"]
        self.started = self._trial.start(
            self.clone, sys.executable, "-m", "flows", *command, extra=self._extra, mark=self.mark
        )

    def await_work(self, run: Started) -> bool:
        """Wait until it has taken a stage; gives whether the run still waits for it."""
        while run.running and self.started.running:
            if self.processes("prefect.flow_engine", "prefect.engine", "tasks."):
                return True
            time.sleep(0.05)
        return run.running

    def processes(self, *modules: str) -> list[psutil.Process]:
        """Give those of its processes that run one of some modules."""
        found = []
        for process in judgement.members(self.mark):
            try:
                if any(m in part for part in process.cmdline() for m in modules):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self) -> None:
        """Stop it as a person would; takes note of what it leaves behind."""
        if self.started.running:
            self.started.process.terminate()
            code = self.started.wait(60)
            self._trial.need(code is not None, "the worker did not end when it was asked to")
        self._trial.problems += judgement.left_behind(self.mark)

    def logs(self) -> list[Path]:
        """Give the logs of the stages that it ran."""
        return sorted(self.clone.rglob("logs/worker/*.log"))


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes at once."""
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except (psutil.Error, ProcessLookupError):
            continue
