"""Expected gradients against closed forms, the shap package, and their own completeness."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.attribution.reference_shap import GradientExplainer
from saliency_audit.attribution.seeds import generator
from saliency_audit.attribution.shap import Shap
from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ParameterError

SIDE = 6


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


WEIGHTS = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9))


def linear(points: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bchw,lchw->bl", points, WEIGHTS.to(points))


def quadratic(points: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bchw,lchw->bl", points**2, WEIGHTS.to(points))


def read(phi: np.ndarray, sign: str) -> np.ndarray:
    return np.abs(phi).mean(0) if sign == "absolute" else np.maximum(phi.sum(0), 0)


@pytest.mark.parametrize("method", [Shap, GradientExplainer])
@pytest.mark.parametrize("sign", ["positive", "absolute"])
def test_a_linear_score_with_one_baseline_is_exact(of_function, compute, method, sign):
    """φ = w (x - b) for every path; one image of background is one baseline."""
    images, background = pictures(2, 0), pictures(1, 1)
    found = method(samples=5, sign=sign).explain(
        of_function(linear),
        images,
        [[0, 1], [1]],
        ["x", "y"],
        compute=compute,
        background=background,
    )
    for image, asked, maps in zip(images, [[0, 1], [1]], found, strict=True):
        for label, raw in zip(asked, maps, strict=True):
            phi = (WEIGHTS[label] * (image - background[0])).double().numpy()
            np.testing.assert_allclose(raw.values, read(phi, sign), atol=1e-5)
            assert raw.completeness == pytest.approx(0, abs=1e-4)


def test_a_linear_score_with_many_baselines_tends_to_their_mean(of_function):
    images, background = pictures(1, 0), pictures(20, 1)
    ((raw,),) = Shap(samples=4000, sign="absolute").explain(
        of_function(linear), images, [[0]], ["x"], compute=Compute(batch=64), background=background
    )
    phi = WEIGHTS[0] * (images[0] - background.mean(0))
    spread = (WEIGHTS[0] * background).std(0).abs().amax()
    # the mean of three channels strays less than one of them: five standard errors
    np.testing.assert_allclose(
        raw.values, phi.abs().mean(0), atol=5 * float(spread) / np.sqrt(4000)
    )


def test_a_quadratic_score_tends_to_its_closed_form(of_function):
    """φ = ∫ 2a(b + t(x - b)) (x - b) dt = a (x² - b²); its variance is (2a(x - b)²)²/12."""
    images, background = pictures(1, 0), pictures(1, 1)
    samples = 6000
    ((raw,),) = Shap(samples=samples).explain(
        of_function(quadratic),
        images,
        [[1]],
        ["x"],
        compute=Compute(batch=64),
        background=background,
    )
    phi = WEIGHTS[1] * (images[0] ** 2 - background[0] ** 2)
    # one t for all channels of a sample: the sum's deviation is the sum of deviations
    error = (2 * WEIGHTS[1] * (images[0] - background[0]) ** 2).sum(0).abs() / np.sqrt(12 * samples)
    exact = phi.sum(0).clamp(min=0)
    assert (np.abs(raw.values - exact.numpy()) <= 5 * error.numpy() + 1e-6).all()
    assert abs(raw.completeness) <= 5 * float(
        (2 * WEIGHTS[1] * (images[0] - background[0]) ** 2).sum().abs()
    ) / np.sqrt(12 * samples)


def test_ours_and_the_shap_packages_estimate_have_one_limit(small):
    """Two independent estimates differ by their errors, which halve with four times the samples."""
    images, background = pictures(1, 0), pictures(8, 1)

    def estimate(method, samples, seed=0):
        ((raw,),) = method(samples=samples, sign="absolute", seed=seed).explain(
            small, images, [[1]], ["x"], compute=Compute(batch=64), background=background
        )
        return raw.values

    limit = estimate(Shap, 6000, seed=1)
    scale = np.linalg.norm(limit)
    theirs = np.linalg.norm(estimate(GradientExplainer, 1500) - limit) / scale
    ours = np.linalg.norm(estimate(Shap, 1500) - limit) / scale
    assert theirs < 0.05
    assert ours < 0.05
    assert np.linalg.norm(estimate(Shap, 30) - limit) / scale > 2 * ours


def test_completeness_is_the_sum_of_signed_attributions_against_the_score(small, compute):
    """Checked with one path, whose attributions can be computed by hand."""
    images, background = pictures(1, 0), pictures(1, 1)
    ((raw,),) = Shap(samples=1, sign="absolute", seed=3).explain(
        small, images, [[2]], ["x"], compute=compute, background=background
    )
    along = generator(3, "x", 0).random()
    point = (background + along * (images - background)).double().requires_grad_()
    exact = copy.deepcopy(small).double()
    (gradient,) = torch.autograd.grad(exact(point)[0, 2], point)
    phi = (gradient * (images - background))[0]
    gain = exact(images.double())[0, 2] - exact(background.double())[0, 2]
    np.testing.assert_allclose(raw.values, phi.abs().mean(0).numpy(), rtol=1e-4, atol=1e-7)
    assert raw.completeness == pytest.approx(float((phi.sum() - gain).detach()), rel=1e-3)


def test_all_labels_share_their_paths(of_function, compute):
    """Attributions are linear in the score: with shared paths, those of a sum are the sums."""

    def scores(points: torch.Tensor) -> torch.Tensor:
        one, other = torch.tanh(linear(points)).unbind(1)
        return torch.stack([one, other, one + other], dim=1)

    classifier = of_function(scores, labels=("a", "b", "c"))
    images, background = pictures(1, 0), pictures(4, 1)
    (maps,) = Shap(samples=9).explain(
        classifier, images, [[0, 1, 2]], ["x"], compute=compute, background=background
    )
    sums = [raw.completeness for raw in maps]
    assert sums[2] == pytest.approx(sums[0] + sums[1], abs=1e-5)
    assert abs(sums[2]) > 1e-3


@pytest.mark.parametrize("method", [Shap, GradientExplainer])
def test_without_a_fitting_background_it_says_so(small, compute, method):
    for background, message in [
        (None, "needs background"),
        (pictures(0, 0), "needs background"),
        (torch.rand(2, 3, 5, 5), "in one size"),
        (torch.full((1, 3, SIDE, SIDE), 2.0), "background 0 has pixels outside"),
    ]:
        with pytest.raises(DataError, match=message):
            method().explain(
                small, pictures(1, 0), [[0]], ["x"], compute=compute, background=background
            )


@pytest.mark.parametrize("method", [Shap, GradientExplainer])
def test_no_samples_are_refused(method):
    with pytest.raises(ParameterError, match="samples is 0"):
        method(samples=0)
    with pytest.raises(ParameterError, match="seed is -1"):
        method(seed=-1)


def test_the_reference_leaves_the_global_generators_alone(small, compute):
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    GradientExplainer(samples=3).explain(
        small, pictures(1, 0), [[0]], ["x"], compute=compute, background=pictures(2, 1)
    )
    assert np.random.random() == expected


@given(st.integers(1, 30), st.integers(1, 90), st.integers(1, 9))
def test_balanced_paths_use_the_background_evenly_whatever_the_rows(baselines, samples, rows):
    parts = list(Shap(samples=samples)._balanced("key", baselines, rows))
    positions, chosen = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert all(len(part) == rows for part, _ in parts[:-1])
    assert len(parts[-1][0]) < rows  # there is room for the image itself
    counts = np.bincount(chosen, minlength=baselines)
    assert counts.sum() == len(positions) == samples
    assert counts.max() - counts.min() <= 1
    ((_, alone),) = Shap(samples=samples)._balanced("key", baselines, samples + 1)
    np.testing.assert_array_equal(chosen, alone)


def test_each_balanced_path_is_as_random_as_an_independent_one():
    """Over keys: every pair of a background and a quarter of the way is as likely."""
    for number in (0, 3, 10):
        found = [next(Shap(samples=20)._balanced(str(key), 4, 21)) for key in range(4000)]
        cells = [int(t[number] * 4) + 4 * chosen[number] for t, chosen in found]
        counts = np.bincount(cells, minlength=16)
        assert np.abs(counts - 250).max() < 5 * np.sqrt(250)


def test_balanced_paths_reach_the_closed_form_sooner(of_function):
    """Of y = Σ x², where φ = x² - mean b² for each pixel, whatever else is in the image."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 4, 4, generator=generator)
    background = torch.rand(20, 3, 4, 4, generator=generator)
    classifier = of_function(lambda x: (x**2).sum(dim=(2, 3))[:, :2])
    exact = (image[0, 0] ** 2 - (background[:, 0] ** 2).mean(dim=0)).clamp(min=0).double().numpy()

    def error(design: str) -> float:
        found = [
            Shap(samples=60, design=design, seed=seed)
            .explain(
                classifier, image, [[0]], ["key"], compute=Compute(batch=8), background=background
            )[0][0]
            .values
            for seed in range(20)
        ]
        return float(np.sqrt(np.mean((np.array(found) - exact) ** 2)))

    assert error("balanced") < error("independent") / 2
