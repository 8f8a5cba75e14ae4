"""A stage beside its own kind, and under the run that started it.

One process at a time does a stage's work in a checkout; one whose run was killed ends, too, rather
than go on writing under the next; and a finished one says so, for a run that must know it when DVC
could not record it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from saliency_audit.errors import DataError
from tasks import places

#: A file that whoever started this process holds locked for as long as it lives.
RUN = "SALIENCY_RUN"
#: Set where another machine did the work, and DVC is to fetch its result.
ELSEWHERE = "SALIENCY_ELSEWHERE"
#: Seconds between two looks at the run, and between asking a process to end and ending it.
LOOK, PATIENCE = 1.0, 5.0


def lock_file(stage: str) -> Path:
    """Give the file that a process holds locked while it does a stage's work."""
    return places.LOCAL / "stages" / f"{stage}.lock"


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Hold a stage of this checkout; waits, saying so, as long as another process holds it.

    The lock is the process's: whatever ends it frees the stage.
    """
    path = lock_file(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            sys.stderr.write(
                f"note: process {lock.read().strip() or 'unknown'} still works on {stage} here: "
                "waiting for it to end\n"
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def end_group() -> None:
    """End this process with its group: a run starts a stage's DVC, shell and stage as one."""
    sys.stderr.write("error: the run that started this stage has ended: so does the stage\n")
    os.killpg(0, signal.SIGTERM)
    time.sleep(PATIENCE)
    os.killpg(0, signal.SIGKILL)


def end_self() -> None:
    """Ask this process to end, as a person would; what it started it ends itself."""
    os.kill(os.getpid(), signal.SIGTERM)


def follow_run(end: Callable[[], None] = end_group) -> None:
    """End soon after the process that started this one has ended, if that asked for it."""
    path = os.environ.get(RUN)
    if path:
        Thread(target=_follow, args=(Path(path), end), name="follow-run", daemon=True).start()


def _follow(path: Path, end: Callable[[], None]) -> None:
    while not ended(path):
        time.sleep(LOOK)
    end()


def ended(path: Path) -> bool:
    """Say whether the process that held a file locked has ended."""
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def refuse_elsewhere(stage: str) -> None:
    """Raise DataError where the work was done on another machine, and must not be done again."""
    if os.environ.get(ELSEWHERE):
        raise DataError(
            f"{stage} ran on {os.environ[ELSEWHERE]}, but its result is not in the DVC remote: "
            "see whether `dvc push --run-cache` works there"
        )
