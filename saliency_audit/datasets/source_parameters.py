"""What several sources declare of their parameters alike."""

from __future__ import annotations

from typing import Annotated

from saliency_audit.ranges import Count, Interval

#: Pixels: no smaller image can be explained.
LEAST_SIDE = 8
#: Pixels of a side.
Side = Annotated[int, Interval(ge=LEAST_SIDE)]
#: Working resolution, height and width in pixels.
Size = tuple[Side, Side]
#: How many images are taken; None for all.
Choice = Count | None
