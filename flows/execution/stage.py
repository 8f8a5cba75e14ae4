"""Running one stage: a subprocess of DVC in its own process group, its output kept and watched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    stop_after_delay,
    wait_exponential,
)

from tasks.stage import STOPPED
from tasks.supervision import RUN

#: What DVC prints where it took a stage's outputs from its cache instead of running it.
CACHED = re.compile(r"is cached - skipping run")
UNCHANGED = re.compile(r"didn't change, skipping")
#: What DVC prints where a stage ended as a quality gate does that stops what follows.
GATED = re.compile(rf"failed to run: .*, exited with {STOPPED}$", re.MULTILINE)
#: What DVC prints where another DVC holds this checkout, or a file that the stage reads or writes.
#: `--wait-for-lock` waits for neither of the two locks that say this.
BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
#: Seconds between two looks at a running stage.
LOOK = 0.5
#: Seconds until what another DVC holds, or refused to record, is tried again; doubled each time.
PAUSES = wait_exponential(multiplier=0.5, max=8.0)
#: Seconds for which a stage waits for another DVC to let go, and for a finished one's record.
BUSY_LIMIT, RECORD_LIMIT = 3600.0, 60.0


def _last(state: RetryCallState) -> Any:
    """Give what the last attempt gave, where no more is made."""
    return state.outcome.result() if state.outcome else None


@dataclass
class Outcome:
    """How a stage ended: ``state`` is ran, cached, unchanged or failed.

    ``where``: the worker that did the work; empty for this machine; ``gated``: whether it failed
    because it is a quality gate that stops what follows.
    """

    name: str
    state: str
    seconds: float
    log: Path
    error: str = ""
    where: str = ""
    gated: bool = False

    @property
    def told(self) -> str:
        """How it ended, as a person is told: ``stopped``, not failed, where a gate stopped."""
        return "stopped" if self.gated else self.state


class Listener:
    """Told what a running stage says, as it says it; the default hears nothing."""

    def line(self, text: str) -> None:
        """Hear a line of its output."""

    def progress(self, done: int, total: int | None) -> None:
        """Hear how far it is."""


class StoppedError(Exception):
    """The run was interrupted: no further stage starts."""


@dataclass
class Running:
    """The stages that run now, so that an interrupt can end them all and no other starts."""

    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stopped: bool = False
    _lock: Lock = field(default_factory=Lock, repr=False)

    def start(
        self, name: str, command: list[str], root: Path, sink: IO[bytes], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a stage in a process group of its own; raises StoppedError after ``stop``."""
        with self._lock:
            if self.stopped:
                raise StoppedError(f"{name} was not started: the run was interrupted")
            process = subprocess.Popen(
                command,
                cwd=root,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
            self.processes[name] = process
        return process

    def stop(self) -> None:
        """End every running stage with its children; none starts from now on."""
        with self._lock:
            self.stopped = True
            processes = list(self.processes.values())
        for process in processes:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group. DVC, its leader, may be gone before the stage that it started."""
    for sign, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            process.poll()
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                return
            time.sleep(0.05)


@dataclass(frozen=True)
class Runner:
    """Runs stages of a checkout by DVC.

    ``root``: the checkout; ``folder``: takes logs and progress; ``running``: where the processes
    are known, to be ended; ``alive``: a file that is locked as long as the run lives.
    """

    root: Path
    folder: Path
    running: Running
    alive: Path

    def run(
        self,
        name: str,
        environment: Mapping[str, str],
        minutes: float | None = None,
        listener: Listener | None = None,
        *options: str,
    ) -> Outcome:
        """Run a stage by ``dvc repro -s``, which runs it only if it must.

        ``environment`` says what of the machine it holds. After ``minutes`` it is ended, with all
        that it started, and counts as failed. Where another DVC works on what it needs, it is
        tried again; where its work is done and DVC could not record it, the record is tried again,
        not the work. ``options`` are those of ``dvc repro``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log, progress = log_file(self.folder, name), progress_file(self.folder, name)
        listener = listener or Listener()
        started = time.monotonic()
        command = ["repro", *options, "-s", name]

        def attempt() -> tuple[int | None, str]:
            progress.unlink(missing_ok=True)
            return self._dvc(name, command, log, environment, minutes, listener)

        def busy(found: tuple[int | None, str]) -> bool:
            ended = found[0] in (0, None) or not BUSY.search(found[1])
            return not ended and not _has_finished(progress)

        code, text = Retrying(
            retry=retry_if_result(busy),
            stop=stop_after_delay(BUSY_LIMIT),
            wait=PAUSES,
            before_sleep=lambda _: listener.line(
                "another DVC is at work on what this stage needs: trying again"
            ),
            retry_error_callback=_last,
        )(attempt)
        if code not in (0, None) and _has_finished(progress):
            code = self._record(name, log, environment, listener)
        seconds = time.monotonic() - started
        if code is None:
            error = (
                f"still not done after {minutes:g} minutes (meta.minutes in dvc.yaml): it was ended"
            )
            return Outcome(name, "failed", seconds, log, error)
        if code != 0:
            gated = bool(GATED.search(text))
            return Outcome(name, "failed", seconds, log, error_of(text), gated=gated)
        state = (
            "cached" if CACHED.search(text) else "unchanged" if UNCHANGED.search(text) else "ran"
        )
        return Outcome(name, state, seconds, log)

    def log(self, name: str) -> Path:
        """Give the file that has a stage's output."""
        return log_file(self.folder, name)

    def dvc(self, name: str, command: list[str], listener: Listener) -> int | None:
        """Run another command of DVC for a stage; gives its exit code."""
        self.folder.mkdir(parents=True, exist_ok=True)
        code, _ = self._dvc(name, command, self.log(name), {}, None, listener)
        return code

    def _record(
        self, name: str, log: Path, environment: Mapping[str, str], listener: Listener
    ) -> int | None:
        """Have DVC record what a stage has written; gives the exit code of the last attempt."""

        def attempt() -> int | None:
            return self._dvc(name, ["commit", "-f", name], log, environment, None, listener)[0]

        trying = Retrying(
            retry=retry_if_result(lambda code: code != 0 and not self.running.stopped),
            stop=stop_after_delay(RECORD_LIMIT),
            wait=PAUSES,
            before=lambda _: listener.line(
                "the work is done and DVC could not record it: recording it again"
            ),
            retry_error_callback=_last,
        )
        return trying(attempt)

    def _dvc(
        self,
        name: str,
        command: list[str],
        log: Path,
        environment: Mapping[str, str],
        minutes: float | None,
        listener: Listener,
    ) -> tuple[int | None, str]:
        """Run a command of DVC; gives its exit code, None after its time, and its output."""
        until = None if minutes is None else time.monotonic() + 60 * minutes
        with log.open("ab") as sink, log.open("rb") as source:
            begin = source.seek(0, os.SEEK_END)
            process = self.running.start(
                name,
                ["dvc", "--wait-for-lock", *command],
                self.root,
                sink,
                {
                    **os.environ,
                    **environment,
                    RUN: str(self.alive.resolve()),
                    "SALIENCY_PROGRESS": str(progress_file(self.folder, name).resolve()),
                },
            )
            try:
                code = self._wait(process, name, until, source, listener)
            finally:
                _end(process)
                self.running.processes.pop(name, None)
            _tell(source, listener)
            source.seek(begin)
            return code, source.read().decode("utf-8", errors="replace")

    def _wait(
        self,
        process: subprocess.Popen[bytes],
        name: str,
        until: float | None,
        source: IO[bytes],
        listener: Listener,
    ) -> int | None:
        """Wait for a process, and tell what it says; gives None where it took too long."""
        seen = None
        while until is None or time.monotonic() < until:
            try:
                return process.wait(LOOK)
            except subprocess.TimeoutExpired:
                _tell(source, listener)
            now = read_progress(self.folder, name)
            if now is not None and now != seen:
                listener.progress(*now)
                seen = now
        return None


def _tell(source: IO[bytes], listener: Listener) -> None:
    """Tell the whole lines that were written since the last time."""
    while line := source.readline():
        if not line.endswith(b"\n"):
            source.seek(-len(line), os.SEEK_CUR)
            return
        if line.strip():
            listener.line(line.decode("utf-8", errors="replace").rstrip())


def _has_finished(progress: Path) -> bool:
    """Say whether a stage's own work was done, whatever came of DVC's."""
    return any(record.get("finished") for record in _records(progress))


def error_of(text: str) -> str:
    """Give the stage's own last error line of a log; DVC's where the stage printed none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("error:")]
    if own:
        return own[-1].removeprefix("error:").strip()
    faults = [line for line in lines if line.startswith("ERROR:")]
    return (faults or lines or ["no output"])[-1]


def progress_file(folder: Path, name: str) -> Path:
    """Where a stage appends its progress."""
    return folder / f"{_as_file(name)}.progress.jsonl"


def log_file(folder: Path, name: str) -> Path:
    """Where the output of a stage goes."""
    return folder / f"{_as_file(name)}.log"


def _as_file(name: str) -> str:
    # A stage without a command is named after its file: models/weights.pt.dvc.
    return name.replace("/", "-")


def read_progress(folder: Path, name: str) -> tuple[int, int | None] | None:
    """Last reported (done, total) of a stage; None before the first."""
    counts = [r for r in _records(progress_file(folder, name)) if "done" in r]
    return (counts[-1]["done"], counts[-1]["total"]) if counts else None


def _records(progress: Path) -> list[dict[str, Any]]:
    """Give the last records of a progress file; what is half written is left out."""
    try:
        with progress.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 400))
            lines = file.read().decode().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found
