"""Integrated Gradients against captum, closed forms, their completeness, and SHAP's limit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as Captums

from saliency_audit.attribution.integrated_gradients import IntegratedGradients
from saliency_audit.errors import DataError

SIDE = 6
WEIGHTS = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9))


def pictures(count: int, seed: int, side: int = SIDE) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def cubic(points: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bchw,lchw->bl", points**3, WEIGHTS.to(points))


def read(phi: np.ndarray, sign: str) -> np.ndarray:
    return np.abs(phi).mean(0) if sign == "absolute" else np.maximum(phi.sum(0), 0)


@pytest.mark.parametrize("sign", ["positive", "absolute"])
@pytest.mark.parametrize("baseline", ["mean", "each"])
def test_two_steps_are_exact_of_a_cubic_score(of_function, compute, sign, baseline):
    """φ = w (x³ - b³), averaged over the baselines; the completeness is 0."""
    images, background = pictures(2, 0), pictures(7, 1)
    starts = background.mean(0, keepdim=True) if baseline == "mean" else background
    found = IntegratedGradients(steps=2, baseline=baseline, sign=sign).explain(
        of_function(cubic),
        images,
        [[0, 1], [1]],
        ["x", "y"],
        compute=compute,
        background=background,
    )
    for image, asked, maps in zip(images, [[0, 1], [1]], found, strict=True):
        for label, raw in zip(asked, maps, strict=True):
            phi = WEIGHTS[label].double() * (image.double() ** 3 - (starts.double() ** 3).mean(0))
            np.testing.assert_allclose(raw.values, read(phi.numpy(), sign), atol=1e-5)
            assert raw.completeness == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("steps", [1, 5, 16])
def test_captum_agrees(classifier_named, compute, steps):
    classifier = classifier_named("cnn")
    images, background = pictures(2, 0, 64), pictures(3, 1, 64)
    exact = copy.deepcopy(classifier).double()
    start = background.double().mean(0, keepdim=True)
    theirs = Captums(exact).attribute(images.double(), start, target=1, n_steps=steps)
    found = IntegratedGradients(steps=steps).explain(
        classifier, images, [[1]] * 2, ["x", "y"], compute=compute, background=background
    )
    with torch.no_grad():
        gains = (exact(images.double()) - exact(start))[:, 1]
    for phi, gain, (raw,) in zip(theirs.detach(), gains, found, strict=True):
        expected = read(phi.numpy(), "positive")
        np.testing.assert_allclose(raw.values, expected, atol=2e-4 * expected.max())
        assert raw.completeness == pytest.approx(float(phi.sum() - gain), abs=1e-4)


def test_more_steps_come_nearer_to_completeness(classifier_named, compute):
    classifier = classifier_named("cnn")
    images, background = pictures(1, 0, 64), pictures(3, 1, 64)

    def incomplete(steps: int) -> float:
        ((raw,),) = IntegratedGradients(steps=steps).explain(
            classifier, images, [[1]], ["x"], compute=compute, background=background
        )
        return abs(raw.completeness)

    assert incomplete(63) < incomplete(2) / 4


def test_without_a_fitting_background_it_says_so(small, compute):
    for background in (None, pictures(0, 0), torch.rand(2, 3, 5, 5)):
        with pytest.raises(DataError, match=r"integrated_gradients (needs|got) background"):
            IntegratedGradients().explain(
                small, pictures(1, 0), [[0]], ["x"], compute=compute, background=background
            )
