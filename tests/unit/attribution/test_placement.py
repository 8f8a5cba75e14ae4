"""Cells are painted where they look: the gradient of one cell is where its value is painted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import interpolate

from saliency_audit.attribution.blocks import explained_block
from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.grid import Grid, stretched
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.measured_centres import measured_centres
from saliency_audit.attribution.placement import grid_of, listening
from saliency_audit.compute import Compute
from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier

FAMILIES = [
    "resnet18",
    "vgg11_bn",
    "densenet121",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "shufflenet_v2_x0_5",
    "mnasnet0_5",
    "googlenet",
    "regnet_y_400mf",
    "convnext_tiny",
    "squeezenet1_1",
    "timm:tf_efficientnet_b0",
]


def classifier_of(network: nn.Module) -> Classifier:
    return Classifier(network.eval(), ("a", "b"), Labelling.MULTICLASS)


#: Modules that are no geometry, and would make a gradient depend on the pixels.
LEFT_OUT = {
    *("ReLU", "ReLU6", "SiLU", "GELU", "Hardswish", "SqueezeExcitation", "SqueezeExcite"),
    *("BatchNorm2d", "BatchNormAct2d", "LayerNorm2d", "LayerNorm"),
}


def linear(network: nn.Module) -> nn.Module:
    """Make a network whose gradients are its geometry: means over windows, and nothing else."""
    for name, module in list(network.named_modules()):
        parent, _, last = name.rpartition(".")
        if isinstance(module, nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
            module.bias = None
        elif isinstance(module, nn.MaxPool2d):
            size, stride, padding = module.kernel_size, module.stride, module.padding
            pooling = nn.AvgPool2d(size, stride, padding, module.ceil_mode)
            setattr(network.get_submodule(parent), last, pooling)
        elif type(module).__name__ in LEFT_OUT and name:
            setattr(network.get_submodule(parent), last, nn.Identity())
    return network


def centre_of_gradient(classifier: Classifier, block: str, cell: tuple[int, int], size) -> list:
    """Centre of the gradient of a cell for the pixels, in float64."""
    images = torch.ones((1, 3, *size), dtype=torch.float64, requires_grad=True)
    found: list[torch.Tensor] = []
    with listening(classifier.network, block, lambda value: found.append(value.clone())):
        classifier.network.double()(images)
    (gradient,) = torch.autograd.grad(found[-1][0, :, cell[0], cell[1]].sum(), images)
    classifier.network.float()
    weights = gradient[0].abs().sum(dim=0).numpy()
    weights /= weights.sum()
    return [float((np.arange(size[axis]) * weights.sum(axis=1 - axis)).sum()) for axis in (0, 1)]


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_cell_is_painted_where_its_gradient_is(architecture):
    """Even and odd sizes, of a cell in the middle, which sees little of the border."""
    size = (257, 224)
    network = build(architecture, 2, (224, 224))
    block, _ = explained_block(classifier_of(network), image_size=(64, 64))
    classifier = classifier_of(linear(network))
    grid = grid_of(classifier, block, "field", size, named=False)
    assert grid.found == "geometry"
    cell = (grid.cells[0] // 2, grid.cells[1] // 2)
    looked = centre_of_gradient(classifier, block, cell, size)
    values = torch.zeros(1, *grid.cells)
    values[0, cell[0], cell[1]] = 1.0
    painted = grid.painted(values, size)[0]
    near = np.where(painted > 0.6, painted - 0.6, 0.0)  # the tip, on which no border tells
    for axis in (0, 1):
        profile = near.sum(axis=1 - axis)
        centre = float((np.arange(size[axis]) * profile).sum() / profile.sum())
        assert centre == pytest.approx(looked[axis], abs=0.5)


def test_what_is_measured_is_what_geometry_says():
    network = build("resnet18", 2, (96, 96)).eval()
    classifier = classifier_of(network)
    grid = grid_of(classifier, "layer2", "field", (96, 96))

    def activations(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        found = []
        with listening(network, "layer2", found.append):
            network(images)
        return found[-1]

    measured = measured_centres(network, activations, (96, 96))
    assert measured is not None
    for axis in (0, 1):
        np.testing.assert_allclose(measured[axis], grid.centres(axis), atol=1.0)


def test_stretched_is_what_libraries_do():
    values = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = interpolate(values[:, None], (64, 96), mode="bilinear")[:, 0].numpy()
    np.testing.assert_array_equal(
        stretched("x", (5, 7), (64, 96)).painted(values, (64, 96)), theirs
    )


@given(st.integers(1, 8), st.integers(1, 8), st.floats(-8, 40), st.floats(1, 40), st.floats(0, 1e6))
def test_a_flat_grid_stays_flat_and_no_value_leaves_the_range(rows, columns, first, step, level):
    grid = Grid("x", (rows, columns), (first, first), (step, step), "field", "geometry")
    flat = grid.painted(torch.full((1, rows, columns), level, dtype=torch.float64), (33, 48))
    assert (flat == level).all()
    values = torch.rand(1, rows, columns, generator=torch.Generator().manual_seed(rows))
    painted = grid.painted(values, (33, 48))
    assert painted.min() >= values.double().min()
    assert painted.max() <= values.double().max()


def test_the_outermost_cell_does_not_own_the_corner():
    grid = Grid("x", (7, 7), (0.0, 0.0), (32.0, 32.0), "field", "geometry")
    values = torch.zeros(1, 7, 7)
    values[0, 6, 6] = 1.0
    painted = grid.painted(values, (224, 224))[0]
    assert np.unravel_index(painted.argmax(), painted.shape) == (192, 192)
    assert painted[223, 223] < 0.05


@pytest.mark.parametrize("size", [28, 64, 96])
def test_flat_activations_are_a_constant_map(size):
    """A network whose activations are the same in every cell, but for rounding."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Upsample((7, 7)),
        nn.Conv2d(8, 16, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    classifier = classifier_of(network)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    compute = Compute(threads=1, batch=4)
    found = GradCam("5").explain(classifier, images, [[0, 1]] * 2, ["a", "b"], compute=compute)
    statuses = {quantise(raw, 0.05).status for maps in found for raw in maps}
    assert statuses <= {"constant_map", "zero_map"}


class Small(nn.Module):
    """Two convolutions of stride 2, and between them what a test puts there."""

    def __init__(self, between) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.second = nn.Conv2d(8, 8, 3, 2, 1)
        self.head = nn.Linear(8, 2)
        self.between = between

    def forward(self, images):
        seen = self.between(self.first(images).relu())
        return self.head(self.second(seen).relu().mean((2, 3)))


def shuffled(values):
    """Put cells in no order: where they look is no line."""
    order = torch.randperm(values[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return values.flatten(2)[:, :, order].view(values.shape)


def dynamic(values):
    """Give as many cells as the image says."""
    return nn.functional.adaptive_avg_pool2d(values, 12 + int(values.abs().sum() * 7) % 5)


@pytest.mark.parametrize(
    ("between", "found"),
    [
        (nn.Identity(), "geometry"),
        (lambda values: torch.roll(values, 0, 2), "gradients"),
        (shuffled, "stretched"),
        (dynamic, "stretched"),
    ],
)
def test_where_the_geometry_is_not_followed_it_is_measured_or_stretched(between, found):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = classifier_of(Small(between))
    compute = Compute(threads=1, batch=2)
    explainer = GradCam("second").explainer(classifier, compute=compute)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = explainer.explain(images, [[0], [1]], ["a", "b"])
    grid = explainer.grid((64, 64))
    assert grid.found == found
    assert all(np.isfinite(raw.values).all() for each in maps for raw in each)
    if found != "stretched":
        np.testing.assert_allclose(grid.centres(0), 4.0 * np.arange(16), atol=1.0)


def test_another_number_of_cells_than_were_placed_is_an_error():
    grid = Grid("x", (4, 4), (0.0, 0.0), (8.0, 8.0), "field", "geometry")
    with pytest.raises(ModelError, match="5x5 cells for one image and 4x4 for another"):
        grid.painted(torch.rand(1, 5, 5), (32, 32))


@pytest.mark.parametrize("size", [(20, 27), (1100, 1040)])
def test_small_and_large_images_have_a_block_and_places(size):
    classifier = classifier_of(build("mobilenet_v3_small", 2, (64, 64)))
    block, _ = explained_block(classifier, image_size=size)
    grid = grid_of(classifier, block, "field", size, named=False)
    assert grid.found == "geometry"
    assert grid.painted(torch.rand(1, *grid.cells), size).shape == (1, *size)


@pytest.mark.parametrize(("block", "words"), [("avgpool", "one cell"), ("fc", "does not give")])
def test_a_named_block_without_a_grid_is_refused(block, words):
    classifier = classifier_of(build("resnet18", 2, (64, 64)))
    with pytest.raises(ModelError, match=words):
        GradCam(block).explainer(classifier, compute=Compute(threads=1, batch=2)).grid((64, 64))
