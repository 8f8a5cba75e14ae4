"""SmoothGrad against means of gradients and maps in float64, and closed forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.integrated_gradients import IntegratedGradients
from saliency_audit.attribution.registry import METHODS, method_digest
from saliency_audit.attribution.smoothgrad import KINDS, SmoothGrad
from saliency_audit.compute import Compute
from saliency_audit.errors import ParameterError

SIDE = 6
WEIGHTS = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9))


def pictures(count: int, seed: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def quadratic(points: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bchw,lchw->bl", points**2, WEIGHTS.to(points))


def smooth(method, classifier, images, labels, compute, background=None):
    found = method.explain(
        classifier,
        images,
        labels,
        list("xyz"[: len(images)]),
        compute=compute,
        background=background,
    )
    return [[raw.values for raw in maps] for maps in found]


@pytest.mark.parametrize("sign", ["absolute", "positive"])
def test_a_map_is_the_mean_gradient_of_the_copies(classifier_named, images, compute, sign):
    classifier = classifier_named("cnn")
    method = SmoothGrad(samples=7, sign=sign, seed=3)
    found = smooth(method, classifier, images, [[0, 2]] * 3, compute)
    exact = copy.deepcopy(classifier).double()
    for image, key, maps in zip(images, "xyz", found, strict=True):
        points = torch.cat(list(method.copies(image, key, 99))).double().requires_grad_()
        scores = exact(points)
        for label, ours in zip((0, 2), maps, strict=True):
            (gradients,) = torch.autograd.grad(scores[:, label].sum(), points, retain_graph=True)
            mean = gradients.mean(0)
            read = mean.abs().mean(0) if sign == "absolute" else mean.sum(0).clamp(min=0)
            np.testing.assert_allclose(ours, read, atol=2e-4 * float(read.max()))


def test_the_mean_over_copies_tends_to_the_gradient_of_a_quadratic_score(of_function):
    """∂y/∂x = 2wx is linear in x: noise of mean 0 moves the mean by 2wσ/√n at most, as drawn."""
    images, n = pictures(1, 0), 4000
    method = SmoothGrad(samples=n, noise=0.5)
    ((ours,),) = smooth(method, of_function(quadratic), images, [[1]], Compute(batch=64))
    sigma = 0.5 * float(images.max() - images.min())
    error = 5 * (2 * WEIGHTS[1].abs() * sigma / np.sqrt(n)).amax(0).numpy()
    exact = (2 * WEIGHTS[1] * images[0]).abs().mean(0).numpy()
    assert (np.abs(ours - exact) <= error).all()


def test_no_noise_gives_the_method_itself(small, images, compute):
    background = images
    for of, inner in (("gradcam", GradCam()), ("integrated_gradients", IntegratedGradients())):
        plain = smooth(inner, small, images, [[1]] * 3, compute, background)
        ours = smooth(
            SmoothGrad(of, samples=2, noise=0), small, images, [[1]] * 3, compute, background
        )
        for (one,), (other,) in zip(ours, plain, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_smoothed_gradcam_is_the_mean_of_its_maps(small, images, compute):
    method = SmoothGrad("gradcam", {"block": "3", "placement": "stretched"}, samples=6)
    found = smooth(method, small, images[:1], [[0, 1]], compute)[0]
    exact = copy.deepcopy(small).double()
    points = torch.cat(list(method.copies(images[0], "x", 99))).double()
    maps = smooth_by_hand(exact, points)
    for label, ours in enumerate(found):
        np.testing.assert_allclose(ours, maps[label], atol=1e-4 * maps[label].max())


def smooth_by_hand(exact, points: torch.Tensor) -> list[np.ndarray]:
    activations = exact.network[:4](exact.preprocess(points)).detach().requires_grad_()
    scores = exact.network[4:](activations)
    maps = []
    for label in range(2):
        (g,) = torch.autograd.grad(scores[:, label].sum(), activations, retain_graph=True)
        coarse = (g.mean((2, 3), keepdim=True) * activations.detach()).sum(1, keepdim=True).relu()
        large = torch.nn.functional.interpolate(coarse, points.shape[2:], mode="bilinear")
        maps.append(large.mean(0)[0].numpy())
    return maps


def test_signed_attributions_are_averaged_before_the_sign_is_read(of_function, compute):
    """Of y = Σ w x², φ of a copy is w (x'² - b²); its mean is complete against the mean score."""
    images, background = pictures(1, 0), pictures(3, 1)
    method = SmoothGrad("integrated_gradients", {"steps": 1}, samples=9, noise=1.0)
    ((raw,),) = method.explain(
        of_function(quadratic), images, [[0]], ["x"], compute=compute, background=background
    )
    copies = torch.cat(list(method.copies(images[0], "x", 99))).double()
    phi = (WEIGHTS[0] * (copies**2 - background.double().mean(0) ** 2)).mean(0)
    np.testing.assert_allclose(raw.values, phi.sum(0).clamp(min=0), atol=1e-4)
    assert raw.completeness == pytest.approx(0, abs=1e-3)


def test_copies_do_not_depend_on_how_many_are_made_at_a_time(images):
    method = SmoothGrad(samples=5)
    alone = torch.cat(list(method.copies(images[0], "x", 1)))
    torch.testing.assert_close(torch.cat(list(method.copies(images[0], "x", 9))), alone)
    spread = (alone - images[0]).std() / (images[0].max() - images[0].min())
    assert float(spread) == pytest.approx(0.15, rel=0.02)


def test_every_method_with_gradients_can_be_smoothed():
    assert set(KINDS) <= set(METHODS)
    without = {"lime", "rise", "scorecam", "attention_rollout", "smoothgrad"}
    assert set(METHODS) - set(KINDS) == without


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"of": "rise"}, "of is 'rise'"),
        ({"of": "gradcam", "parameters": {"blok": "3"}}, "parameters.blok: did you mean block"),
        ({"parameters": {"block": "3", "placement": "stretched"}}, "gradient has none"),
        ({"of": "shap", "sign": "positive"}, "sign is of gradient alone"),
        ({"of": "shap", "parameters": {"samples": 0}}, "parameters.samples is 0"),
        ({"noise": -0.1}, "noise is -0.1"),
        ({"samples": 0}, "samples is 0"),
    ],
)
def test_parameters_are_checked_to_the_bottom(wrong, message):
    with pytest.raises(ParameterError, match=message):
        SmoothGrad(**wrong)


def test_defaults_of_the_inner_method_are_part_of_the_digest():
    plain = method_digest("smoothgrad", {"of": "shap"})
    assert plain == method_digest("smoothgrad", {"of": "shap", "parameters": {"samples": 95}})
    assert plain != method_digest("smoothgrad", {"of": "shap", "parameters": {"samples": 94}})
