"""Score-CAM against its equation in float64 and pytorch-grad-cam."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch.nn.functional import interpolate

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.scorecam import ScoreCam

KEYS = list("xyz")


def by_definition(classifier, images: torch.Tensor, block: str, label: int) -> np.ndarray:
    """Every channel a mask, one after the other, on what the network reads."""
    exact = copy.deepcopy(classifier).double().eval()
    kept = []
    exact.network.get_submodule(block).register_forward_hook(lambda *a: kept.append(a[2]))
    read = exact.preprocess(images.double())
    with torch.no_grad():
        exact.network(read)
        activations = kept[0].clone()
        maps = []
        for image, channels in zip(read, activations, strict=True):
            live = [channel for channel in channels if channel.max() > channel.min()]
            scores = []
            for channel in live:
                mask = interpolate(channel[None, None], image.shape[1:], mode="bilinear")[0]
                mask = (mask - mask.min()) / (mask.max() - mask.min())
                scores.append(exact.network((image * mask)[None])[0, label])
            shares = torch.softmax(torch.stack(scores), dim=0)
            coarse = sum(share * channel for share, channel in zip(shares, live, strict=True))
            maps.append(interpolate(coarse.relu()[None, None], image.shape[1:], mode="bilinear"))
    return torch.cat(maps)[:, 0].numpy()


@pytest.mark.parametrize(("name", "block", "named"), [("small", "4", None), ("cnn", "bn1", "bn1")])
def test_a_map_is_its_equations(classifier_named, images, compute, name, block, named):
    classifier = classifier_named(name)
    found = ScoreCam(named).explain(classifier, images, [[0, 2]] * 3, KEYS, compute=compute)
    for column, label in enumerate((0, 2)):
        exact = by_definition(classifier, images, block, label)
        assert exact.max() > 0
        ours = np.stack([maps[column].values for maps in found])
        np.testing.assert_allclose(ours, exact, atol=2e-5 * exact.max())


def test_pytorch_grad_cam_agrees(small, images, compute, normalised):
    with ScoreCAM(small.network, [small.network[4]]) as cam:
        cam.batch_size = 4
        theirs = cam(small.preprocess(images), [ClassifierOutputTarget(1)] * 3)
    # It adds 1e-7 to the range of a channel, which is small here.
    ours = ScoreCam("4").explain(small, images, [[1]] * 3, KEYS, compute=compute)
    for maps, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(normalised(maps[0].values), normalised(their), atol=1e-3)


def test_channels_of_one_value_take_no_part(small, images, compute):
    dead = copy.deepcopy(small)
    with torch.no_grad():
        dead.network[3].weight[:] = 0
    for bias, status in [(-1.0, "zero_map"), (1.0, "zero_map"), (torch.nan, "nan_map")]:
        with torch.no_grad():
            dead.network[3].bias[:] = bias
        ((raw,),) = ScoreCam().explain(dead, images[:1], [[1]], ["x"], compute=compute)
        # A pixel at the border sees the padding: of weights that are 0, nothing.
        assert quantise(raw, 0.05).status == status
