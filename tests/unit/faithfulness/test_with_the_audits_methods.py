"""The audit's own classifiers and methods fit through the callables that this room asks for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.rise import Rise
from saliency_audit.compute import Compute
from saliency_audit.faithfulness.baselines import blurred, mean_colour
from saliency_audit.faithfulness.deletion_insertion import deletion, insertion
from saliency_audit.faithfulness.repeatability import repeatability
from saliency_audit.faithfulness.road import road
from saliency_audit.faithfulness.sensitivity import max_sensitivity
from saliency_audit.faithfulness.weight_randomisation import weight_randomisation
from saliency_audit.labelling import Labelling
from saliency_audit.measures.status import Status
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier

COMPUTE = Compute(batch=16)
KEY = "of the pixels"


class Patch(nn.Module):
    """A label's score is the brightness of one patch, as a filter bank and weights over pixels."""

    def forward(self, images):
        bright = 6 * images[:, :, 4:12, 18:26].mean(dim=(1, 2, 3))
        return torch.stack([bright, -bright], dim=1)


@pytest.fixture(scope="module")
def image():
    drawn = 0.3 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    drawn[:, 4:12, 18:26] += 0.6
    return drawn


@pytest.fixture(scope="module")
def patch():
    torch.set_num_threads(1)
    return Classifier(Patch(), ("a", "b"), Labelling.MULTILABEL).eval()


def rise(classifier, image, seed=0):
    method = Rise(samples=600, seed=seed)
    (maps,) = method.explain(classifier, image[None], [[0]], [KEY], compute=COMPUTE)
    return maps[0].values


def test_rise_of_a_known_patch_is_faithful_and_its_reverse_is_not(patch, image):
    def score(images):
        return patch.probabilities(patch(images))[:, 0]

    right = rise(patch, image)
    wrong = right.max() - right
    options = {"compute": COMPUTE, "step": 32}
    plain, soft = mean_colour(image), blurred(image)
    assert (
        deletion(score, image, right, plain, **options).auc
        < deletion(score, image, wrong, plain, **options).auc
    )
    assert (
        insertion(score, image, right, soft, **options).auc
        > insertion(score, image, wrong, soft, **options).auc
    )
    one, other = (road(score, image, m, compute=COMPUTE, key=(0,)) for m in (right, wrong))
    assert one.mean_difference > 0 > other.mean_difference


def test_more_samples_repeat_better(patch, image):
    few, more = (
        repeatability(
            [
                Rise(samples=samples, seed=seed)
                .explain(patch, image[None], [[0]], [KEY], compute=COMPUTE)[0][0]
                .values
                for seed in range(4)
            ],
            0.05,
        )
        for samples in (50, 1600)
    )
    assert few.spearman < more.spearman
    assert few.iou < more.iou
    assert few.standard_error.mean() > more.standard_error.mean()


def test_with_one_key_rise_is_moved_by_the_image_alone(patch, image):
    found = max_sensitivity(lambda one: rise(patch, one), image, key=(1,), samples=3)
    assert found.status is Status.OK
    # Other masks move the map by far more than an unseen change does.
    seeds = iter(range(4))
    drawn = max_sensitivity(
        lambda one: rise(patch, one, seed=next(seeds)), image, key=(1,), samples=3
    )
    assert 0 < 5 * found.relative < drawn.relative


def test_gradcam_depends_on_the_weights(image):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build("cnn", 2, (32, 32))
        with torch.no_grad():
            for module in network.modules():  # positive weights keep the map from vanishing
                if isinstance(module, nn.Linear | nn.Conv2d):
                    module.weight.abs_()
    classifier = Classifier(network, ("a", "b"), Labelling.MULTILABEL).eval()

    def explain(model):
        (maps,) = GradCam().explain(model, image[None], [[0]], [KEY], compute=COMPUTE)
        return maps[0].values

    found = weight_randomisation(classifier, explain, image[None], order="cascading", seed=0)
    assert len(found.steps) + len(found.unchanged) == len(
        [m for m in network.modules() if list(m.parameters(recurse=False))]
    )
    assert found.counted > 0
    assert found.spearman < 0.9
