"""The events that start audits and that audits end with: names, payloads, and how they are sent.

An event says what is new or what came of it; it never says what to run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from saliency_audit.errors import AuditError

RETRAINED = "classifier.retrained"
DATASET_CHANGED = "dataset.changed"
FINISHED = "audit.finished"
FAILED = "audit.failed"


class EventError(AuditError):
    """An event could not be sent."""


def emit(event: str, name: str, payload: Mapping[str, Any]) -> None:
    """Send an event to the Prefect server in use; returns when the server has it.

    ``name``: what it is about; raises EventError where no server takes it.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.events import Event, Resource

    kind = event.split(".", 1)[0]
    sent = Event(
        event=event,
        resource=Resource({"prefect.resource.id": f"saliency-audit.{kind}.{_slug(name)}"}),
        payload=dict(payload),
    )
    try:
        with get_client(sync_client=True) as client:
            answer = client._client.post("/events", json=[sent.model_dump(mode="json")])
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise EventError(
            f"{event} was not sent: {error}: is `saliency-audit serve` running, or PREFECT_API_URL "
            "set to a server's address?"
        ) from None


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
