"""`saliency-audit alert`: whether a message arrives by every way of being told."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.ground.console import DONE, Voice
from flows.ground.server import use_running
from flows.serving.alerts import letter
from flows.serving.automations import results_of
from flows.serving.events import TRIED, EventError, emit
from saliency_audit.errors import AuditError
from tasks.stage import FAILED


def command() -> None:
    """Send a message by every way under alerts in deploy/serve.yaml, and say which arrive.

    `serve` must be running. Exit codes: 0 all were sent, 2 there is no way to tell anybody,
    3 one was not sent, or no server runs.
    """
    sys.exit(try_alerts(Path.cwd()))


def try_alerts(root: Path) -> int:
    """Send a message by every way that serve has registered; gives the exit code."""
    console = Voice()
    try:
        if use_running(root) is None:
            raise EventError(
                "no Prefect server runs here: start `saliency-audit serve`, or set PREFECT_API_URL"
            )
        results = results_of(emit(TRIED, root.name, letter("tried", root, {}), "tried"))
    except AuditError as error:
        return console.complain(error)
    for name, why in results.items():
        console.say(f"{name}: {why or 'sent'}")
    return FAILED if any(results.values()) else DONE
