"""`saliency-audit alert`: whether a message arrives by every way of being told."""

from __future__ import annotations

import sys
from pathlib import Path

from flows.serving.automations import try_alerts


def command() -> None:
    """Send a message by every way under alerts in deploy/serve.yaml, and say which arrive.

    `serve` must be running. Exit codes: 0 all were sent, 2 there is no way to tell anybody,
    3 one was not sent, or no server runs.
    """
    sys.exit(try_alerts(Path.cwd()))
