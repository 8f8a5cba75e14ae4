"""Signs of life: workers that have gone silent, audits not made at their time or broken off.

`saliency-audit serve` looks every now and then, beside the audits, and sends an event for what it
misses. A file keeps what was told, and when it last looked: what passed while nobody served is
told when somebody does again.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from flows.ground.prefect_client import ask as ask_server
from flows.serving.alerts import letter
from flows.serving.events import FAILED, MISSED, SERVING, SILENT, emit
from flows.serving.schedule import Schedule
from tasks import places
from tasks.artifacts import partial

FILE = places.LOCAL / "signs.json"
#: Seconds between two looks, at most.
LOOK = 60.0
#: Times of the schedule that are looked at after a long absence.
MOST = 500

Ask = Callable[[str, dict[str, Any]], Any]


@dataclass
class Memory:
    """What was seen and told so far.

    ``looked``: when last; ``waiting``: times of the schedule whose audit has not begun; ``silent``:
    the last sign of each worker that was told of, by pool and name; ``busy``: when an audit was
    last seen running.
    """

    looked: datetime
    waiting: list[datetime] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)
    busy: datetime | None = None

    @classmethod
    def read(cls, root: Path, now: datetime) -> Memory:
        """Read it; a new one where there is none."""
        try:
            kept = json.loads((root / FILE).read_text("utf-8"))
            return cls(
                datetime.fromisoformat(kept["looked"]),
                [datetime.fromisoformat(due) for due in kept["waiting"]],
                dict(kept["silent"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls(now)

    def write(self, root: Path) -> None:
        """Keep it."""
        kept = {
            "looked": self.looked.isoformat(),
            "waiting": [due.isoformat() for due in self.waiting],
            "silent": self.silent,
        }
        with partial(root / FILE) as beside:
            beside.write_text(json.dumps(kept, indent=1), "utf-8")


def watch_signs(root: Path, schedule: Schedule, deployment: str) -> Event:
    """Look for as long as this process lives, or until the event that it gives is set.

    ``deployment``: the id of the one whose runs are audits.
    """
    alerts = schedule.alerts
    pause = min(LOOK, 30 * alerts.late_minutes, 30 * alerts.silent_minutes)
    done = Event()

    def keep_looking() -> None:
        from prefect.client.orchestration import get_client

        started = datetime.now(UTC)
        memory = Memory.read(root, started)
        told: set[str] = set()
        while not done.is_set():
            try:
                with get_client(sync_client=True) as client:
                    ask = asking(client)
                    look(root, schedule, deployment, ask, memory, datetime.now(UTC))
                    broken_off(root, deployment, ask, started, told)
                    facts = {"who": "what serves the audits"}
                    emit(SERVING, root.name, letter("silent", root, facts), "serving")
            except Exception as error:
                # A look that fails must end neither audits nor later looks.
                logging.getLogger(__name__).warning("signs of life: %s", error)
            done.wait(pause)

    Thread(target=keep_looking, name="signs", daemon=True).start()
    return done


def asking(client: Any) -> Ask:
    """Give a function that asks the server of a client."""
    return functools.partial(ask_server, client)


def workers(ask: Ask) -> list[dict[str, Any]]:
    """Give the workers that the server knows, and their last signs of life."""
    found = []
    for pool in ask("/work_pools/filter", {}):
        for worker in ask(f"/work_pools/{pool['name']}/workers/filter", {}):
            found.append(
                {
                    "pool": pool["name"],
                    "name": worker["name"],
                    "status": worker["status"],
                    "last_sign": worker["last_heartbeat_time"],
                }
            )
    return found


def look(
    root: Path, schedule: Schedule, deployment: str, ask: Ask, memory: Memory, now: datetime
) -> None:
    """Look once: send an event for each worker that has gone silent and each audit missed."""
    _look_at_workers(root, ask, memory, now, timedelta(minutes=schedule.alerts.silent_minutes))
    memory.waiting += due_between(schedule, memory.looked, now)
    memory.looked = now
    if memory.waiting:
        _look_at_schedule(root, schedule, deployment, ask, memory, now)
    memory.write(root)


def _look_at_workers(
    root: Path, ask: Ask, memory: Memory, now: datetime, patience: timedelta
) -> None:
    known = {}
    for worker in workers(ask):
        key, sign = f"{worker['pool']}/{worker['name']}", str(worker["last_sign"])
        if worker["last_sign"] is None or now - datetime.fromisoformat(sign) <= patience:
            continue
        known[key] = sign
        if memory.silent.get(key) != sign:
            who = f"worker {worker['name']} of the pool {worker['pool']}"
            facts = {**worker, "who": who}
            emit(SILENT, key, {**facts, **letter("silent", root, facts)}, "silent")
    # One that gives signs again, or was taken away, may fall silent anew.
    memory.silent = known


def due_between(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Give the times of the schedule after one time and up to another."""
    if schedule.cron is None:
        return []
    from prefect.server.schemas.schedules import CronSchedule

    cron = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    dates = asyncio.run(cron.get_dates(n=MOST, start=after, end=until))
    return [date.astimezone(UTC) for date in dates if after < date <= until]


def _look_at_schedule(
    root: Path, schedule: Schedule, deployment: str, ask: Ask, memory: Memory, now: datetime
) -> None:
    """Forget the times whose audit has begun, or was cancelled; tell of those that are missed.

    As long as an audit runs, the next one waits its turn and is not missed.
    """
    if ask("/flow_runs/filter", _runs(deployment, {"state": {"type": {"any_": ["RUNNING"]}}})):
        memory.busy = now
        return
    first = (min(memory.waiting) - timedelta(seconds=1)).isoformat()
    runs = ask("/flow_runs/filter", _runs(deployment, {"expected_start_time": {"after_": first}}))
    begun = {
        datetime.fromisoformat(run["expected_start_time"]).replace(microsecond=0)
        for run in runs
        if run["start_time"] is not None or run["state_type"] == "CANCELLED"
    }
    memory.waiting = [due for due in memory.waiting if due not in begun]
    patience = timedelta(minutes=schedule.alerts.late_minutes)
    missed = [d for d in memory.waiting if now - max(d, memory.busy or d) > patience]
    if missed:
        last = max(missed).isoformat()
        facts: dict[str, Any] = {"due": last, "cron": schedule.cron, "missed": len(missed)}
        if len(missed) > 1:
            facts["due"] = f"{last}, and {len(missed) - 1} before it"
        emit(MISSED, "re-audit", {**facts, **letter("missed", root, facts)}, "missed")
        memory.waiting = [due for due in memory.waiting if due not in missed]


def broken_off(root: Path, deployment: str, ask: Ask, since: datetime, told: set[str]) -> None:
    """Tell of each audit whose process died since a time: it could not tell itself."""
    chosen = {
        "state": {"type": {"any_": ["CRASHED"]}},
        "end_time": {"after_": since.isoformat()},
    }
    for run in ask("/flow_runs/filter", _runs(deployment, chosen)):
        if run["id"] in told:
            continue
        facts = {
            "reason": run["parameters"].get("reason", ""),
            "state": "failed",
            "error": f"its process died: {run['state']['message'] or 'no message'}",
        }
        emit(FAILED, run["id"], {**facts, **letter("failed", root, facts)}, "failed")
        told.add(run["id"])


def _runs(deployment: str, chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": chosen,
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": 200,
    }
