"""A classifier made ready for inference is the given one, within what is said."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from saliency_audit.compute import Compute
from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.inference import FOLDED_CHANGE, LOWERED_CHANGE, for_inference

SIZE = (64, 48)
COMPUTE = Compute(batch=4)


def classifier_of(network: nn.Module) -> Classifier:
    return Classifier(network, ("a", "b", "c"), Labelling.MULTICLASS)


def trained(network: nn.Module) -> nn.Module:
    """Give batch norms the statistics and weights of a network that has learnt."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.2, generator=generator)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def images() -> torch.Tensor:
    return torch.rand((6, 3, *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["cnn", "resnet18", "densenet121", "mobilenet_v3_small"])
def test_outputs_and_gradients_are_those_of_the_given_model_in_float64(name):
    classifier = classifier_of(trained(build(name, 3, SIZE))).train()
    ready = for_inference(classifier, COMPUTE, SIZE)
    assert norms(ready.network) < norms(classifier.network) or name == "cnn"
    exact = copy.deepcopy(classifier).double().eval()
    found = []
    for model, points in ((ready, images()), (exact, images().double())):
        points.requires_grad_()
        scores = COMPUTE.call(model, points)
        (gradients,) = torch.autograd.grad(scores[:, 1].sum(), points)
        found.append((scores.detach().double(), gradients.double()))
    (scores, gradients), (exact_scores, exact_gradients) = found
    assert (scores - exact_scores).abs().max() <= FOLDED_CHANGE * exact_scores.abs().max()
    # A rounded activation may fall on the other side of 0, so single gradients may jump.
    assert (gradients - exact_gradients).norm() <= 1e-2 * exact_gradients.norm()
    assert classifier.training
    assert not ready.training


class Twice(nn.Module):
    """One convolution and batch norm, called twice: folding them twice is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 3)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            points = self.norm(self.conv(points)).relu()
        return self.head(points.mean(dim=(2, 3)))


class Branching(nn.Module):
    """What it does depends on the values, which no trace follows."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        found = self.norm(self.conv(points)).mean(dim=(2, 3))
        return found if found.sum() > 0 else 2 * found


@pytest.mark.parametrize("kind", [Twice, Branching])
def test_a_network_that_cannot_be_folded_stays_as_it_is(kind):
    torch.manual_seed(0)
    classifier = classifier_of(trained(kind())).eval()
    ready = for_inference(classifier, COMPUTE, SIZE)
    assert norms(ready.network) == 1
    with torch.no_grad():
        torch.testing.assert_close(ready(images()), classifier(images()))


def test_numbers_that_are_none_stay_none():
    classifier = classifier_of(trained(build("resnet18", 3, SIZE))).eval()
    with torch.no_grad():
        classifier.network.conv1.weight[0] = torch.nan
        assert for_inference(classifier, COMPUTE, SIZE)(images()).isnan().all()


def test_bfloat16_is_near_and_gives_float32():
    lowered = Compute(batch=4, precision="bfloat16")
    classifier = classifier_of(trained(build("resnet18", 3, SIZE))).eval()
    with torch.no_grad():
        expected = classifier(images())
        found = for_inference(classifier, lowered, SIZE)(images())
    assert found.dtype == torch.float32
    change = (found - expected).abs().max() / expected.abs().max()
    assert 0 < change < LOWERED_CHANGE


class Cancelling(nn.Module):
    """A small difference of large numbers, of which bfloat16 leaves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 3), nn.Linear(3, 3)
        with torch.no_grad():
            self.other.weight.copy_(self.one.weight * 1.001)
            self.other.bias.copy_(self.one.bias)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        means = points.mean(dim=(2, 3)) + 3
        return self.other(means) - self.one(means)


def test_a_precision_that_changes_the_model_is_refused():
    classifier = classifier_of(Cancelling())
    with pytest.raises(ModelError, match=r"moves this model's outputs by .* float32"):
        for_inference(classifier, Compute(batch=4, precision="bfloat16"), SIZE)
    for_inference(classifier, COMPUTE, SIZE)


def test_tfloat32_is_of_cuda_alone():
    with pytest.raises(ParameterError, match="only a CUDA device"):
        Compute(precision="tfloat32")
    assert Compute(precision="tfloat32", device="cuda").precision == "tfloat32"
