"""A small classifier with random weights, and images for it: what a method is tried on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

LABELS = ("a", "b", "c")
#: Height and width of the images, pixels.
SIDE = 32


def small_classifier() -> Classifier:
    """Give a classifier of three labels: two convolutions, the mean over pixels, one linear layer.

    The same weights at each call; its head is mostly positive, so that maps are not 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 5, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, len(LABELS)),
        )
        with torch.no_grad():
            network[7].weight.copy_(0.3 + torch.randn(network[7].weight.shape))
    return Classifier(network, LABELS, Labelling.MULTICLASS).eval()


def smooth_images(count: int = 3, side: int = SIDE) -> Tensor:
    """Give smooth images (count, 3, side, side) in [0, 1], the same at each call."""
    coarse = torch.rand(count, 3, 7, 7, generator=torch.Generator().manual_seed(3))
    return nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
