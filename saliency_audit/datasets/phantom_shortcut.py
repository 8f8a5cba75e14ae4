"""A planted shortcut: a ruler or a letter that goes with one label, outside of what it marks.

A classifier that learns it looks at the wrong place, and an audit must find that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.phantom_fields import Field, canvas, soft
from saliency_audit.errors import ParameterError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Share, Text


@dataclass(frozen=True)
class Shortcut(Checked):
    """What is planted, and how closely it goes with a label.

    ``label``: the label that it goes with; ``probability``: of the shortcut in an image with that
    label, 0 to 1; ``otherwise``: in one without, 0 to 1; ``kind``: ``ruler`` (a graded edge, as
    on skin images) or ``marker`` (the letter L in a corner, as on chest films).

    >>> Shortcut("nodule", probability=1.2)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: probability is 1.2: give 0 to 1
    """

    label: Text
    probability: Share = 0.95
    otherwise: Share = 0.05
    kind: Literal["ruler", "marker"] = "ruler"

    def check_label(self, labels: tuple[str, ...]) -> None:
        """Raise ParameterError where the source has no such label."""
        if self.label not in labels:
            raise ParameterError(
                f"shortcut.label is {self.label!r}: give one of {', '.join(labels)}"
            )

    def planted(self, labels: tuple[str, ...], rng: np.random.Generator) -> bool:
        """Draw whether an image with these labels has the shortcut."""
        chance = self.probability if self.label in labels else self.otherwise
        return bool(rng.random() < chance)

    def cover(self, taken: NDArray[np.bool_], rng: np.random.Generator) -> Field:
        """Draw the shortcut where least is taken; gives its cover (H, W), 0 to 1.

        ``taken``: bool (H, W), the union of the image's masks, which stays free of it.
        """
        draw = _ruler if self.kind == "ruler" else _letter
        shift = float(rng.uniform(-1, 1))
        size = (taken.shape[0], taken.shape[1])
        drawn = [draw(size, shift, int(place)) for place in rng.permutation(4)]
        best = min(drawn, key=lambda cover: float((cover * taken).sum()))
        free: Field = np.where(taken, np.float32(0), best)
        return free


def _ruler(size: tuple[int, int], shift: float, side: int) -> Field:
    """Draw ticks along one of four edges, every fifth one long."""
    grid = canvas(size if side % 2 == 0 else (size[1], size[0]))
    phase = (grid.x + np.float32(0.02 * shift)) / np.float32(0.06)
    number = np.floor(phase)
    across = np.abs(phase - number - np.float32(0.5)) * np.float32(0.06) - np.float32(0.009)
    length = np.where(number % 5 == 2, np.float32(0.10), np.float32(0.06))
    depth = np.float32(1) - grid.y
    ticks = soft(np.maximum(across, depth - length), grid.pixel)
    line = soft(depth - np.float32(0.02), grid.pixel)
    return np.rot90(np.maximum(ticks, line), side)


def _letter(size: tuple[int, int], shift: float, corner: int) -> Field:
    """Draw the letter L, upright, near one of four corners."""
    grid = canvas(size)
    left = (0.05 if corner % 2 == 0 else 0.85) + 0.02 * shift
    top = 0.05 if corner < 2 else 0.82
    x, y = grid.x - np.float32(left), grid.y - np.float32(top)
    stem = np.maximum(np.abs(x - np.float32(0.018)) - 0.018, np.abs(y - np.float32(0.065)) - 0.065)
    foot = np.maximum(np.abs(x - np.float32(0.045)) - 0.045, np.abs(y - np.float32(0.112)) - 0.018)
    return soft(np.minimum(stem, foot).astype(np.float32), grid.pixel)
