"""Stages of miniature audits start from an interpreter that has imported the libraries already.

A miniature's stage computes for a fraction of a second, and imports PyTorch, torchvision or Great
Expectations for five to fifteen before. One process per worker of pytest-xdist imports them
(never the project's own code, which differs between checkouts) and forks for each stage and for
each `dvc`: an interpreter that starts as one reads warm_start/sitecustomize.py, hands over its
arguments, environment, folder and files, and ends as the fork does. `reproduced` is made without
it, so that test_flow compares every byte of both ways.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The variable that names the socket; without it every stage is an interpreter of its own.
SOCKET = "SALIENCY_TEST_WARM"
#: The folder of what an interpreter reads as it starts.
START = Path(__file__).with_name("warm_start")
#: What the process that forks says when it can.
READY = b"ready\n"
LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pyarrow.compute",
    "torch",
    "torchvision",
    "segmentation_models_pytorch",
    "great_expectations",
    "scipy.stats",
    "skimage.segmentation",
    "jinja2",
    "PIL.Image",
    "dvc.cli.parser",
    "dvc.repo",
    "dvc.stage.run",
    "dvc.stage.cache",
    "dvc_data.hashfile.build",
)


def serve(path: str) -> None:
    """Import the libraries, say so on standard output, and fork for each stage that is asked for.

    It ends when its standard input does: when whoever started it has gone.
    """
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or the first collection in a child would copy every page
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen(64)
        end_with(sys.stdin.fileno())
        os.write(sys.stdout.fileno(), READY)
        while True:
            connection, _ = listening.accept()
            with connection:
                if os.fork() == 0:  # a child that waits for the stage, so that this need not
                    listening.close()
                    os._exit(attend(connection))
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def end_with(descriptor: int) -> None:
    """Have the kernel end this process when the other side of a descriptor is closed."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)  # SIGIO ends who does not catch it


def attend(connection: socket.socket) -> int:
    """Run one stage in a child, and tell its program the child's number and how it ended."""
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not message.endswith(b"\n"):
        message += connection.recv(1 << 20)
    child = os.fork()
    if child == 0:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.setsid()  # a stage may end its group: that is not to be everybody's
        end_with(connection.fileno())
        run(**json.loads(message))
    for file in files:
        os.close(file)
    connection.sendall(f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    with suppress(OSError):  # its program may have been killed
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return 0


def run(arguments: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    """Be ``python -m module …``, or the program ``dvc``, in this process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    name = arguments[0]
    sys.path[0] = folder
    sys.argv = arguments
    code: object = None
    try:
        if Path(name).name == "dvc":
            code = importlib.import_module("dvc.cli").main()
        else:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)  # taking the libraries apart, as an interpreter does, would copy every page


@contextmanager
def interpreter(path: Path) -> Iterator[dict[str, str]]:
    """Start the process that forks, and give the environment in which stages use it."""
    address = str(path)
    command = [sys.executable, "-m", "tests.pipeline.warm", address]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == READY, "no warm interpreter"
        try:
            yield {SOCKET: address, "PYTHONPATH": str(START)}
        finally:
            process.kill()


if __name__ == "__main__":
    serve(sys.argv[1])
