"""What every method promises, by the battery that a third party runs too; and what is beyond it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
from torch import nn

from saliency_audit.attribution.registry import METHODS as BUILT_IN
from saliency_audit.attribution.registry import REFERENCES, method_from_parameters
from saliency_audit.compute import Compute
from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier
from saliency_audit.testing import method_checks
from saliency_audit.testing.classifiers import smooth_images

#: Every method with parameters small enough for many calls.
METHODS = {
    "gradcam": {},
    "gradcam_plus_plus": {},
    "hirescam": {},
    "layercam": {},
    "xgradcam": {},
    "scorecam": {},
    "attention_rollout": {},
    "attention_relevance": {},
    "shap": {"samples": 6},
    "integrated_gradients": {"steps": 6},
    "integrated_gradients_each": {
        "class": "integrated_gradients",
        "steps": 3,
        "baseline": "each",
    },
    "smoothgrad": {"samples": 5},
    "smoothgrad_gradcam": {"class": "smoothgrad", "of": "gradcam", "samples": 5},
    "smoothgrad_shap": {
        "class": "smoothgrad",
        "of": "shap",
        "parameters": {"samples": 3},
        "samples": 2,
    },
    "lime": {"samples": 14, "segmentation_size": 64},
    "rise": {"samples": 14},
    "rise_plain": {"class": "rise", "samples": 14, "estimator": "plain"},
    "shap_reference": {"class": "shap:GradientExplainer", "samples": 6},
    "lime_reference": {"class": "lime:LimeImageExplainer", "samples": 14},
    "saliency": {"class": "captum:Saliency"},
    "gradient_shap": {"class": "captum:GradientShap"},
    "kernel_shap": {"class": "captum:KernelShap", "patches": 3, "sign": "absolute"},
}
FINITE = "one more pass per image asks whether its scores are finite"
#: What of the battery does not hold of a method, and why.
EXPECTED = {
    "scorecam": {
        "a_constant_model_has_no_map": "equal scores weigh all channels alike, by its softmax"
    },
    "attention_rollout": {
        "a_constant_model_has_no_map": "its map is of the attention, whatever the head makes of it"
    },
    "rise_plain": {"a_constant_model_has_no_map": "its map is how often pixels were visible"},
    "lime_reference": {"a_constant_model_has_no_map": "its map is rounding"},
    "shap_reference": {"costs_are_counted": "its own score and the library's are passes too"},
    "kernel_shap": {
        "a_constant_model_has_no_map": "its map is rounding",
        "costs_are_counted": FINITE,
    },
    "saliency": {
        "its_seed_matters": "one seed is declared for all of captum's classes",
        "costs_are_counted": FINITE,
    },
}
GRADIENT = ("gradcam", "gradcam_plus_plus", "shap", "saliency")
#: What explains a transformer alone is tried on one.
ATTENTION = ("attention_rollout", "attention_relevance")
COMPUTE = Compute(batch=4)


def transformer() -> Classifier:
    """A ViT of two layers with random weights, large enough for patches to matter."""
    # Of heads narrower than 16, MKL's products round by where a row's matrix lies in memory.
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, **sizes)
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return Classifier(network, ("a", "b", "c"), Labelling.MULTICLASS).eval()


CHECKS = [
    pytest.param(check, id=f"{name}-{check}")
    for name, parameters in METHODS.items()
    for check in method_checks(
        name,
        parameters,
        classifier=transformer() if name in ATTENTION else None,
        # Of smaller ones the reference finds too few superpixels for a seed to matter.
        images=smooth_images(side=64) if name == "lime_reference" else None,
        expected=EXPECTED.get(name),
    )
]


def test_every_method_of_the_registry_is_checked():
    kinds = {parameters.get("class", name) for name, parameters in METHODS.items()}
    assert kinds >= {*BUILT_IN, *REFERENCES}


@pytest.mark.parametrize("check", CHECKS)
def test_a_method_keeps_its_promises(check):
    torch.set_num_threads(1)
    check()


def values(maps) -> list[list[np.ndarray]]:
    return [[raw.values for raw in found] for found in maps]


def same(one, other) -> None:
    for first, second in zip(one, other, strict=True):
        for left, right in zip(first, second, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.fixture(params=[name for name in METHODS if name not in ATTENTION])
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


@pytest.mark.parametrize("name", ["cnn", "resnet18", "densenet121"])
@pytest.mark.parametrize("method", ["gradcam", "gradcam_plus_plus", "shap", "rise"], indirect=True)
def test_so_it_is_for_deep_networks(classifier_named, explain, name, method):
    classifier = classifier_named(name)
    together = values(explain(classifier, [0, 1, 2], [[0], [1], [2]]))
    turned = values(explain(classifier, [2, 1, 0], [[2], [1], [0]]))
    same(together, turned[::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[:1] * 2 + 1, "image key has pixels outside"),
        (lambda images: images[:1] * torch.nan, "image key has pixels outside"),
        (lambda images: images[:1, :2], "give float32"),
        (lambda images: images[0], "came with|give float32"),
        (lambda images: (images[:1] * 255).to(torch.uint8), "give float32"),
        (lambda images: images[:2], "2 images came with 1 lists of labels and 1 keys"),
    ],
)
def test_what_is_wrong_with_images_is_said(small, images, change, message):
    with pytest.raises(DataError, match=message):
        method_from_parameters("gradcam", {}).explain(
            small, change(images), [[0]], ["key"], compute=COMPUTE
        )


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
    unsigned = request.node.callspec.params["method"] in ("saliency", "kernel_shap", "smoothgrad")
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
