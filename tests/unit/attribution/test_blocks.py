"""Which block is explained: the names that the literature gives, and clear refusals."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from saliency_audit.attribution.blocks import LAST_BLOCK, explained_block
from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.errors import ModelError, NotApplicable
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier


def classifier_of(network: nn.Module, size: tuple[int, int] | None = None) -> Classifier:
    return Classifier(network, ("a", "b"), Labelling.MULTICLASS, input_size=size)


@pytest.mark.parametrize(
    ("architecture", "size", "block", "last"),
    [
        ("cnn", 48, "bn2:input", "conv2"),
        ("resnet18", 48, "layer4", "layer4.1.conv2"),
        ("densenet121", 48, "features", "features.denseblock4.denselayer16.conv2"),
        ("timm:resnet10t", 64, "layer4", None),
        ("squeezenet1_1", 64, "classifier.2", "classifier.1"),
        ("timm:mobilenetv3_small_050", 64, "blocks", "blocks.5.0.conv"),  # conv_head comes pooled
        ("timm:convnext_atto", 64, "norm_pre", None),
    ],
)
def test_the_default_is_the_last_convolutional_block(architecture, size, block, last):
    classifier = classifier_of(build(architecture, 2, (size, size)))
    name, module = explained_block(classifier, LAST_BLOCK, image_size=(size, size))
    assert name == block
    assert module is classifier.network.get_submodule(block.removesuffix(":input"))
    if last is not None:
        assert explained_block(classifier, "last_conv2d", image_size=(size, size))[0] == last


class Functions(nn.Module):
    """A residual block of functions, written out in the network itself."""

    def __init__(self, rectify: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 2)
        self.rectify = rectify

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        first = self.conv1(points)
        features = first + self.norm(self.conv2(first))
        features = features.relu() if self.rectify else features
        return self.head(self.pool(features).flatten(1))


def test_what_functions_rectify_is_what_the_pooling_reads():
    assert explained_block(classifier_of(Functions(rectify=True)))[0] == "pool:input"
    assert explained_block(classifier_of(Functions(rectify=False)))[0] == "norm"


def test_a_norm_between_a_relu_and_the_pooling_is_left_out():
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1)
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2))
    assert explained_block(classifier_of(network))[0] == "1"
    other = nn.Sequential(layers[0], layers[2], layers[1], *list(network)[3:])
    assert explained_block(classifier_of(other))[0] == "2"


def test_the_block_does_not_hang_on_the_weights():
    classifier = classifier_of(build("cnn", 2, (32, 32)))
    names = []
    for bias in (-3.0, 0.0, 3.0):
        with torch.no_grad():
            classifier.network.bn2.bias.fill_(bias)
            classifier.network.conv2.bias.fill_(bias)
        names.append(explained_block(classifier, LAST_BLOCK, image_size=(32, 32))[0])
    assert names == ["bn2:input"] * 3


def test_a_networks_wrapping_does_not_change_its_block():
    classifier = classifier_of(nn.Sequential(build("resnet18", 2, (48, 48))))
    assert explained_block(classifier, image_size=(224, 224))[0] == "0.layer4"


def test_the_search_leaves_no_trace():
    classifier = classifier_of(build("cnn", 2, (32, 32)).train())
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    explained_block(classifier, image_size=(32, 32))
    assert classifier.network.training
    assert not any(module._forward_hooks for module in classifier.modules())
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())


class Windows(nn.Module):
    """As Swin: patches by a convolution, then layers on (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, stride=4)
        self.mix = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(points).permute(0, 2, 3, 1)).mean((1, 2)))


@pytest.mark.parametrize("name", ["vit", "windows"])
def test_a_transformer_has_none_and_the_error_says_what_to_do(name):
    size = (64, 64)
    network = (
        Windows()
        if name == "windows"
        else timm.create_model("vit_tiny_patch16_224", img_size=size, depth=2, num_classes=2)
    )
    with pytest.raises(NotApplicable, match=r"no convolutional block.*shap, lime or rise"):
        explained_block(classifier_of(network, size))


def test_a_network_without_convolutions_has_none(images, compute):
    classifier = classifier_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)))
    with pytest.raises(NotApplicable, match="no convolutional block"):
        GradCam().explain(classifier, images, [[0]] * 3, list("xyz"), compute=compute)


def test_an_unknown_block_names_the_nearest(small):
    with pytest.raises(ModelError, match=r"'layer5' is no module.*did you mean layer4"):
        explained_block(classifier_of(build("resnet18", 2, (48, 48))), "layer5")
    with pytest.raises(ModelError, match="is no module"):
        explained_block(small, "")


class Idle(nn.Module):
    """A network with a convolution that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv2d(3, 2, 3)
        self.idle = nn.Conv2d(3, 2, 3)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.used(points).mean((2, 3))


@pytest.mark.parametrize(
    ("network", "block", "message"),
    [
        (Idle(), "idle", "not used by the network"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "2",
            "activations",
        ),
    ],
)
def test_a_block_without_activations_is_refused(images, compute, network, block, message):
    with pytest.raises(ModelError, match=message):
        GradCam(block).explain(
            classifier_of(network), images, [[0]] * 3, list("xyz"), compute=compute
        )


@pytest.mark.parametrize(
    ("architecture", "size", "block", "cells"),
    [
        ("resnet18", 64, "layer2", 8),
        ("resnet50", 64, "layer2", 8),  # its third layer begins with as many cells, and has fewer
        ("mobilenet_v3_small", 64, "features.3", 8),
        ("resnet18", 28, "layer1", 7),
        ("resnet18", 12, "relu", 6),  # none has seven: the most there are
        ("resnet18", 224, "layer4", 7),
    ],
)
def test_the_default_has_seven_cells_where_it_can(architecture, size, block, cells):
    classifier = classifier_of(build(architecture, 2, (size, size)).eval())
    name, module = explained_block(classifier, image_size=(size, size))
    assert name == block
    given = []
    with module.register_forward_hook(lambda _, __, output: given.append(output.shape[2:])):
        classifier(torch.rand(1, 3, size, size))
    assert tuple(given[0]) == (cells, cells)
