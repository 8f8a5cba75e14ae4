"""captum's classes as methods, against what captum gives by hand and closed forms."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from saliency_audit.attribution.captum import captum_method
from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError

COMPUTE = Compute(batch=4)


def explained(name, classifier, images, label=1, background=None, **parameters) -> np.ndarray:
    method = captum_method(name, parameters)
    found = method.explain(
        classifier,
        images,
        [[label]] * len(images),
        list("xyz")[: len(images)],
        compute=COMPUTE,
        background=background,
    )
    return np.stack([maps[0].values for maps in found])


def test_saliency_is_the_gradients_size(small, images):
    points = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(small(points)[:, 1].sum(), points)
    np.testing.assert_allclose(
        explained("Saliency", small, images), gradient.abs().sum(1), rtol=1e-4, atol=1e-8
    )
    np.testing.assert_allclose(
        explained("Saliency", small, images, arguments={"abs": False}, sign="absolute"),
        gradient.abs().mean(1),
        rtol=1e-4,
        atol=1e-8,
    )


def test_integrated_gradients_of_a_linear_score_are_weight_times_image(of_function):
    weights = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    classifier = of_function(lambda x: torch.einsum("bchw,lchw->bl", x, weights.to(x)))
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    for base in (0, 0.25):
        arguments = {"n_steps": 9, "baselines": base}
        found = explained("IntegratedGradients", classifier, images, arguments=arguments)
        exact = (weights[1] * (images - base)).sum(1).clamp(min=0)
        np.testing.assert_allclose(found, exact, atol=1e-5)


def test_occlusion_of_a_mean_is_what_each_window_adds(of_function):
    classifier = of_function(lambda x: torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1))
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    arguments = {"sliding_window_shapes": [3, 2, 2], "strides": [3, 2, 2]}
    found = explained("Occlusion", classifier, images, 0, arguments=arguments)
    blocks = images.sum(1).reshape(4, 2, 4, 2).sum((1, 3)).repeat_interleave(2, 0)
    # captum gives each channel of a window the whole difference
    np.testing.assert_allclose(found[0], 3 * blocks.repeat_interleave(2, 1), rtol=1e-4)


@pytest.mark.parametrize("name", ["FeatureAblation", "ShapleyValueSampling"])
def test_hidden_squares_of_a_sum_are_what_they_add(of_function, name):
    classifier = of_function(lambda x: torch.stack([x.sum((1, 2, 3)), -x.sum((1, 2, 3))], 1))
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    found = explained(name, classifier, images, 0, patches=2)
    squares = images.sum(1).reshape(2, 4, 2, 4).sum((1, 3)).repeat_interleave(4, 0)
    np.testing.assert_allclose(found[0], 3 * squares.repeat_interleave(4, 1), rtol=1e-4)


@pytest.mark.parametrize("name", ["small", "cnn", "resnet18"])
def test_its_gradcam_is_ours(classifier_named, images, name):
    """Of the same default block, an input for the CNN, rectified and scaled up alike."""
    classifier = classifier_named(name)
    ours = GradCam().explain(classifier, images, [[1]] * 3, list("xyz"), compute=COMPUTE)
    theirs = explained("LayerGradCam", classifier, images)
    for (raw,), their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(raw.values, their, atol=1e-5 * their.max())


def test_a_layers_attributions_are_scaled_up(small, images):
    block = small.network[4]
    by_hand = captum.attr.LayerIntegratedGradients(small, block).attribute(
        images[:1], target=1, n_steps=8
    )
    coarse = by_hand.detach().sum(1, keepdim=True).relu()
    expected = interpolate(coarse.double(), (64, 64), mode="bilinear")[0, 0]
    found = explained(
        "LayerIntegratedGradients",
        small,
        images[:1],
        placement="stretched",
        arguments={"n_steps": 8},
    )
    np.testing.assert_allclose(found[0], expected, atol=1e-4 * float(expected.max()))


def test_the_background_is_the_baseline_where_one_is_needed(small, images):
    method = captum_method("DeepLiftShap", {})
    assert method.needs_background
    by_hand = captum.attr.DeepLiftShap(small).attribute(images[:1], images[1:], target=1)
    found = explained("DeepLiftShap", small, images[:1], background=images[1:])
    np.testing.assert_allclose(found[0], by_hand[0].detach().sum(0).clamp(min=0), atol=1e-5)
    with pytest.raises(DataError, match="captum:DeepLiftShap needs background"):
        explained("DeepLiftShap", small, images[:1])


def test_activations_in_place_are_taken_out_of_place_and_put_back(classifier_named, images):
    classifier = classifier_named("resnet18")
    found = explained("GuidedBackprop", classifier, images[:1])
    assert found.max() > 0
    assert all(m.inplace for m in classifier.modules() if isinstance(m, nn.ReLU))


def test_a_network_that_calls_its_activations_is_refused_by_what_hooks_them(
    classifier_named, images
):
    with pytest.raises(ModelError, match=r"captum:GuidedBackprop.*nn.ReLU modules"):
        explained("GuidedBackprop", classifier_named("cnn"), images)


def test_what_captum_cannot_explain_is_one_clear_error(classifier_named, images):
    with pytest.raises(ModelError, match="captum:DeepLift cannot explain this network"):
        explained("DeepLift", classifier_named("resnet18"), images)
    with pytest.raises(ModelError, match="captum:Occlusion cannot explain"):
        explained(
            "Occlusion",
            classifier_named("small"),
            images,
            arguments={"sliding_window_shapes": [3, 99, 99]},
        )


def test_more_squares_than_pixels_are_refused(small):
    with pytest.raises(ParameterError, match="patches is 8, but the images have 4x6 pixels"):
        explained("FeatureAblation", small, torch.rand(1, 3, 4, 6))


def test_costs():
    assert captum_method("IntegratedGradients", {"arguments": {"n_steps": 7}}).cost().backward == 7
    assert captum_method("Saliency", {}).cost().forward == 1
    assert captum_method("Occlusion", {}).cost().forward is None
    assert captum_method("KernelShap", {}).cost().forward == 25
    assert captum_method("DeepLiftShap", {}).cost().forward is None
