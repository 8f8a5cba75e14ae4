"""Grad-CAM++ against Eq 19 with derivatives taken one by one, in float64.

No library is the oracle here: pytorch-grad-cam adds 1e-6 to the denominator, which outweighs g²
where gradients are small.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate, relu

from saliency_audit.attribution.gradcam_plus_plus import (
    GradCamPlusPlus,
)
from saliency_audit.attribution.maps import quantise
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

KEYS = list("xyz")


def derivatives(scores, activations: torch.Tensor) -> list[torch.Tensor]:
    """First, second and third derivative of exp(score) by each activation on its own."""
    leaf = activations.clone().requires_grad_()
    total = torch.exp(scores(leaf))
    (first,) = torch.autograd.grad(total, leaf, create_graph=True)
    second, third = torch.zeros_like(leaf), torch.zeros_like(leaf)
    for place in range(leaf.numel()):
        (row,) = torch.autograd.grad(first.reshape(-1)[place], leaf, create_graph=True)
        second.view(-1)[place] = row.reshape(-1)[place].detach()
        (row,) = torch.autograd.grad(row.reshape(-1)[place], leaf, retain_graph=True)
        third.view(-1)[place] = row.reshape(-1)[place]
    return [first.detach(), second, third]


def eq_19(first, second, third, activations) -> torch.Tensor:
    """w_k = Σ_ij α_ij ReLU(∂Y/∂A_ij), α = ∂²Y / (2 ∂²Y + Σ_ab A_ab ∂³Y)."""
    summed = activations.sum((-2, -1), keepdim=True)
    alpha = torch.where(first > 0, second / (2 * second + summed * third), 0.0)
    return (alpha * relu(first)).sum((-2, -1))


def test_the_map_is_that_of_equation_19(small, compute, normalised):
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = copy.deepcopy(small).double()
    body, head = exact.network[:5], exact.network[5:]
    found = GradCamPlusPlus("last_block", "stretched").explain(
        small, images, [[0, 2]] * 2, KEYS[:2], compute=compute
    )
    for image, maps in zip(images.double(), found, strict=True):
        activations = body(exact.preprocess(image[None])).detach()
        for label, ours in zip([0, 2], maps, strict=True):
            weights = eq_19(
                *derivatives(lambda a, label=label: head(a)[0, label], activations), activations
            )
            coarse = relu((weights[..., None, None] * activations).sum(1, keepdim=True))
            theirs = interpolate(coarse, (8, 8), mode="bilinear")[0, 0].numpy()
            # exp(y) scales the equation's map as a whole
            np.testing.assert_allclose(normalised(ours.values), normalised(theirs), atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "resnet18", "densenet121"])
def test_the_closed_form_where_the_head_is_linear(
    classifier_named, images, compute, normalised, name
):
    """Of a mean and a linear layer the gradient is one number per channel: α is too."""
    classifier = classifier_named(name)
    if name == "cnn":
        body = classifier.network
        network = nn.Sequential(
            body.conv1, nn.ReLU(), body.bn1, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)
        )
        classifier = Classifier(network, classifier.labels, Labelling.MULTICLASS).eval()
    exact = copy.deepcopy(classifier).double()
    points = exact.preprocess(images.double())
    if name == "cnn":
        activations, weight = exact.network[:3](points), exact.network[5].weight
    elif name == "resnet18":
        body = nn.Sequential(*list(exact.network.children())[:-2])
        activations, weight = body(points), exact.network.fc.weight
    else:
        activations = relu(exact.network.features(points))
        weight = exact.network.classifier.weight
    pixels = activations[0, 0].numel()
    gradient = weight[1].detach()[None] / pixels
    factor = relu(gradient) / (2 + gradient * activations.sum((2, 3))) * pixels
    coarse = relu((factor[..., None, None] * activations).sum(1, keepdim=True))
    theirs = interpolate(coarse, images.shape[2:], mode="bilinear")[:, 0].detach().numpy()
    found = GradCamPlusPlus("last_block", "stretched").explain(
        classifier, images, [[1]] * 3, KEYS, compute=compute
    )
    for (ours,), their in zip(found, theirs, strict=True):
        if ours.status is None:
            np.testing.assert_allclose(ours.values, their, atol=2e-5 * their.max())
    assert name == "cnn" or all(maps[0].status is None for maps in found)


def test_a_denominator_of_zero_or_less_counts_nothing_and_is_said():
    activations = torch.tensor([[[[-3.0, 0.0]]], [[[-2.0, 0.0]]], [[[-1.0, 0.0]]], [[[-9.0, 0.0]]]])
    gradients = torch.tensor([[[[1.0, 0.5]]], [[[1.0, 1.0]]], [[[1.0, 1.0]]], [[[-1.0, 0.0]]]])
    weights, doubtful = GradCamPlusPlus.weigh(activations.double(), gradients.double())
    assert doubtful.tolist() == [True, True, False, False]
    # 2 + 0.5 · -3 = 0.5 at the second pixel; 2 + 1 · -1 = 1 at both
    np.testing.assert_allclose(weights[:, 0].numpy(), [0.5 / 0.5, 0.0, 2.0, 0.0])


def test_the_status_reaches_the_map(compute):
    network = nn.Sequential(
        nn.Conv2d(3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)
    )
    with torch.no_grad():
        network[0].weight.fill_(-1.0)
        network[0].bias.fill_(0.1)
        network[3].weight.copy_(torch.tensor([[50.0], [-50.0]]))
    classifier = Classifier(network, ("a", "b"), Labelling.MULTICLASS)
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.5
    (maps,) = GradCamPlusPlus("0", "stretched").explain(
        classifier, images, [[0, 1]], ["x"], compute=compute
    )
    assert [one.status for one in maps] == ["nonpositive_denominator", None]


def test_numbers_that_are_none_are_kept():
    nan = torch.tensor([[[[torch.nan, 1.0]]]]).double()
    one = torch.ones_like(nan)
    assert torch.isnan(GradCamPlusPlus.weigh(one, nan)[0]).all()


def test_activations_that_are_not_numbers_give_a_nan_map(classifier_named, images, compute):
    classifier = copy.deepcopy(classifier_named("resnet18"))
    with torch.no_grad():
        classifier.network.layer4[1].bn2.bias[3] = torch.nan
    found = GradCamPlusPlus("last_block", "stretched").explain(
        classifier, images, [[0]] * 3, KEYS, compute=compute
    )
    assert {quantise(maps[0], 0.05).status for maps in found} == {"nan_map"}
