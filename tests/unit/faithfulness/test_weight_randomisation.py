"""A gradient map changes with the weights, an edge detector's does not; the model stays as it was.

That is the point of Adebayo et al. 2018.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.faithfulness.similarity import similarity
from saliency_audit.faithfulness.weight_randomisation import (
    layers_from_output,
    weight_randomisation,
)
from saliency_audit.measures.status import Status
from saliency_audit.models.architectures import build

SIDE = 24


@pytest.fixture(scope="module")
def images():
    """Two smooth images (2, 3, 24, 24)."""
    coarse = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(3))
    return nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(32, 2),
    )


@pytest.fixture(scope="module")
def trained(images):
    """A network that has learnt where in an image the bright spot is: left or right."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        model = network()
        optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            points = 0.2 * torch.rand(32, 3, SIDE, SIDE)
            labels = torch.arange(32) % 2
            columns = torch.where(labels == 0, 4, 15)
            for point, column in zip(points, columns.tolist(), strict=True):
                row = int(torch.randint(0, SIDE - 5, ()))
                point[:, row : row + 5, column : column + 5] += 0.8
            loss = nn.functional.cross_entropy(model(points), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() < 0.1
        return model


def gradient(images, label=0):
    """Explain by the magnitude of the gradient."""

    def explain(model):
        image = images[:1].clone().requires_grad_()
        (found,) = torch.autograd.grad(model(image)[0, label], image)
        return found[0].abs().sum(dim=0).double().numpy()

    return explain


def edges(images):
    """Explain by the image's own edges, whatever the model."""

    def explain(model):
        grey = images[0].mean(dim=0).double().numpy()
        return np.hypot(*np.gradient(grey))

    return explain


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed_names(model, before):
    return {name for name, value in model.state_dict().items() if not value.equal(before[name])}


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_an_edge_detector_stays_and_a_gradient_map_changes(trained, images, order):
    options = {"order": order, "seed": 0, "ssim_window": 7}
    blind = weight_randomisation(trained, edges(images), images, **options)
    assert all(step.similarity.spearman == 1 for step in blind.steps)
    assert blind.spearman == 1
    assert blind.ssim == pytest.approx(1, abs=1e-12)
    seeing = weight_randomisation(trained, gradient(images), images, **options)
    assert [step.layer for step in seeing.steps] == ["8", "3", "1", "0"]
    assert seeing.counted == len(seeing.steps)
    assert seeing.status is Status.OK
    assert seeing.spearman < 0.75
    assert seeing.ssim < 0.75
    expected = np.mean([step.similarity.spearman for step in seeing.steps])
    assert seeing.spearman == pytest.approx(expected, abs=1e-15)


def test_the_end_of_a_cascade_is_a_network_that_has_learnt_nothing(trained, images):
    """Over several seeds, the trained map is as unlike a random network's as two of these are."""
    final = [
        weight_randomisation(trained, gradient(images), images, order="cascading", seed=seed)
        .steps[-1]
        .similarity.spearman
        for seed in range(8)
    ]
    maps = []
    for seed in range(8):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            maps.append(gradient(images)(network().eval()))
    own = gradient(images)(deepcopy(trained).eval())
    independent = [similarity(own, other).spearman for other in maps]
    spread = np.std(independent) + np.std(final)
    assert abs(np.mean(final) - np.mean(independent)) < 2 * spread / np.sqrt(8) + 0.05
    assert np.mean(final) < 0.5


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_each_step_changes_the_weights_that_it_says(trained, images, order):
    before, seen = state(trained), []

    def explain(model):
        assert model is not trained
        assert not any(module.training for module in model.modules())
        seen.append(changed_names(model, before))
        return gradient(images)(model)

    found = weight_randomisation(trained, explain, images, order=order, seed=1)
    assert seen[0] == set()
    expected = set()
    for step, names in zip(found.steps, seen[1:], strict=True):
        own = {name for name in before if name.rpartition(".")[0] == step.layer}
        expected = own | expected if order == "cascading" else own
        assert names == expected


@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_the_model_and_the_random_state_stay_as_they_were(trained, images, order):
    before, training = state(trained), trained.training
    torch.manual_seed(5)
    random = torch.get_rng_state()
    one = weight_randomisation(trained, gradient(images), images, order=order, seed=2)
    assert torch.equal(torch.get_rng_state(), random)
    assert changed_names(trained, before) == set()
    assert trained.training == training
    assert not any(module._forward_pre_hooks for module in trained.modules())
    torch.manual_seed(6)
    assert weight_randomisation(trained, gradient(images), images, order=order, seed=2) == one
    assert weight_randomisation(trained, gradient(images), images, order=order, seed=3) != one


def test_both_orders_begin_alike_and_give_a_layer_the_same_weights(trained, images):
    cascading, independent = (
        weight_randomisation(trained, gradient(images), images, order=order, seed=4)
        for order in ("cascading", "independent")
    )
    assert cascading.steps[0] == independent.steps[0]
    assert cascading.steps[1:] != independent.steps[1:]
    some = weight_randomisation(
        trained, gradient(images), images, order="independent", seed=4, layers=["0", "3"]
    )
    assert some.steps == (independent.steps[1], independent.steps[3])


def test_layers_come_by_their_calls_and_not_by_their_names():
    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.body = nn.Conv2d(3, 4, 1)
            self.scale = nn.Parameter(torch.ones(1, 3, 1, 1))
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, images):
            tokens = self.body(images * self.scale).flatten(2).permute(2, 0, 1)
            return self.head(self.attention(tokens, tokens, tokens)[0].mean(dim=0))

    order = layers_from_output(Swapped(), torch.zeros(1, 3, 2, 2))
    # The attention's projection is never called itself.
    assert order == ("head", "attention", "body", "")


