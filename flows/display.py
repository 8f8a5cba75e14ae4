"""What a person sees while an audit runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.stages import Outcome, read_progress
from flows.watch import Watch

#: How each end of a stage is shown.
MARKS = {"ran": "[green]ran[/]", "cached": "[cyan]cached[/]", "unchanged": "[cyan]unchanged[/]"}


class Display(Watch):
    """Shows each running stage with its progress, and each finished one with its time."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._bars: dict[str, TaskID] = {}
        self._folders: dict[str, Path] = {}
        self._drawn = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Display:
        """Start to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._progress.stop()

    def started(self, name: str, folder: Path) -> None:
        """Draw a bar for a stage."""
        self._folders[name] = folder
        self._bars[name] = self._progress.add_task(name, total=None)

    def tick(self) -> None:
        """Draw how far the running stages are, twice a second."""
        if time.monotonic() - self._drawn < 0.5 or not self._console.is_terminal:
            return
        self._drawn = time.monotonic()
        for name, bar in self._bars.items():
            seen = read_progress(self._folders[name], name)
            if seen is not None:
                self._progress.update(bar, completed=seen[0], total=seen[1])

    def finished(self, outcome: Outcome) -> None:
        """Print one line for a finished stage."""
        self._done += 1
        self._progress.remove_task(self._bars.pop(outcome.name))
        mark = MARKS.get(outcome.state, "[red]failed[/]")
        self._console.print(
            f"[{self._done:>3}/{self._total}] {mark} {outcome.name} ({outcome.seconds:.1f} s)",
            highlight=False,
            soft_wrap=True,
        )
        if outcome.error:
            self._console.print(
                f"        {outcome.error}",
                style="red",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
            self._console.print(
                f"        log: {outcome.log}", highlight=False, soft_wrap=True, markup=False
            )
