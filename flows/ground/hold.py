"""A checkout held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


class BusyError(Exception):
    """Another run holds this checkout."""


@contextmanager
def alone_in(root: Path, console: Console, wait: bool = False) -> Iterator[None]:
    """Hold the checkout; raises BusyError naming the process that holds it, or waits for it."""
    path = root / ".saliency" / "run.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            busy = f"another run (process {holder}) is in progress in {root}"
            if not wait:
                raise BusyError(f"{busy}: wait for it to end, or say --wait") from None
            console.print(f"{busy}: waiting for it to end", highlight=False, soft_wrap=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
