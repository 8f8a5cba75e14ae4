"""What every method promises: a map depends on its image, label and parameters alone."""

from __future__ import annotations

import copy
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.registry import method_from_parameters
from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

#: Every method with parameters small enough for many calls.
METHODS = {
    "gradcam": {},
    "gradcam_plus_plus": {},
    "shap": {"samples": 6},
    "lime": {"samples": 14, "segmentation_size": 96},
    "rise": {"samples": 14},
    "rise_plain": {"class": "rise", "samples": 14, "estimator": "plain"},
    "shap_reference": {"class": "shap:GradientExplainer", "samples": 6},
    "lime_reference": {"class": "lime:LimeImageExplainer", "samples": 14},
    "saliency": {"class": "captum:Saliency"},
    "gradient_shap": {"class": "captum:GradientShap"},
    "kernel_shap": {"class": "captum:KernelShap", "patches": 3, "sign": "absolute"},
}
GRADIENT = ("gradcam", "gradcam_plus_plus", "shap", "saliency")
COMPUTE = Compute(batch=4)


def values(maps) -> list[list[np.ndarray]]:
    return [[raw.values for raw in found] for found in maps]


def same(one, other) -> None:
    for first, second in zip(one, other, strict=True):
        for left, right in zip(first, second, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.fixture(params=list(METHODS))
def method(request):
    return method_from_parameters(request.param, METHODS[request.param])


@pytest.fixture
def explain(method, images):
    def explain_them(classifier, rows, labels, **options):
        keys = [f"key {row}" for row in rows]
        background = images if method.needs_background else None
        return method.explain(
            classifier,
            images[list(rows)],
            labels,
            keys,
            compute=options.get("compute", COMPUTE),
            background=background,
        )

    return explain_them


@pytest.mark.parametrize("name", ["small", "cnn"])
def test_a_map_is_the_same_whatever_stands_beside_it(classifier_named, explain, name):
    classifier = classifier_named(name)
    together = values(explain(classifier, [0, 1, 2], [[0, 2], [], [1]]))
    assert [len(found) for found in together] == [2, 0, 1]
    turned = values(explain(classifier, [2, 0, 1], [[1], [0, 2], []]))
    same(together, [turned[1], turned[2], turned[0]])
    same([together[2]], values(explain(classifier, [2], [[1]])))


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
@pytest.mark.parametrize("method", ["gradcam", "gradcam_plus_plus", "shap", "rise"], indirect=True)
def test_so_it_is_for_deep_networks(classifier_named, explain, name, method):
    classifier = classifier_named(name)
    together = values(explain(classifier, [0, 1, 2], [[0], [1], [2]]))
    turned = values(explain(classifier, [2, 1, 0], [[2], [1], [0]]))
    same(together, turned[::-1])


def test_a_label_is_explained_alike_whatever_else_is_asked(small, explain):
    alone = [explain(small, [1], [[label]])[0][0] for label in range(3)]
    (together,) = explain(small, [1], [[2, 0, 1, 0]])
    for raw, label in zip(together, [2, 0, 1, 0], strict=True):
        np.testing.assert_array_equal(raw.values, alone[label].values)
        assert (raw.status, raw.completeness) == (alone[label].status, alone[label].completeness)


def test_maps_are_float64_non_negative_and_as_large_as_the_image(small, explain):
    for found in explain(small, [0, 1], [[0, 1, 2], [1]]):
        for raw in found:
            assert raw.values.dtype == np.float64
            assert raw.values.shape == (64, 64)
            assert (raw.values >= 0).all()


def test_the_same_seed_gives_the_same_map_and_another_another(images, small):
    for name, parameters in METHODS.items():
        method = method_from_parameters(name, parameters)
        if "seed" not in asdict(method) or name == "saliency":
            continue
        found = []
        for seed in (0, 0, 1):
            again = method_from_parameters(name, {**parameters, "seed": seed})
            found.append(
                again.explain(
                    small, images[:1], [[1]], ["key"], compute=COMPUTE, background=images
                )[0][0].values
            )
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2]), name


