"""`saliency-audit status`: schedules, last audits, what is stale and why, workers, disk."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.execution.graph import plan, read_graph
from flows.ground.console import Voice
from flows.ground.git import GitError
from flows.ground.server import use_running
from flows.ground.worktrees import FOLDER, listed
from flows.history.past_audits import past_audits
from flows.serving.alerts import said
from flows.serving.schedule import AUDITS, read_schedule
from flows.serving.watchdog import asking, workers
from saliency_audit.errors import AuditError
from tasks import places


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON on standard output.")
    ] = False,
) -> None:
    """Say how this checkout stands: schedule, last audits, what is stale and why, workers, disk."""
    sys.exit(say_status(Path.cwd(), as_json))


def say_status(root: Path, as_json: bool) -> int:
    """Print how this checkout stands; gives the exit code."""
    console = Voice(stderr=as_json)
    try:
        found = status(root)
    except AuditError as error:
        return Voice().complain(error)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    _draw(console, found)
    return 0


def status(root: Path) -> dict[str, Any]:
    """Give how a checkout stands, as JSON can hold it."""
    url = use_running(root)
    graph = read_graph(root)
    names = plan(graph)
    schedule = read_schedule(root)
    return {
        "schedule": asdict(schedule),
        "alerts": said(schedule.alerts),
        "server": url,
        "last_audits": _last(root),
        "stages": len(graph),
        "stale": {name: list(graph[name].stale) for name in names},
        **(_served() if url else {"next": [], "running": [], "workers": []}),
        "disk": {name: _size(path) for name, path in kinds(root).items()},
        "worktrees": len(listed(root)),
    }


def kinds(root: Path) -> dict[str, list[Path]]:
    """Give what takes disk, by what it is."""
    local = root / places.LOCAL
    return {
        "artifacts": [root / places.DATA, root / places.REPORTS],
        "DVC cache": [_cache(root)],
        "finished maps": sorted(local.glob("maps.sqlite*")),
        "worktrees of audits": [root / FOLDER],
        "checkpoints": [local / "checkpoints"],
        "logs": [local / "logs"],
        "Prefect": [local / "prefect"],
    }


def _cache(root: Path) -> Path:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        return Path(repo.cache.local.path).parent.parent


def _last(root: Path) -> dict[str, dict[str, str]]:
    """Give the newest audit of each classifier."""
    found: dict[str, dict[str, str]] = {}
    try:
        audits = past_audits(root)
    except GitError:
        return found
    for audit in audits:
        for classifier, digest in audit.classifiers.items():
            found.setdefault(
                classifier,
                {
                    "branch": audit.branch,
                    "date": audit.date,
                    "result": audit.result,
                    "digest": digest,
                },
            )
    return found


def _served() -> dict[str, Any]:
    """Give what the server knows: runs to come, runs in progress, workers and their last sign."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        ask = asking(client)

        flows = {flow["id"]: flow["name"] for flow in ask("/flows/filter", {})}

        def runs(state: str) -> list[dict[str, Any]]:
            chosen = {
                "flow_runs": {"state": {"type": {"any_": [state]}}},
                "sort": "EXPECTED_START_TIME_ASC",
                "limit": 20,
            }
            return [
                {
                    "name": _title(flows.get(run["flow_id"], "unknown"), run["parameters"]),
                    "run": run["name"],
                    "at": run["start_time"] or run["expected_start_time"],
                }
                for run in ask("/flow_runs/filter", chosen)
            ]

        return {
            "next": runs("SCHEDULED"),
            "running": runs("RUNNING"),
            "workers": workers(ask),
        }


def _title(flow: str, parameters: dict[str, Any]) -> str:
    """Say what a run does: until one starts, its name in Prefect is one drawn by chance.

    >>> _title("re-audit", {"reason": "retrained", "classifier": "knees"})
    're-audit of knees, retrained'
    >>> _title("re-audit", {}), _title("watch", {})
    ('re-audit, schedule', 'watch')
    """
    if flow != AUDITS:
        return flow
    classifier = parameters.get("classifier")
    of = f" of {classifier}" if classifier else ""
    return f"{flow}{of}, {parameters.get('reason') or 'schedule'}"


def _size(paths: list[Path]) -> int:
    """Give the bytes under some paths; links are not followed, and a file with two names is one."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for top in paths:
        if top.is_file():
            total += top.stat().st_size
            continue
        for folder, _, files in os.walk(top):
            for name in files:
                try:
                    found = (Path(folder) / name).lstat()
                except FileNotFoundError:
                    continue
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    total += found.st_size
    return total


def _draw(console: Voice, found: dict[str, Any]) -> None:
    schedule = found["schedule"]
    say = _lines(console)
    say(f"server: {found['server'] or 'none runs (saliency-audit serve)'}")
    say(f"schedule: {schedule['cron'] or 'none'} {schedule['timezone']}, of {schedule['revision']}")
    say(f"told: {found['alerts']}")
    for kind in ("next", "running"):
        for name, first, others in _by_name(found[kind]):
            say(f"{kind}: {name}, {first}{f', and {others} later' if others else ''}")
    for worker in found["workers"]:
        say(
            f"worker: {worker['name']} of {worker['pool']}: {worker['status'].lower()}, last sign "
            f"{worker['last_sign']}"
        )
    if found["last_audits"]:
        table = Table("classifier", "last audit", "result", "branch", box=None)
        for name, audit in found["last_audits"].items():
            table.add_row(name, audit["date"], audit["result"], audit["branch"])
        console.print(table)
    else:
        say("audits: none is committed yet (saliency-audit serve, backfill)")
    stale = {name: why for name, why in found["stale"].items() if why}
    say(f"stale: {len(found['stale'])} of {found['stages']} stages")
    for name, why in stale.items():
        more = f" and {len(why) - 2} more" if len(why) > 2 else ""
        say(f"  {name}: {'; '.join(why[:2])}{more}")
    for name, size in found["disk"].items():
        say(f"disk: {name}: {size / 2**20:,.1f} MiB")


def _by_name(runs: list[dict[str, str]]) -> Iterator[tuple[str, str, int]]:
    """Give of each name the time of its first run, and how many follow.

    >>> pairs = [("watch", "3"), ("audit", "4"), ("watch", "5")]
    >>> list(_by_name([{"name": name, "at": at} for name, at in pairs]))
    [('watch', '3', 1), ('audit', '4', 0)]
    """
    times: dict[str, list[str]] = {}
    for run in runs:
        times.setdefault(run["name"], []).append(run["at"])
    for name, (first, *later) in times.items():
        yield name, first, len(later)


def _lines(console: Voice) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.say(text)

    return say
