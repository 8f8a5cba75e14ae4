"""How a person is spoken to: exit codes, errors and interrupts of every command."""

from __future__ import annotations

import signal

from rich.console import Console

from saliency_audit.errors import AuditError
from tasks.stage import exit_code

#: Exit codes besides those of a stage; docs/commands.md lists all.
DONE, BUSY = 0, 6


def complain(console: Console, error: AuditError) -> int:
    """Print an error; gives the exit code that goes with it."""
    console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    return exit_code(error)


def interruptible() -> None:
    """Take SIGTERM as Ctrl-C: whoever ends a run ends its stages, too, and none is left writing."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, _interrupt)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
