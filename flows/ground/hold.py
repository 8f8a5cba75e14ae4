"""What one process holds at a time: a checkout, an audit's subject, a GPU, a run that is alive.

filelock takes `flock` locks, so that whatever ends a process frees what it held, and a stage, which
looks with `flock` itself (tasks/supervision.py), sees them. On a file system without `flock` it is
an error: what filelock offers instead would outlive a process that was killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flows.ground.console import Voice

#: Seconds between two attempts to get what another holds.
LOOK = 0.2


class BusyError(Exception):
    """Another run holds this checkout."""


class HeldError(Exception):
    """Another process, or another part of this one, holds the file."""


@contextmanager
def hold(path: Path, wait: bool = True) -> Iterator[Path]:
    """Hold a file; waits until it is free, or raises HeldError where ``wait`` is False."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, poll_interval=LOOK, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise HeldError(str(path)) from None
    try:
        yield path
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Say whether anybody holds a file."""
    try:
        with hold(path, wait=False):
            return False
    except HeldError:
        return True


def holder(path: Path) -> str:
    """Give the process that last wrote its number into a file that it holds."""
    return path.read_text("utf-8").strip() or "unknown"


@contextmanager
def alone_in(root: Path, console: Voice, wait: bool = False) -> Iterator[None]:
    """Hold the checkout; raises BusyError naming the process that holds it, or waits for it."""
    path = root / ".saliency" / "run.lock"
    with ExitStack() as held:
        try:
            held.enter_context(hold(path, wait=False))
        except HeldError:
            busy = f"another run (process {holder(path)}) is in progress in {root}"
            if not wait:
                raise BusyError(f"{busy}: wait for it to end, or say --wait") from None
            console.say(f"{busy}: waiting for it to end")
            held.enter_context(hold(path))
        path.write_text(str(os.getpid()), "utf-8")
        yield
