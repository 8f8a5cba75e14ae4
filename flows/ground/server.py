"""The Prefect server of this checkout: found where it runs, started where a person serves.

It listens on this machine alone unless told otherwise, and asks for a password that lies in a
file which only its owner may read.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from saliency_audit.errors import AuditError
from tasks import places
from tasks.artifacts import partial
from tasks.supervision import end_self, follow_run

#: Where a server that runs says how it is reached.
STATE = places.LOCAL / "server.json"
#: The password of its pages and of its API, as `user:password`.
SECRET = places.LOCAL / "server.secret"
#: Seconds that a server may take to come up.
PATIENCE = 120.0
#: Where Prefect keeps who holds what of a worker. In memory, its default, a server that is
#: restarted forgets the holders and not the count: a GPU would never be free again.
LEASES = "prefect.server.concurrency.lease_storage.filesystem"


class ServerError(AuditError):
    """A Prefect server could not be started or reached."""


def use_running(root: Path) -> str | None:
    """Use the server of this checkout, if one runs and no other is set; gives its address."""
    if "PREFECT_API_URL" in os.environ:
        return os.environ["PREFECT_API_URL"]
    try:
        url = str(json.loads((root / STATE).read_text("utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return None
    if not answers(url):
        return None
    os.environ["PREFECT_API_URL"] = url
    os.environ.setdefault("PREFECT_API_AUTH_STRING", secret(root))
    return url


def answers(url: str) -> bool:
    """Say whether a Prefect server answers at an address."""
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def secret(root: Path) -> str:
    """Give the password of this checkout's server; makes one where there is none."""
    path = root / SECRET
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"audit:{secrets.token_urlsafe(24)}")
    return path.read_text("utf-8")


@contextmanager
def served(root: Path, host: str, port: int) -> Iterator[str]:
    """Run a server for as long as the block lasts, or use the one that is set or runs already.

    Gives its address. Raises ServerError where the port is taken, or the server does not come up.
    """
    running = use_running(root)
    if running is not None:
        if not answers(running):
            raise ServerError(f"no Prefect server answers at {running} (PREFECT_API_URL)")
        yield running
        return
    _refuse_taken(host, port)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}/api"
    os.environ["PREFECT_API_AUTH_STRING"] = secret(root)
    log = root / places.LOCAL / "logs" / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.ground.server", "--host", host, "--port", str(port)],
            env={
                **os.environ,
                "PREFECT_SERVER_API_AUTH_STRING": secret(root),
                "PREFECT_UI_API_URL": url,
                "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            },
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, url, log)
        with partial(root / STATE) as beside:
            beside.write_text(json.dumps({"url": url, "pid": process.pid}), "utf-8")
        os.environ["PREFECT_API_URL"] = url
        yield url
    finally:
        (root / STATE).unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Give a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"{host}:{port} cannot be served ({error.strerror}): give another --port, or set "
                "PREFECT_API_URL to the server that runs there"
            ) from None


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not answers(url):
        if process.poll() is not None or time.monotonic() > until:
            last = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
            raise ServerError(f"the Prefect server did not come up: {' / '.join(last)}: see {log}")
        time.sleep(0.2)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", LEASES)
    from prefect.cli import app

    follow_run(end_self)
    sys.argv = ["prefect", "server", "start", *sys.argv[1:]]
    app()
