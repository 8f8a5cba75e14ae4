"""Maps of activations and gradients against their equations in float64 and pytorch-grad-cam."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch.nn.functional import interpolate

from saliency_audit.attribution.class_activation import ClassActivation
from saliency_audit.attribution.hirescam import HiResCam
from saliency_audit.attribution.layercam import LayerCam
from saliency_audit.attribution.xgradcam import XGradCam

KEYS = list("xyz")


def hirescam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.einsum("bkij,bkij->bij", g, a)


def layercam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return np.einsum("bkij,bkij->bij", np.maximum(g, 0), a)


def xgradcam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    shares = a / np.where(a.sum((2, 3), keepdims=True) == 0, np.inf, a.sum((2, 3), keepdims=True))
    return np.einsum("bk,bkij->bij", np.einsum("bkij,bkij->bk", shares, g), a)


METHODS = {
    HiResCam: (hirescam, pytorch_grad_cam.HiResCAM),
    LayerCam: (layercam, pytorch_grad_cam.LayerCAM),
    XGradCam: (xgradcam, pytorch_grad_cam.XGradCAM),
}


def parts(classifier, block, images, label):
    """Activations of a block and the gradients of a label's score for them, in float64."""
    exact = copy.deepcopy(classifier).double().eval()
    kept = []
    handle = exact.network.get_submodule(block).register_forward_hook(lambda *a: kept.append(a[2]))
    scores = exact(images.double())
    handle.remove()
    (gradients,) = torch.autograd.grad(scores[:, label].sum(), kept[0])
    return kept[0].detach().numpy(), gradients.numpy()


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize(
    ("name", "block", "named"),
    [("small", "4", None), ("small", "3", "3"), ("resnet18", "layer3", "layer3")],
)
def test_a_map_is_its_equations(classifier_named, images, compute, kind, name, block, named):
    classifier = classifier_named(name)
    found = kind(named).explain(classifier, images, [[0, 2]] * 3, KEYS, compute=compute)
    for column, label in enumerate((0, 2)):
        coarse = METHODS[kind][0](*parts(classifier, block, images, label))
        exact = interpolate(
            torch.from_numpy(np.maximum(coarse, 0))[:, None], images.shape[2:], mode="bilinear"
        )[:, 0].numpy()
        assert exact.max() > 0
        ours = np.stack([maps[column].values for maps in found])
        np.testing.assert_allclose(ours, exact, atol=2e-5 * exact.max())


@pytest.mark.parametrize("kind", METHODS)
def test_pytorch_grad_cam_agrees_on_a_resnet(classifier_named, images, compute, kind, normalised):
    classifier = classifier_named("resnet18")
    with METHODS[kind][1](classifier, [classifier.network.layer3]) as cam:
        theirs = cam(images, [ClassifierOutputTarget(1)] * 3)
    ours = kind("layer3").explain(classifier, images, [[1]] * 3, KEYS, compute=compute)
    for maps, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(normalised(maps[0].values), normalised(their), atol=1e-4)


def test_hirescam_adds_up_to_the_score_of_a_linear_head(small, images):
    """What the paper proves of a network that ends in pooling and one linear layer."""
    a, g = parts(small, "4", images, 1)
    exact = copy.deepcopy(small).double().eval()
    score = exact(images.double())[:, 1].detach().numpy()
    bias = exact.network[-1].bias[1].item()
    np.testing.assert_allclose(hirescam(a, g).sum((1, 2)) + bias, score, rtol=1e-9)


def test_a_channel_of_no_activation_has_no_weight():
    a = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    a[0, 1] = 1.0
    weights, doubtful = XGradCam.weigh(a, torch.ones_like(a))
    assert weights.tolist() == [[0.0, 1.0]]
    assert not doubtful.any()
    nan = XGradCam.weigh(a * torch.nan, torch.ones_like(a))[0]
    assert bool(nan.isnan().all())


def test_a_method_without_an_equation_is_none():
    with pytest.raises(TypeError, match="combine"):
        ClassActivation()
