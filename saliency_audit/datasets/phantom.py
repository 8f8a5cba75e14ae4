"""What phantoms have in common: their size and seed, the planted shortcut, the noise on top."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.phantom_fields import Field
from saliency_audit.datasets.phantom_groups import SHORTCUT, generator
from saliency_audit.datasets.phantom_shortcut import Shortcut
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.parameters import Checked
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Count, Interval, PositiveShare, Seed, Share

#: Pixels of a side: no smaller drawing shows its structures.
Side = Annotated[int, Interval(ge=16)]


@dataclass(frozen=True)
class Phantom(Checked, ABC):
    """A source of drawn images.

    ``source``: the module that draws them, for whoever follows inputs by their files;
    ``images``: how many, 1 or more; ``size``: (H, W), pixels, 16 or more;
    ``seed``: of the drawing, 0 or more; image n depends on the seed and n alone;
    ``noise``: deviation of the pixel noise as a share of full range, 0 to 1;
    ``contrast``: how strongly what is marked shows, above 0 and at most 1;
    ``shortcut``: what is planted, None for a clean set;
    ``max_set_aside``: kept for likeness with other sources: nothing is set aside.
    """

    source: str = ""
    images: Count = 600
    size: tuple[Side, Side] = (64, 64)
    seed: Seed = 0
    noise: Share = 0.02
    contrast: PositiveShare = 0.8
    shortcut: Shortcut | None = None
    max_set_aside: Share = 0.0

    labels: ClassVar[tuple[str, ...]]
    labelling: ClassVar[Labelling]
    mask_kind: ClassVar[MaskKind]

    def __post_init__(self) -> None:
        """Check the ranges, and the shortcut beside the labels; raises ParameterError."""
        super().__post_init__()
        if self.shortcut is not None:
            self.shortcut.check_label(self.labels)

    def describe(self) -> Description:
        """Say what the source is."""
        return Description(self.labels, self.labelling, self.mask_kind, self.size)

    def samples(self, progress: Progress = silent) -> Iterator[Sample | SetAside]:
        """Draw the images, one at a time."""
        for index in range(self.images):
            yield self.draw(index)
            progress(index + 1, self.images)

    @abstractmethod
    def draw(self, index: int) -> Sample:
        """Draw one image by its number, 0 or more."""

    def planted(
        self,
        index: int,
        colour: Field,
        ink: NDArray[np.float32],
        labels: tuple[str, ...],
        taken: NDArray[np.bool_],
    ) -> tuple[Field, dict[str, str]]:
        """Lay the shortcut over an image, if it gets one; gives the image and its stratum.

        ``colour``: (H, W, C), 0 to 1; ``ink``: of the shortcut, (C,); ``labels``: of the image;
        ``taken``: bool (H, W), what stays free of it. The stratum is empty of a clean set.
        """
        if self.shortcut is None:
            return colour, {}
        # With numbers of its own, so that the rest of the image is as in a clean set.
        rng = generator(self.seed, SHORTCUT, index)
        planted = self.shortcut.planted(labels, rng)
        cover = self.shortcut.cover(taken, rng)[..., None]
        laid: Field = colour + planted * cover * (ink - colour)
        return laid, {"shortcut": "yes" if planted else "no"}

    def developed(self, rng: np.random.Generator, colour: Field) -> NDArray[np.uint8]:
        """Give pixels, uint8 (H, W, C), of colours 0 to 1, float (H, W, C), with noise added."""
        grain = rng.standard_normal(colour.shape, dtype=np.float32)
        bright = np.clip((colour + np.float32(self.noise) * grain) * 255 + np.float32(0.5), 0, 255)
        pixels: NDArray[np.uint8] = bright.astype(np.uint8)
        return pixels