def test_layers_of_a_resnet():
    model = build("resnet18", 2, (32, 32))
    order = layers_from_output(model, torch.zeros(1, 3, 32, 32))
    own = {name for name, m in model.named_modules() if list(m.parameters(recurse=False))}
    assert set(order) == own
    assert (order[0], order[-1]) == ("fc", "conv1")
    assert order.index("layer4.0.conv1") < order.index("layer3.1.conv2")


def test_a_module_that_knows_no_initial_weights_takes_its_own_in_another_order(images):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.rand(3, SIDE, SIDE))

        def forward(self, images):
            return (images * self.weight).sum(dim=(1, 2, 3))[:, None].expand(-1, 2)

    model, seen = Scaled(), []

    def explain(copy):
        seen.append(copy.weight.detach().clone())
        return gradient(images)(copy)

    found = weight_randomisation(model, explain, images, order="cascading", seed=0)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0].flatten().sort().values, seen[1].flatten().sort().values)
    # Two random orders: ρ has standard deviation 1/√575 = 0.042.
    assert abs(found.spearman) < 0.2


def test_a_layer_that_is_as_at_its_start_has_no_step(images):
    model = network()  # its normalisation has learnt nothing
    found = weight_randomisation(model, gradient(images), images, order="cascading", seed=0)
    assert found.unchanged == ("1",)
    assert [step.layer for step in found.steps] == ["8", "3", "0"]


def test_a_map_that_dies_on_the_way_is_counted_out(trained, images):
    """The second step's map is zero: it has no value, and the mean is of the others."""
    calls = []

    def explain(model):
        calls.append(model)
        return np.zeros((SIDE, SIDE)) if len(calls) == 3 else edges(images)(model)

    found = weight_randomisation(trained, explain, images, order="cascading", seed=0)
    assert found.steps[1].similarity.status is Status.ZERO_MAP
    assert (found.spearman, found.counted, found.status) == (1, 3, Status.ZERO_MAP)


@pytest.mark.parametrize(("value", "status"), [(0, Status.ZERO_MAP), (-2, Status.CONSTANT_MAP)])
def test_an_original_map_that_ranks_nothing_has_no_steps(trained, images, value, status):
    found = weight_randomisation(
        trained,
        lambda model: np.full((SIDE, SIDE), float(value)),
        images,
        order="cascading",
        seed=0,
    )
    assert (found.steps, found.spearman, found.counted, found.status) == ((), None, 0, status)


def test_wrong_input_is_refused(trained, images):
    explain = gradient(images)
    with pytest.raises(ParameterError, match="order is cascade"):
        weight_randomisation(trained, explain, images, order="cascade", seed=0)
    with pytest.raises(ParameterError, match="layers names fc"):
        weight_randomisation(
            trained, explain, images, order="cascading", seed=0, layers=["8", "fc"]
        )
    with pytest.raises(ParameterError, match="seed"):
        weight_randomisation(trained, explain, images, order="cascading", seed=-1)
    with pytest.raises(ParameterError, match="ssim_window"):
        weight_randomisation(
            trained, explain, images, order="cascading", seed=0, ssim_window=SIDE + 1
        )
    with pytest.raises(ModelError, match="no weights"):
        weight_randomisation(nn.Flatten(), explain, images, order="cascading", seed=0)
    with pytest.raises(ModelError, match="nothing to randomise"):
        weight_randomisation(
            nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()),
            edges(images),
            images,
            order="cascading",
            seed=0,
        )
    with pytest.raises(DataError, match="shape"):
        weight_randomisation(trained, lambda model: np.ones(3), images, order="cascading", seed=0)
