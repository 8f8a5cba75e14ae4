"""What a classifier is to the rest of the audit: pixels in, one score per label out.

Resizing and normalising happen inside, so that predictions and explanations
all speak of the pixels that a person sees, whatever network stands behind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.outputs import Reading
from saliency_audit.models.preprocessing import Preprocessing
from saliency_audit.models.soundness import (
    check_modules,
    check_not_random,
    check_outputs,
    check_precision,
    random_state,
)


class Classifier(nn.Module):
    """A network with its labels, its preprocessing and its reading of the outputs.

    ``network``: maps normalised images (B, channels, h, w) to outputs: (B, labels), or (B, 1) for a
    binary one; ``labels``: in the order of the outputs; ``reading``: which outputs are the labels',
    where that is not plain; ``preprocessing``: fields of ``Preprocessing``, as ``input_size``,
    ``mean`` and ``std``. Raises ModelError where batch norms of the network keep no statistics or
    its weights are in half precision.
    """

    def __init__(
        self,
        network: nn.Module,
        labels: tuple[str, ...],
        labelling: Labelling,
        *,
        reading: Reading | None = None,
        **preprocessing: Any,
    ) -> None:
        super().__init__()
        if labelling is Labelling.BINARY and len(labels) != 2:
            raise ModelError(
                f"a binary classifier has the labels (negative, positive), not {labels}"
            )
        check_modules(network)
        self.network = network
        self.labels = labels
        self.labelling = labelling
        self.reading = reading or Reading()
        self.preprocessing = Preprocessing(**preprocessing)
        self.register_buffer("mean", self.preprocessing.offset, persistent=False)
        self.register_buffer("std", self.preprocessing.divisor, persistent=False)
        self._seen_to_be_fixed = False

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(h, w) that the network wants, or None for the images' own."""
        return self.preprocessing.input_size

    def preprocess(self, images: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [0, 1] to what the network reads, (B, channels, h, w)."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (self.preprocessing.scaled(images) - mean) / std

    def outputs(self, images: Tensor) -> Tensor:
        """Give what the network returns, (B, n), for pixels (B, 3, H, W) in [0, 1].

        Raises ModelError for anything but (B, n) in the images' precision, and, at the first pass
        in evaluation mode, for a network that draws random numbers.
        """
        inputs = self.preprocess(images)
        check = not (self.training or self._seen_to_be_fixed)
        before = random_state(inputs.device) if check else None
        try:
            given = self.network(inputs)
        except RuntimeError:
            check_precision(self.network, inputs)
            raise
        if before is not None:
            check_not_random(before, inputs.device)
            self._seen_to_be_fixed = True
        return check_outputs(given, inputs, self.reading.wanted(len(self.labels), self.labelling))

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, labels), before softmax or sigmoid, of pixels (B, 3, H, W) in [0, 1].

        The two scores of a binary classifier are (-z, z). Raises as ``outputs``.
        """
        outputs = self.reading(self.outputs(images), self.labelling)
        if self.labelling is Labelling.BINARY:
            return torch.cat([-outputs, outputs], dim=1)
        return outputs

    def probabilities(self, scores: Tensor) -> Tensor:
        """Probabilities (B, labels) in [0, 1] of scores (B, labels): softmax or sigmoids.

        >>> binary = Classifier(nn.Identity(), ("healthy", "ill"), Labelling.BINARY)
        >>> binary.probabilities(torch.tensor([[-2.0, 2.0]])).sum().item()
        1.0
        """
        if self.labelling is Labelling.MULTICLASS:
            return scores.softmax(dim=1)
        if self.labelling is Labelling.MULTILABEL:
            return scores.sigmoid()
        positive = scores[:, 1].sigmoid()
        return torch.stack([1 - positive, positive], dim=1)
