"""What a classifier is to the rest of the audit: pixels in, one score per label out.

Resizing and normalising happen inside, so that predictions and explanations
all speak of the pixels that a person sees, whatever network stands behind.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling


class Classifier(nn.Module):
    """A network with its labels, its preprocessing and its reading of the outputs.

    ``network``: maps normalised images (B, 3, h, w) to outputs: (B, labels), or (B, 1) for a
    binary one; ``labels``: in the order of the outputs; ``input_size``: (h, w) that the network
    wants, or None for the images' own; ``mean`` and ``std``: per channel, of pixels in [0, 1].
    """

    def __init__(
        self,
        network: nn.Module,
        labels: tuple[str, ...],
        labelling: Labelling,
        *,
        input_size: tuple[int, int] | None = None,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        if labelling is Labelling.BINARY and len(labels) != 2:
            raise ModelError(
                f"a binary classifier has the labels (negative, positive), not {labels}"
            )
        self.network = network
        self.labels = labels
        self.labelling = labelling
        self.input_size = input_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def preprocess(self, images: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in [0, 1] to what the network reads, (B, 3, h, w)."""
        if self.input_size is not None and tuple(images.shape[-2:]) != self.input_size:
            images = nn.functional.interpolate(
                images, self.input_size, mode="bilinear", align_corners=False, antialias=True
            )
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (images - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, labels), before softmax or sigmoid, of pixels (B, 3, H, W) in [0, 1].

        The two scores of a binary classifier are (-z, z).
        """
        outputs: Tensor = self.network(self.preprocess(images))
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
