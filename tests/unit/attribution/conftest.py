"""Small classifiers of three kinds, images for them, and what maps are compared by."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

from saliency_audit.compute import Compute
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier

LABELS = ("a", "b", "c")
SIDE = 64


def random_head(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network with random weights a head that is mostly positive, so that maps are not 0."""
    layer = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(0.3 + torch.randn(layer.weight.shape, generator=generator))
    return network.eval()


def small_cnn(seed: int = 0) -> nn.Module:
    """Two convolutions, mean over pixels, one linear layer; activations are modules."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 5, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, len(LABELS)),
        )


def network(name: str) -> nn.Module:
    """Build one of the kinds with random weights."""
    if name == "small":
        return random_head(small_cnn())
    built = random_head(build(name, len(LABELS), (SIDE, SIDE)))
    if name == "densenet121":  # half of its last activations negative before the last ReLU
        with torch.no_grad():
            built.features.norm5.bias.normal_(generator=torch.Generator().manual_seed(1))
    return built


@pytest.fixture(scope="session")
def classifier_named() -> Callable[[str], Classifier]:
    """Give the classifier of a kind; tests leave it as it is."""
    torch.set_num_threads(1)

    @lru_cache
    def named(name: str) -> Classifier:
        return Classifier(network(name), LABELS, Labelling.MULTICLASS).eval()

    return named


@pytest.fixture(scope="session", params=["small", "cnn", "resnet18", "densenet121"])
def classifier(
    request: pytest.FixtureRequest, classifier_named: Callable[[str], Classifier]
) -> Classifier:
    """A classifier of each kind."""
    return classifier_named(request.param)


@pytest.fixture(scope="session")
def small(classifier_named: Callable[[str], Classifier]) -> Classifier:
    """The smallest classifier."""
    return classifier_named("small")


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    """Three smooth images (3, 3, 64, 64) in [0, 1]."""
    coarse = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(3))
    return nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


@pytest.fixture
def compute() -> Compute:
    """A small batch, so that images and samples take several."""
    return Compute(batch=4)


@pytest.fixture(scope="session")
def normalised() -> Callable[[np.ndarray], np.ndarray]:
    """Scale a map to [0, 1]."""

    def scale(saliency: np.ndarray) -> np.ndarray:
        wide = np.asarray(saliency, dtype=np.float64)
        assert wide.max() > wide.min()
        return (wide - wide.min()) / (wide.max() - wide.min())

    return scale


class Function(nn.Module):
    """A network that is a given function of its images."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.function(points)


@pytest.fixture(scope="session")
def of_function() -> Callable[..., Classifier]:
    """Make a classifier that is a given function of the pixels, (B, labels)."""

    def make(
        function: Callable[[torch.Tensor], torch.Tensor],
        labelling: Labelling = Labelling.MULTILABEL,
        labels: tuple[str, ...] = ("a", "b"),
    ) -> Classifier:
        zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        return Classifier(Function(function), labels, labelling, mean=zero, std=one).eval()

    return make
