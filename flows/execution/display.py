"""What a person sees while an audit runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from flows.execution.estimate import Estimate, Underway
from flows.execution.observers import Observer
from flows.execution.stage import Outcome, read_progress
from flows.ground.console import Voice

#: How each end of a stage is shown.
MARKS = {"ran": "[green]ran[/]", "cached": "[cyan]cached[/]", "unchanged": "[cyan]unchanged[/]"}


class Display(Observer):
    """Shows each running stage with its progress, each finished one with its time, and the rest.

    ``estimate`` says how long the rest may take.
    """

    def __init__(self, console: Voice, total: int, estimate: Estimate) -> None:
        self._console = console
        self._total = total
        self._estimate = estimate
        self._done: set[str] = set()
        self._failed: set[str] = set()
        self._started: dict[str, float] = {}
        self._bars: dict[str, TaskID] = {}
        self._folders: dict[str, Path] = {}
        self._drawn = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._progress.add_task("all stages", total=total, left="")

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
        self._started[name] = time.monotonic()
        self._bars[name] = self._progress.add_task(name, total=None, left="")

    def tick(self) -> None:
        """Draw how far the running stages are, twice a second."""
        if time.monotonic() - self._drawn < 0.5 or not self._console.is_terminal:
            return
        self._drawn = time.monotonic()
        for name, bar in self._bars.items():
            seen = read_progress(self._folders[name], name)
            if seen is not None:
                self._progress.update(bar, completed=seen[0], total=seen[1])
        self._progress.update(self._all, completed=self._ended(), left=self._left())

    def _left(self) -> str:
        """Say how long the rest may take."""
        underway = {
            name: Underway(time.monotonic() - self._started[name], self._share(name))
            for name in self._bars
        }
        return f"time left: {self._estimate(self._done, underway, self._failed)}"

    def _share(self, name: str) -> float | None:
        seen = read_progress(self._folders[name], name)
        return seen[0] / seen[1] if seen is not None and seen[1] else None

    def finished(self, outcome: Outcome) -> None:
        """Print one line for a finished stage."""
        (self._failed if outcome.state == "failed" else self._done).add(outcome.name)
        self._progress.remove_task(self._bars.pop(outcome.name))
        # On a terminal the bar of all stages says it.
        left = "" if self._console.is_terminal or self._is_last() else f"; {self._left()}"
        mark = MARKS.get(outcome.state, "[red]failed[/]")
        self._console.print(
            f"[{self._ended():>3}/{self._total}] {mark} {outcome.name} "
            f"({outcome.seconds:.1f} s){left}",
            highlight=False,
            soft_wrap=True,
        )
        if outcome.error:
            self._console.say(f"        {outcome.error}", "red")
            self._console.say(f"        log: {outcome.log}")

    def _ended(self) -> int:
        return len(self._done) + len(self._failed)

    def _is_last(self) -> bool:
        return self._ended() == self._total
