"""Who is told what happens in a flow, as it happens."""

from __future__ import annotations

from pathlib import Path

from flows.execution.stage import Outcome


class Observer:
    """Told what happens in a flow, as it happens; the default says nothing."""

    def started(self, name: str, folder: Path) -> None:
        """Take note that a stage has started; its progress lies in ``folder``."""

    def finished(self, outcome: Outcome) -> None:
        """Take note of how a stage ended."""

    def tick(self) -> None:
        """Take the occasion to draw."""


class Observers(Observer):
    """Tells several others, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def started(self, name: str, folder: Path) -> None:
        """Tell each that a stage has started."""
        for observer in self._observers:
            observer.started(name, folder)

    def finished(self, outcome: Outcome) -> None:
        """Tell each how a stage ended."""
        for observer in self._observers:
            observer.finished(outcome)

    def tick(self) -> None:
        """Give each the occasion to draw."""
        for observer in self._observers:
            observer.tick()
