"""`saliency-audit serve`: audits on a schedule, and when a classifier or the data changed."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.paths import from_there
from flows.ground.console import Voice, interruptible
from flows.ground.git import commit_of, refuse_dirty
from flows.ground.hold import hold
from flows.ground.server import SECRET, served, use_running
from flows.ground.worktrees import listed
from flows.serving.alerts import said
from flows.serving.automations import register, take_addresses
from flows.serving.events import DATASET_CHANGED, RETRAINED
from flows.serving.schedule import Schedule, read_schedule
from flows.serving.triggers import cron_of, deployments
from flows.serving.watchdog import watch_signs
from saliency_audit.errors import AuditError, ParameterError
from tasks import places
from tasks.stage import INTERRUPTED
from tasks.supervision import RUN, ended

#: Seconds that audits in progress may take to end.
PATIENCE = 30.0


def command(
    config: Annotated[
        Path | None,
        typer.Option(
            callback=from_there, help="What to serve, and when; default: deploy/serve.yaml."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is heard on this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect server.")] = 4200,
) -> None:
    """Audit on a schedule, when a classifier is retrained, and when data changes.

    Starts a Prefect server (or uses PREFECT_API_URL) and audits the revision that deploy/serve.yaml
    names: each audit in a git worktree of its own, committed on a branch audit/<date>-<digest>.
    This checkout stays as it is, and must hold nothing that is not committed. Ctrl-C ends it.
    """
    sys.exit(serve_audits(Path.cwd(), config, host, port))


def serve_audits(root: Path, config: Path | None, host: str, port: int) -> int:
    """Serve until interrupted; gives the exit code."""
    console = Voice()
    interruptible()
    try:
        schedule = read_schedule(root, config)
        refuse_dirty(root, "serve")
        commit = commit_of(root, schedule.revision)
        _check_host(host)
        cron = cron_of(schedule)
        ways = take_addresses(schedule.alerts)
        apart = use_running(root) is not None
        if config is not None:
            from flows.serving.deployments import CONFIG

            os.environ[CONFIG] = str(config)
        with hold(root / places.LOCAL / "serve.lock") as held:
            # The server and the audits in progress end with this process, however that ends.
            os.environ[RUN] = str(held.resolve())
            with served(root, host, port) as url:
                _say(console, root, schedule, commit, url)
                asyncio.run(register(root, schedule.alerts, ways, apart))
                try:
                    asyncio.run(_serve(root, schedule, deployments(schedule, cron)))
                finally:
                    _await_audits(root)
    except AuditError as error:
        return console.complain(error)
    except (KeyboardInterrupt, SystemExit):
        # Prefect's runner takes SIGTERM itself, ends its runs, and exits with 0.
        pass
    console.say("no longer serving")
    return INTERRUPTED


def _await_audits(root: Path) -> None:
    """Wait until the audits in progress, which were asked to end, have ended.

    Their runs tell the server how they end, and would look for it for a minute were it gone.
    """
    until = time.monotonic() + PATIENCE
    locks = [audit.path / places.LOCAL / "run.lock" for audit in listed(root)]
    while not all(ended(lock) for lock in locks) and time.monotonic() < until:
        time.sleep(0.2)


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ParameterError(
            f"--host is {host!r}: give an address of this machine, such as 127.0.0.1"
        ) from None


def _say(console: Voice, root: Path, schedule: Schedule, commit: str, url: str) -> None:
    lines = [
        f"serving audits of {schedule.revision} ({commit[:12]}) at {url.removesuffix('/api')}",
        f"  its password is in {root / SECRET}",
        f"  on schedule: {schedule.cron or 'never'}, {schedule.timezone}",
        f"  on the events {RETRAINED} and {DATASET_CHANGED}",
        "  looking for newer weights and data: "
        + (f"every {schedule.watch_minutes:g} minutes" if schedule.watch_minutes else "never"),
        f"  weights may come from: {', '.join(schedule.models) or 'nowhere'}",
        f"  each audit is committed as audit/<date>-<digest>, pushed to: {schedule.push or 'none'}",
        f"  told: {said(schedule.alerts)}",
    ]
    for line in lines:
        console.say(line)


async def _serve(root: Path, schedule: Schedule, offered: list[Any]) -> None:
    """Register the deployments and run what comes due, one at a time, until cancelled."""
    from prefect.client.orchestration import get_client
    from prefect.runner import Runner

    # One at a time: a newer digest waits its turn behind a running audit.
    runner = Runner(name="saliency-audit", limit=1, pause_on_shutdown=False)
    known: list[Any] = []
    for deployment in offered:
        known.append(await runner.add_deployment(deployment))  # type: ignore[misc]
    async with get_client() as client:
        # What changed while nobody served.
        await client.create_flow_run_from_deployment(known[0], parameters={"reason": "start"})
    done = watch_signs(root, schedule, str(known[0]))
    try:
        await runner.start()
    finally:
        done.set()
