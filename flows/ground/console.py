"""The one voice of all commands: success, warnings, errors, exit codes and interrupts.

What a command answers, for a program or a pipe, goes to standard output and is no matter of this.
"""

from __future__ import annotations

import signal

from rich.console import Console

from saliency_audit.errors import AuditError
from tasks.stage import exit_code

#: Exit codes besides those of a stage; docs/commands.md lists all.
DONE, DIFFERS, BUSY = 0, 5, 6


class Voice(Console):
    """Speaks to a person: on standard error, whole lines, each word as it is given.

    A path or an image's name may hold what Rich takes for its markup.
    """

    def __init__(self, *, stderr: bool = True, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width)

    def say(self, text: str, style: str | None = None) -> None:
        """Say how things stand."""
        self.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say what a person should know, and need not act on."""
        self.say(text, "yellow")

    def warn(self, text: str) -> None:
        """Say what may mislead."""
        self.note(f"warning: {text}")

    def error(self, text: object) -> None:
        """Say what went wrong."""
        self.say(f"error: {text}", "red")

    def complain(self, error: AuditError) -> int:
        """Say what went wrong; gives the exit code that goes with it."""
        self.error(error)
        return exit_code(error)


def interruptible() -> None:
    """Take SIGTERM as Ctrl-C: whoever ends a run ends its stages, too, and none is left writing."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, _interrupt)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
