"""RISE: how the probability changes when random parts of the image are visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from saliency_audit.attribution.method import RawMap
from saliency_audit.attribution.orthogonal import Design
from saliency_audit.attribution.perturbation import Perturbation
from saliency_audit.attribution.random_masks import mask_stream
from saliency_audit.attribution.scores import Score, explained_scores
from saliency_audit.errors import ParameterError
from saliency_audit.ranges import Count, OpenShare, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


#: Cells per side of the finest orthogonal grid: its matrix has the square of their number.
MOST_ORTHOGONAL = 64


@dataclass(frozen=True)
class Rise(Perturbation):
    """RISE (Petsiuk et al. 2018), with masks M_i and f_i the explained score of x ⊙ M_i.

    ``estimator``: ``centred`` is Σ (f_i - f̄) M_i / Σ M_i per pixel, shifted to a minimum of 0;
    ``plain`` is the paper's Σ f_i M_i / (N · visible) (Eq 6), which carries how often each pixel
    happened to be visible. ``design``: how masks are drawn (see ``random_masks``); ``orthogonal``
    reaches the same error with fewer of them, and takes ``visible`` 0.5. ``samples``: masks N per
    image, 1 or more (``centred``: 2); ``grid``: cells s per side, 1 or more and no more than the
    image has pixels; ``visible``: probability p₁ of a cell to be visible, in (0, 1); ``score``:
    ``probability`` as in the paper, or ``logit``; ``seed``: 0 or more.

    The paper's own RISE is ``estimator`` plain with ``design`` independent and 4,000 samples or
    more.
    """

    #: With most models as near to the limit as 4,000 independent ones and the plain estimator.
    samples: Count = 512
    grid: Count = 7
    visible: OpenShare = 0.5
    estimator: Literal["centred", "plain"] = "centred"
    design: Design = "orthogonal"
    score: Score = "probability"
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the ranges, and how they go together; raises ParameterError."""
        super().__post_init__()
        if self.estimator == "centred" and self.samples < 2:
            raise ParameterError(
                f"samples is {self.samples}: estimator {self.estimator} takes 2 or more"
            )
        if self.design == "orthogonal" and self.visible != 0.5:
            raise ParameterError(
                f"visible is {self.visible}, but design orthogonal shows half of the cells: give "
                "0.5, or design independent"
            )
        if self.design == "orthogonal" and self.grid > MOST_ORTHOGONAL:
            raise ParameterError(
                f"grid is {self.grid}, but design orthogonal takes at most {MOST_ORTHOGONAL}: give "
                "a coarser one, or design independent"
            )
        if self.estimator == "plain" and self.score == "logit":
            raise ParameterError("estimator plain sums scores: give it score probability")

    @property
    def words(self) -> str:
        """How many masks, of how many cells, and what is made of them.

        >>> Rise().words
        '512 orthogonal masks of 7×7 cells, centred estimator of the probability, seed 0'
        """
        cells = f"{self.grid}×{self.grid} cells"  # noqa: RUF001
        if self.visible != 0.5:
            cells += f", each visible with probability {self.visible:g}"
        return (
            f"{self.samples:,} {self.design} masks of {cells}, {self.estimator} estimator of the "
            f"{self.score}, seed {self.seed}"
        )

    def explain_image(
        self,
        classifier: Classifier,
        image: Tensor,
        labels: Sequence[int],
        key: str,
        compute: Compute,
    ) -> list[RawMap]:
        """Give the maps of one image, from sums over a stream of masks."""
        size = (int(image.shape[1]), int(image.shape[2]))
        if self.grid > min(size):
            raise ParameterError(
                f"grid is {self.grid}, but the images have {size[0]}x{size[1]} pixels: "
                f"give at most {min(size)}"
            )
        # Channels last from the start: no copy of every batch into that layout.
        pixels = image.to(compute.device).permute(1, 2, 0).contiguous()
        sums = _Sums(len(labels), size[0] * size[1], compute.device)
        for masks in mask_stream(
            self.samples,
            self.grid,
            self.visible,
            size,
            seed=self.seed,
            key=key,
            design=self.design,
            rows=compute.batch,
            device=compute.device,
        ):
            shown = (pixels * masks.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            scores = explained_scores(classifier, shown, self.score, compute)
            sums.add(scores[:, list(labels)], masks.flatten(1))
        maps = sums.plain(self.visible) if self.estimator == "plain" else sums.centred()
        return [RawMap(np.asarray(m.view(size).cpu().numpy())) for m in maps]


class _Sums:
    """Sums over masks: of (f - f_1) M, of M, and of f - f_1.

    As differences from the first score, because a constant score then gives exactly 0. Batches
    are summed in float32, and their sums in float64. Each label is summed on its own, so that its
    bits do not depend on the labels beside it.
    """

    def __init__(self, labels: int, pixels: int, device: str) -> None:
        import torch

        self._count = 0
        self._first = torch.zeros(labels, device=device)
        self._deviation = torch.zeros(labels, dtype=torch.float64, device=device)
        self._weighted = self._deviation.new_zeros((labels, pixels))
        self._coverage = self._deviation.new_zeros(pixels)

    def add(self, scores: Tensor, masks: Tensor) -> None:
        """Add scores (n, L) of masks (n, H·W), both float32."""
        if self._count == 0:
            self._first = scores[0].clone()
        self._count += len(scores)
        self._coverage += masks.sum(dim=0)
        for label, deviations in enumerate((scores - self._first).to(masks.dtype).T.contiguous()):
            self._weighted[label] += deviations @ masks
            self._deviation[label] += deviations.sum()

    def plain(self, visible: float) -> Tensor:
        """Give Σ f M / (N · visible), (L, H·W)."""
        offset = self._first[:, None] * self._coverage
        return (self._weighted + offset) / (self._count * visible)

    def centred(self) -> Tensor:
        """Give Σ (f - f̄) M / Σ M, (L, H·W), each shifted to a minimum of 0."""
        mean = self._deviation[:, None] / self._count
        maps = (self._weighted - mean * self._coverage) / self._coverage
        return maps - maps.amin(dim=1, keepdim=True)
