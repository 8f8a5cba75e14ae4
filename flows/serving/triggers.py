"""What `serve` does when: which flow of ``deployments`` is started by which event or time.

What those flows do is there; what events there are is in ``events``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flows.serving.events import DATASET_CHANGED, RETRAINED
from flows.serving.schedule import Schedule
from saliency_audit.errors import ParameterError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule


def cron_of(schedule: Schedule) -> CronSchedule | None:
    """Give when audits are made; raises ParameterError for what is no schedule."""
    from prefect.client.schemas.schedules import CronSchedule

    if schedule.cron is None:
        return None
    try:
        return CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    except ValueError as error:
        raise ParameterError(
            f"cron is {schedule.cron!r}, timezone {schedule.timezone!r}: "
            f"{str(error).splitlines()[-1].strip()}: give five fields, such as 0 3 * * *, and a "
            "zone such as UTC or Europe/Rome"
        ) from None


def deployments(schedule: Schedule, cron: CronSchedule | None) -> list[Any]:
    """Give the deployments. Their runs queue at the runner, which does one at a time.

    A deployment's own concurrency limit would do that, too, but in Prefect 3.8 a run of it that
    waits for its process may lose its slot and be cancelled, and with it the event.
    """
    from prefect.events import DeploymentEventTrigger

    from flows.serving.deployments import re_audit, watch

    named = {key: from_event(f"payload.{key}") for key in ("classifier", "reference", "digest")}
    offered: list[Any] = [
        re_audit.to_deployment(
            "audits",
            schedules=[cron] if cron else [],
            triggers=[
                DeploymentEventTrigger(
                    name="a classifier was retrained",
                    expect={RETRAINED},
                    match={"prefect.resource.id": "saliency-audit.classifier.*"},
                    parameters={"reason": RETRAINED, **named, "at": from_event("occurred")},
                ),
                DeploymentEventTrigger(
                    name="data changed",
                    expect={DATASET_CHANGED},
                    match={"prefect.resource.id": "saliency-audit.dataset.*"},
                    parameters={"reason": DATASET_CHANGED},
                ),
            ],
            description="Audits the served revision in a worktree; a branch for each audit.",
            tags=["saliency-audit"],
        )
    ]
    if schedule.watch_minutes:
        offered.append(
            watch.to_deployment(
                "newer",
                interval=timedelta(minutes=schedule.watch_minutes),
                description="Looks for newer weights and data.",
                tags=["saliency-audit"],
            )
        )
    return offered


def from_event(key: str) -> dict[str, Any]:
    """Have Prefect take a parameter from the event."""
    return {"__prefect_kind": "jinja", "template": f"{{{{ event.{key} }}}}"}