def test_nothing_about_the_classifier_changes(small, explain):
    classifier = copy.deepcopy(small).train()
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    explain(classifier, [0], [[1]])
    assert classifier.training
    assert all(torch.equal(state[name], value) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert not any(module._forward_hooks for module in classifier.modules())
    assert torch.is_grad_enabled()


def test_it_explains_within_no_grad_too(small, explain):
    expected = values(explain(small, [0], [[1]]))
    with torch.no_grad():
        same(expected, values(explain(small, [0], [[1]])))


def test_a_model_that_never_changes_its_mind_has_no_map(request, explain, small):
    classifier = copy.deepcopy(small)
    with torch.no_grad():
        classifier.network[7].weight.zero_()
        classifier.network[7].bias.copy_(torch.tensor([0.3, -0.2, 1.7]))
    ((raw, other),) = explain(classifier, [0], [[0, 2]])
    exempt = {"rise_plain": "coverage", "lime_reference": "rounding", "kernel_shap": "rounding"}
    if any(name in request.node.name for name in exempt):
        return  # what these map of a constant is how often pixels were visible, or rounding
    assert quantise(raw, 0.05).status == quantise(other, 0.05).status == "zero_map"


def test_numbers_that_are_none_become_a_nan_map(explain, small):
    classifier = copy.deepcopy(small)
    with torch.no_grad():
        classifier.network[3].weight[0] = torch.nan
    ((raw,),) = explain(classifier, [0], [[0]])
    assert quantise(raw, 0.05).status == "nan_map"


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_out_of_range_is_named(small, explain, label):
    with pytest.raises(ParameterError, match=rf"label {label} was asked of image key 1.*0 to 2"):
        explain(small, [0, 1], [[0], [label]])


def test_images_that_are_none_are_refused(small, method, images):
    for wrong, message in [
        (images[:1] * 2 + 1, "image key has pixels outside"),
        (images[:1] * torch.nan, "image key has pixels outside"),
        (images[:1, :2], "give float32"),
        (images[0], "came with|give float32"),
        ((images[:1] * 255).to(torch.uint8), "give float32"),
        (images[:2], "2 images came with 1 lists of labels and 1 keys"),
    ]:
        with pytest.raises(DataError, match=message):
            method.explain(small, wrong, [[0]], ["key"], compute=COMPUTE, background=images)


def test_no_images_have_no_maps(small, explain):
    assert explain(small, [], []) == []


def test_both_labels_of_a_binary_classifier(request, explain):
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 1),
    )
    classifier = Classifier(network, ("healthy", "ill"), Labelling.BINARY)
    ((negative, positive),) = explain(classifier, [0], [[0, 1]])
    equal = np.array_equal(negative.values, positive.values)
    unsigned = any(name in request.node.name for name in ("saliency", "kernel_shap"))
    assert equal == unsigned  # attributions of either sign are of one size for both


def symmetric(network: nn.Module) -> nn.Module:
    """Make every kernel its own mirror image."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_((module.weight + module.weight.flip(3)) / 2)
    return network


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("network", ["small", "resnet18", "densenet121"])
def test_a_mirrored_image_has_a_mirrored_map(classifier_named, name, network):
    """Of a network with symmetric kernels, at a size where every stride meets its mirror image."""
    plain = copy.deepcopy(classifier_named(network))
    classifier = Classifier(symmetric(plain.network), plain.labels, Labelling.MULTICLASS).eval()
    side = {"small": 64, "resnet18": 65, "densenet121": 61}[network]
    points = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(4))
    method = method_from_parameters(name, METHODS[name])

    def explained(images: torch.Tensor) -> np.ndarray:
        found = method.explain(
            classifier, images[:1], [[1]], ["key"], compute=COMPUTE, background=images
        )
        return found[0][0].values

    straight, mirrored = explained(points), explained(points.flip(3))
    assert straight.max() > 0
    np.testing.assert_allclose(mirrored[:, ::-1], straight, atol=2e-4 * straight.max())


def test_every_call_of_the_model_has_the_one_batch_shape(small, explain):
    """So no call, and no memory, grows with the number of samples."""
    classifier = copy.deepcopy(small)
    shapes = set()
    classifier.register_forward_hook(lambda _m, inputs, _o: shapes.add(tuple(inputs[0].shape)))
    explain(classifier, [0, 1], [[0, 2], [1]])
    assert shapes == {(COMPUTE.batch, 3, 64, 64)}


def test_costs_are_counted_in_passes(small, images):
    """Rows that the network reads, padding taken off, are what the method says."""
    for name in ("gradcam", "gradcam_plus_plus", "shap", "lime", "rise"):
        parameters = {"segmentation_size": 64} if name == "lime" else {}
        parameters |= {"samples": 8} if name in ("shap", "lime", "rise") else {}
        method = method_from_parameters(name, parameters)
        classifier = copy.deepcopy(small)
        rows = []
        classifier.register_forward_hook(lambda _m, inputs, _o, rows=rows: rows.append(inputs[0]))
        method.explain(
            classifier,
            images,
            [[0, 1]] * 3,
            list("xyz"),
            compute=Compute(batch=1),
            background=images,
        )
        background = len(images) if name == "shap" else 0
        assert len(rows) == 3 * method.cost().forward + background, name
