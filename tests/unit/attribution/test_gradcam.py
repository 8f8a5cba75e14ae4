"""Grad-CAM against its equation in float64, captum and pytorch-grad-cam."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from captum.attr import LayerAttribution, LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.nn.functional import interpolate, relu

from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.maps import quantise
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

KEYS = list("xyz")


def in_float64(classifier: Classifier) -> Classifier:
    return copy.deepcopy(classifier).double().eval()


def body_and_head(network: nn.Module):
    """The activations of the last block and the scores made of them, written out by hand."""
    kind = type(network).__name__
    if kind == "ResNet":
        blocks = network.conv1, network.bn1, network.relu, network.maxpool
        layers = network.layer1, network.layer2, network.layer3, network.layer4
        return nn.Sequential(*blocks, *layers), lambda a: network.fc(a.mean((2, 3)))
    if kind == "DenseNet":
        return (
            lambda x: relu(network.features(x)),
            lambda a: network.classifier(a.mean((2, 3))),
        )
    if kind == "Cnn":

        def body(x):
            x = network.pool(network.bn1(relu(network.conv1(x))))
            return relu(network.conv2(x))

        def head(a):
            return network.fc2(relu(network.fc1(network.pool(network.bn2(a)).flatten(1))))

        return body, head
    return network[:5], network[5:]


def by_definition(classifier: Classifier, images: torch.Tensor, label: int) -> np.ndarray:
    exact = in_float64(classifier)
    body, head = body_and_head(exact.network)
    activations = body(exact.preprocess(images.double())).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(head(activations)[:, label].sum(), activations)
    weights = gradients.mean((2, 3), keepdim=True)
    coarse = relu((weights * activations).sum(1, keepdim=True))
    return interpolate(coarse, images.shape[2:], mode="bilinear")[:, 0].detach().numpy()


def explained(method, classifier, images, label, compute) -> np.ndarray:
    found = method.explain(classifier, images, [[label]] * len(images), KEYS, compute=compute)
    return np.stack([maps[0].values for maps in found])


def test_every_label_by_its_equation(classifier, images, compute):
    found = GradCam("last_block", "stretched").explain(
        classifier, images, [[0, 1, 2]] * 3, KEYS, compute=compute
    )
    for label in range(3):
        exact = by_definition(classifier, images, label)
        ours = np.stack([maps[label].values for maps in found])
        assert exact.max() > 0
        np.testing.assert_allclose(ours, exact, atol=2e-5 * exact.max())


def captum_maps(classifier, module, images, label) -> np.ndarray:
    coarse = LayerGradCam(classifier, module).attribute(
        images, target=label, relu_attributions=True
    )
    return LayerAttribution.interpolate(coarse, images.shape[2:], "bilinear")[:, 0].detach().numpy()


@pytest.mark.parametrize(("name", "block"), [("small", "4"), ("resnet18", "layer4")])
def test_captum_agrees(classifier_named, images, compute, name, block):
    classifier = classifier_named(name)
    theirs = captum_maps(classifier, classifier.network.get_submodule(block), images, 1)
    ours = explained(GradCam("last_block", "stretched"), classifier, images, 1, compute)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * theirs.max())


def test_pytorch_grad_cam_agrees_on_a_resnet(classifier_named, images, compute, normalised):
    classifier = classifier_named("resnet18")
    with GradCAM(classifier, [classifier.network.layer4]) as cam:
        theirs = cam(images, [ClassifierOutputTarget(1)] * 3)
    ours = explained(GradCam("last_block", "stretched"), classifier, images, 1, compute)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(normalised(our), normalised(their), atol=1e-4)


def test_densenets_last_relu_works_in_place_and_is_counted_once(
    classifier_named, images, compute, normalised
):
    """torchvision's DenseNet rectifies `features` in place, behind the block's back.

    The default explains what the head reads, after that ReLU; `block: features` what the module
    gives, before it, as captum does. pytorch-grad-cam keeps a reference to the activations and
    reads them after the ReLU, with gradients from before it: neither of the two.
    """
    classifier = classifier_named("densenet121")
    features = classifier.network.features
    exact = in_float64(classifier)
    before = exact.network.features(exact.preprocess(images.double())).detach()
    weight = exact.network.classifier.weight[1].detach()[None, :, None, None]
    slope = ((before > 0) * weight).mean((2, 3), keepdim=True)

    def scaled(coarse: torch.Tensor) -> np.ndarray:
        rectified = relu(coarse.sum(1, keepdim=True))
        return interpolate(rectified, images.shape[2:], mode="bilinear")[:, 0].numpy()

    own, read, mixed = slope * before, weight * relu(before), slope * relu(before)
    with GradCAM(classifier, [features]) as cam:
        theirs = cam(images, [ClassifierOutputTarget(1)] * 3)
    pairs = [
        (
            explained(GradCam("last_block", "stretched"), classifier, images, 1, compute),
            scaled(read),
        ),
        (explained(GradCam("features", "stretched"), classifier, images, 1, compute), scaled(own)),
        (captum_maps(classifier, features, images, 1), scaled(own)),
        (theirs, scaled(mixed)),
    ]
    for found, expected in pairs:
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(normalised(one), normalised(other), atol=1e-4)
    differences = [
        np.abs(normalised(one) - normalised(other)).max()
        for one, other in zip(theirs, scaled(read), strict=True)
    ]
    assert max(differences) > 0.05


def test_a_named_block_gives_its_own_output_whatever_follows_in_place(images, compute):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    classifier = Classifier(
        nn.Sequential(*layers, nn.Linear(4, 2)), ("a", "b"), Labelling.MULTICLASS
    )
    exact = in_float64(classifier)
    activations = exact.network[0](exact.preprocess(images.double())).detach()
    weight = exact.network[4].weight[0].detach()[None, :, None, None]
    slope = ((activations > 0) * weight).mean((2, 3), keepdim=True)
    own = relu((slope * activations).sum(1, keepdim=True))
    expected = interpolate(own, images.shape[2:], mode="bilinear")[:, 0].detach().numpy()
    pixels = activations[0, 0].numel()
    for block in ("0", "last_conv2d"):
        ours = explained(GradCam(block, "stretched"), classifier, images, 0, compute)
        np.testing.assert_allclose(ours, expected / pixels, atol=1e-6 * expected.max())


def test_a_saturated_output_keeps_its_map(classifier_named, images, compute, normalised):
    plain = classifier_named("resnet18")
    sure = copy.deepcopy(plain)
    with torch.no_grad():
        sure.network.fc.weight *= 1e4
        certain = sure.probabilities(sure(images))
    assert ((certain == 0) | (certain == 1)).all()
    label = int(certain[0].argmax())
    before = explained(GradCam("last_block", "stretched"), plain, images, label, compute)
    after = explained(GradCam("last_block", "stretched"), sure, images, label, compute)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(normalised(one), normalised(other), atol=1e-5)


def test_activations_that_are_not_numbers_give_a_nan_map(classifier_named, images, compute):
    classifier = copy.deepcopy(classifier_named("resnet18"))
    with torch.no_grad():
        classifier.network.layer4[1].bn2.bias[3] = torch.nan
    found = GradCam("last_block", "stretched").explain(
        classifier, images, [[0]] * 3, KEYS, compute=compute
    )
    assert {quantise(maps[0], 0.05).status for maps in found} == {"nan_map"}
