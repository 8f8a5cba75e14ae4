"""The environment of everything that the flow starts: no telemetry, the right Python, one home."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Nobody is told that an audit ran.
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
}


def prepare(root: Path) -> None:
    """Set this process's environment, before Prefect is imported.

    What a person has set stays. Prefect keeps its database under ``.saliency`` of the checkout.
    """
    home = root / ".saliency" / "prefect"
    if (root / "dvc.yaml").is_file():
        # Prefect makes its own folder, but not the one that this lies in.
        home.parent.mkdir(exist_ok=True)
    defaults = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_CLI_COLORS": "false",
        # A server whose database is just being restarted says 500: ask again.
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    os.environ.update(TELEMETRY_OFF)
    # DVC runs a stage's command by the shell's PATH, and does not put its own Python on it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Without compiled modules each stage would import twice as long.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
