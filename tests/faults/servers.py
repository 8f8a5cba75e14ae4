"""One PostgreSQL and one Prefect server on it, for all trials; killed by some, and restarted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from flows.ground.hold import hold
from flows.ground.server import answers, free_port
from tasks.supervision import RUN

from .miniature import ROOT, environment

PASSWORD = "audit:trial"


class ServerDiedError(Exception):
    """A server did not come up."""


class Database:
    """A PostgreSQL of its own, in a folder that its user may read."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        found = shutil.which("initdb") or (str(programs[-1] / "initdb") if programs else None)
        if found is None:
            raise ServerDiedError("no PostgreSQL: apt-get install postgresql")
        self._programs = Path(os.path.realpath(found)).parent
        self._folder = Path(f"/tmp/saliency-faults-postgresql-{os.getpid()}")
        self._port = free_port()

    def _call(self, program: str, *arguments: str, check: bool = True) -> int:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            command = ["runuser", "-u", "postgres", "--", *command]
        found = subprocess.run(
            command,
            cwd=self._folder,
            check=check,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return found.returncode

    def make(self) -> str:
        """Make it and start it; gives its address."""
        self._folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres")
        self._call("initdb", "-A", "trust", "-D", f"{self._folder}/data")
        self.start()
        self._call("createdb", "-h", str(self._folder), "-p", str(self._port), "prefect")
        user = "postgres" if os.geteuid() == 0 else os.environ.get("USER", "root")
        return f"postgresql+asyncpg://{user}@127.0.0.1:{self._port}/prefect"

    def start(self) -> None:
        """Start it; waits until it answers. What was killed may take a moment to be gone."""
        options = (
            f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c shared_buffers=32MB"
        )
        arguments = ["-D", f"{self._folder}/data", "-w", "-l", f"{self._folder}/log"]
        for _ in range(20):
            if self._call("pg_ctl", *arguments, "-o", options, "start", check=False) == 0:
                return
            time.sleep(0.5)
        raise ServerDiedError((self._folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill it as a machine that runs out of memory would: its first process at once."""
        first = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGKILL)

    def remove(self) -> None:
        """Stop it and remove all that it holds."""
        self._call("pg_ctl", "-D", f"{self._folder}/data", "-m", "immediate", "stop", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


class Server:
    """The Prefect server of all trials, on PostgreSQL where ``database`` is one.

    ``environment`` reaches it.
    """

    def __init__(self, folder: Path, database: Database | None) -> None:
        self._folder = folder
        self.database = database
        self._port = free_port()
        self._url = f"http://127.0.0.1:{self._port}/api"
        self._process: subprocess.Popen[bytes] | None = None
        self._address: str | None = None
        self._held = ExitStack()
        self.restarts = 0

    @property
    def environment(self) -> dict[str, str]:
        """What reaches it."""
        return {"PREFECT_API_URL": self._url, "PREFECT_API_AUTH_STRING": PASSWORD}

    def __enter__(self) -> Server:
        """Start it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # It ends with this process, however that ends: it looks whether a file is held.
        self._held.enter_context(hold(self._folder / "alive.lock"))
        if self.database is not None:
            self._address = self.database.make()
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        self._held.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.database is not None:
            self.database.remove()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        home = self._folder / "prefect"
        settings = {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
            "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            RUN: str(self._folder / "alive.lock"),
            **self.environment,
        }
        if self._address is not None:
            settings["PREFECT_API_DATABASE_CONNECTION_URL"] = self._address
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *["-m", "flows.ground.server", "--host", "127.0.0.1", "--port"],
                    str(self._port),
                ],
                cwd=ROOT,
                env=environment(settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + 120
        while not answers(self._url):
            if self._process.poll() is not None or time.monotonic() > until:
                raise ServerDiedError((self._folder / "server.log").read_text()[-2000:])
            time.sleep(0.3)

    def kill(self) -> None:
        """Kill it with all that it started."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ended(self) -> bool:
        """Say whether its process is gone."""
        return self._process is None or self._process.poll() is not None

    def stands(self) -> bool:
        """Say whether it answers what needs its database; ends and restarts one that does not."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self._reads():
                return True
            time.sleep(1)
        self.restarts += 1
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.start()
        return False

    def lose_leases(self, limit: str) -> int:
        """Have it forget who holds a limit, as a server does that lost its files; gives how many.

        Then the limit counts as free.
        """
        folder = self._folder / "prefect" / "concurrency_leases"
        found = self.ask("GET", f"/v2/concurrency_limits/{limit}")
        lost = 0
        for path in folder.glob("*.json"):
            lease = json.loads(path.read_text())
            if found["id"] in lease.get("resource_ids", []):
                path.unlink()
                lost += 1
        if lost:
            body = {"names": [limit], "slots": lost}
            self.ask("POST", "/v2/concurrency_limits/decrement", body)
        return lost

    def ask(self, verb: str, path: str, body: object = None) -> Any:
        """Ask its API; gives what it answers."""
        import httpx

        user, password = PASSWORD.split(":")
        answer = httpx.request(
            verb, f"{self._url}{path}", auth=(user, password), json=body, timeout=30
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _reads(self) -> bool:
        import httpx

        try:
            self.ask("POST", "/flows/count", {})
        except httpx.HTTPError:
            return False
        return True
