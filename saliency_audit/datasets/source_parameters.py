"""What several sources declare of their parameters alike."""

from __future__ import annotations

from typing import Annotated

from saliency_audit.ranges import Count, Interval

#: Pixels of a side: no smaller image can be explained.
Side = Annotated[int, Interval(ge=8)]
#: Working resolution, height and width in pixels.
Size = tuple[Side, Side]
#: How many images are taken; None for all.
Choice = Count | None
