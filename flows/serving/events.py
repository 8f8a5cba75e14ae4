"""The events that start audits and that audits end with: names, payloads, and how they are sent.

An event says what is new or what came of it; it never says what to run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flows.ground.prefect_client import ask
from saliency_audit.errors import AuditError

RETRAINED = "classifier.retrained"
DATASET_CHANGED = "dataset.changed"
FINISHED = "audit.finished"
FAILED = "audit.failed"
#: A time of the schedule passed without an audit; a worker, or what serves, gives no sign of life.
MISSED = "schedule.missed"
SILENT = "worker.silent"
SERVING = "audits.served"
#: A person tries whether a message arrives.
TRIED = "alert.tried"
#: The label of an event's resource that says what one may be told of.
KIND = "saliency-audit.kind"


class EventError(AuditError):
    """An event could not be sent."""


def emit(event: str, name: str, payload: Mapping[str, Any], kind: str | None = None) -> str:
    """Send an event to the Prefect server in use; gives its id when the server has it.

    ``name``: what it is about; ``kind``: what one may be told of by it. Raises EventError where no
    server takes it.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.events import Event, Resource

    about = event.split(".", 1)[0]
    labels = {} if kind is None else {KIND: kind}
    sent = Event(
        event=event,
        resource=Resource(
            {"prefect.resource.id": f"saliency-audit.{about}.{_slug(name)}", **labels}
        ),
        payload=dict(payload),
    )
    try:
        with get_client(sync_client=True) as client:
            ask(client, "/events", [sent.model_dump(mode="json")])
    except httpx.HTTPError as error:
        raise EventError(
            f"{event} was not sent: {error}: is `saliency-audit serve` running, or PREFECT_API_URL "
            "set to a server's address?"
        ) from None
    return str(sent.id)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
