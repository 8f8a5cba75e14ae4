"""Images, tie-free maps and scores whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from saliency_audit.compute import Compute


@pytest.fixture
def compute() -> Compute:
    """A small batch, so that curves take several and end in a padded one."""
    return Compute(batch=4)


@pytest.fixture(scope="session")
def image() -> torch.Tensor:
    """An image (3, 10, 10) in [0, 1], some of its pixels at the ends."""
    drawn = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(4))
    return (1.2 * drawn - 0.1).clamp(0, 1)


@pytest.fixture(scope="session")
def saliency() -> np.ndarray:
    """A map (10, 10) without ties."""
    values = np.random.default_rng(5).permutation(100).astype(np.float64)
    return (values / 99).reshape(10, 10)


@pytest.fixture(scope="session")
def linear() -> Callable[..., Callable[[torch.Tensor], torch.Tensor]]:
    """Make the score Σ w · x, summed in float64."""

    def make(weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda images: (images.double() * weights.double()).sum(dim=(1, 2, 3))

    return make


@pytest.fixture(scope="session")
def curved() -> Callable[[torch.Tensor], torch.Tensor]:
    """A score in [0, 1] in which pixels act together."""
    weights = torch.randn(3, 10, 10, generator=torch.Generator().manual_seed(6)).double()

    def score(images: torch.Tensor) -> torch.Tensor:
        wide = images.double()
        products = (wide[..., 1:] * wide[..., :-1]).mean(dim=(1, 2, 3))
        return torch.sigmoid((wide * weights).sum(dim=(1, 2, 3)) / 5 + 3 * products)

    return score
