"""Running one stage: a subprocess of DVC in its own process group, its output kept and watched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO

#: What DVC prints where it took a stage's outputs from its cache instead of running it.
CACHED = re.compile(r"is cached - skipping run")
UNCHANGED = re.compile(r"didn't change, skipping")


@dataclass
class Outcome:
    """How a stage ended: ``state`` is ran, cached, unchanged or failed."""

    name: str
    state: str
    seconds: float
    log: Path
    error: str = ""


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


def run_stage(
    root: Path,
    name: str,
    folder: Path,
    running: Running,
    tell: Callable[[str], None],
    environment: Mapping[str, str],
    minutes: float | None = None,
) -> Outcome:
    """Run a stage by ``dvc repro -s``, which runs it only if it must.

    ``folder`` takes its log and its progress; ``tell`` is given each line of its output;
    ``environment`` says what of the machine it holds. After ``minutes`` it is ended, with all that
    it started, and counts as failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, progress = folder / f"{name}.log", progress_file(folder, name)
    started = time.monotonic()
    with log.open("wb") as sink:
        process = running.start(
            name,
            ["dvc", "--wait-for-lock", "repro", "-s", name],
            root,
            sink,
            {**os.environ, **environment, "SALIENCY_PROGRESS": str(progress.resolve())},
        )
        try:
            code = process.wait(None if minutes is None else 60 * minutes)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
            running.processes.pop(name, None)
    text = log.read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        tell(line)
    seconds = time.monotonic() - started
    if code is None:
        error = f"still not done after {minutes:g} minutes (meta.minutes in dvc.yaml): it was ended"
        return Outcome(name, "failed", seconds, log, error)
    if code != 0:
        return Outcome(name, "failed", seconds, log, error_of(text))
    state = "cached" if CACHED.search(text) else "unchanged" if UNCHANGED.search(text) else "ran"
    return Outcome(name, state, seconds, log)


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
    return folder / f"{name}.progress.jsonl"


def read_progress(folder: Path, name: str) -> tuple[int, int | None] | None:
    """Last reported (done, total) of a stage; None before the first."""
    try:
        with progress_file(folder, name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 400))
            lines = file.read().decode().splitlines()
        last = json.loads(lines[-1])
    except (OSError, IndexError, json.JSONDecodeError):
        return None
    return last["done"], last["total"]
