"""A default block speaks for the whole network, or is refused with the others named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from saliency_audit.attribution.blocks import explained_block
from saliency_audit.errors import NotApplicable
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier


def block_of(network: nn.Module, name: str | None = None) -> str:
    classifier = Classifier(network, ("a", "b"), Labelling.MULTICLASS)
    return explained_block(classifier, name, image_size=(48, 48))[0]


def body(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((3, *channels[:-1]), channels, strict=True):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))


class Mean(nn.Module):
    """The mean of several networks' scores."""

    def __init__(self, *members: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(points) for member in self.members]).mean(0)


class Gated(nn.Module):
    """Features weighed at each place by a gate of them, of so many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features, self.head = body(8, 8), head(8)
        self.gate = nn.Sequential(nn.Conv2d(8, channels, 1), nn.Sigmoid())

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        features = self.features(points)
        return self.head(features * self.gate(features))


class Cascade(nn.Module):
    """Two bodies, one after the other, both read by the head: the second is deeper."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = body(4), nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.head = head(8)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        first = self.first(points)
        return self.head(torch.cat([first, self.second(first)], 1))


def test_an_ensemble_is_told_of_its_members():
    network = Mean(*(build("resnet18", 2, (48, 48)) for _ in range(3)))
    with pytest.raises(NotApplicable, match="several blocks beside each other") as told:
        block_of(network)
    for number in range(3):
        assert f"members.{number}.layer4" in str(told.value)
    assert block_of(network, "members.0.layer4") == "members.0.layer4"


def test_members_of_other_architectures_are_told_too():
    with pytest.raises(NotApplicable, match=r"members\.1\.0.*members\.0\.0"):
        block_of(Mean(*(nn.Sequential(body(4, size), head(size)) for size in (4, 6))))


def test_a_network_read_twice_is_one():
    member = nn.Sequential(body(4), head(4))
    assert block_of(Mean(member, member)) == "members.0.0"


def test_a_gate_of_one_channel_is_refused_and_the_features_are_named():
    with pytest.raises(NotApplicable, match=r"gate, has one channel.*\(features\)"):
        block_of(Gated(1))
    assert block_of(Gated(1), "features") == "features"
    assert block_of(Gated(8)) == "gate"


def test_a_last_convolution_to_one_channel_is_refused():
    with pytest.raises(NotApplicable, match=r"one channel.*\(0\.0\)|one channel.*\(0\.1\)"):
        block_of(nn.Sequential(body(4, 1), head(1)))


def test_what_comes_after_another_block_is_deeper_and_stands():
    assert block_of(Cascade()) == "second"
