"""How a stage shows its progress: a bar on a terminal, lines of JSON for the flow."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


class Reporter:
    """Progress of one stage.

    Draws a bar where standard error is a terminal. Where the environment variable
    ``SALIENCY_PROGRESS`` names a file, appends ``{"stage", "done", "total"}`` to it, and
    ``{"stage", "finished": true}`` when all its work is done.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        file = os.environ.get("SALIENCY_PROGRESS")
        self._file = Path(file) if file else None
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Report ``done`` of ``total``."""
        if self._file is not None:
            self._append(done=done, total=total)
        elif sys.stderr.isatty():
            self._draw(done, total)

    def finish(self) -> None:
        """Report that the work is done and its outputs are written."""
        if self._file is not None:
            self._append(finished=True)

    def _append(self, **what: object) -> None:
        assert self._file is not None
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"stage": self._stage, **what}) + "\n")

    def _draw(self, done: int, total: int | None) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(desc=self._stage, total=total, leave=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
