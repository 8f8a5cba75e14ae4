"""Checks of parameters that several sources have in common."""

from __future__ import annotations

from saliency_audit.errors import ParameterError
from saliency_audit.ranges import check_at_least

#: No image of fewer pixels a side can be explained.
LEAST_SIDE = 8


def check_size(size: tuple[int, int]) -> None:
    """Refuse a working resolution (H, W) below 8 pixels a side; raises ParameterError."""
    if min(size) < LEAST_SIDE:
        raise ParameterError(
            f"size is {list(size)}: give height and width of {LEAST_SIDE} pixels or more"
        )


def check_choice(images: int | None, seed: int) -> None:
    """Refuse a choice of no images, or a negative seed; raises ParameterError."""
    if images is not None and images < 1:
        raise ParameterError(f"images is {images}: give 1 or more, or leave it out for all")
    check_at_least(0, seed=seed)
