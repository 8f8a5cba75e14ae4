"""What a process holds is held by nobody else, across processes, and freed by whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from flows.ground.console import Voice
from flows.ground.hold import BusyError, HeldError, alone_in, hold, holder, is_held
from tasks.supervision import ended

#: Holds what it is told to until it is ended.
HOLDER = """
import sys, time
from pathlib import Path
from flows.ground.console import Voice
from flows.ground.hold import alone_in, hold
what, path = sys.argv[1], Path(sys.argv[2])
with hold(path) if what == "file" else alone_in(path, Voice()):
    print("held", flush=True)
    time.sleep(1000)
"""


@contextmanager
def held_elsewhere(root, what, path):
    """Another process that holds a file, or a checkout."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, what, str(path)],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_file_is_held_until_its_process_is_killed(root, tmp_path):
    path = tmp_path / "new" / "a.lock"
    assert ended(path)
    with held_elsewhere(root, "file", path) as process:
        # A stage looks with flock itself.
        assert is_held(path)
        assert not ended(path)
        with pytest.raises(HeldError), hold(path, wait=False):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not is_held(path)
        assert ended(path)


def test_the_process_that_holds_a_checkout_is_named(root, tmp_path):
    with held_elsewhere(root, "checkout", tmp_path) as process:
        assert holder(tmp_path / ".saliency" / "run.lock") == str(process.pid)
        said = rf"another run \(process {process.pid}\) is in progress in {tmp_path}: .*--wait"
        with pytest.raises(BusyError, match=said), alone_in(tmp_path, Voice()):
            pass
    with alone_in(tmp_path, Voice()):
        pass


def test_two_parts_of_one_process_do_not_hold_the_same(tmp_path):
    with hold(tmp_path / "a.lock"):
        assert is_held(tmp_path / "a.lock")
        with hold(tmp_path / "b.lock"):
            pass
    assert not is_held(tmp_path / "a.lock")
