"""Every classifier of torchvision can be trained, saved and loaded: names, versions and all."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from saliency_audit.models.architectures import build
from saliency_audit.models.fitting import copy_of
from saliency_audit.models.weights import load_into, load_weights, put_weights, save_weights

pytestmark = pytest.mark.slow

#: Above 40 million weights: many seconds each, and of the same classes as their smaller kin.
LARGE = {
    *("vit_h_14", "vit_l_16", "vit_l_32", "regnet_y_128gf", "regnet_x_32gf", "regnet_y_32gf"),
    *("convnext_large", "efficientnet_v2_l", "wide_resnet101_2", "resnext101_32x8d"),
    *("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *("resnext101_64x4d", "convnext_base", "swin_b", "swin_v2_b", "vit_b_32", "maxvit_t"),
    *("regnet_x_16gf", "regnet_y_16gf", "efficientnet_b7", "efficientnet_v2_m", "wide_resnet50_2"),
    *(
        "convnext_small",
        "swin_s",
        "swin_v2_s",
        "alexnet",
        "efficientnet_b6",
        "efficientnet_b5",
        "vit_b_16",
        "regnet_x_8gf",
        "regnet_y_8gf",
    ),
}
NAMES = [name for name in models.list_models(models) if name not in LARGE]
#: The smallest images that a network reads, where 32 pixels are too few.
SIDES = {"inception_v3": 80, "alexnet": 64}


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_torchvision_is_trained_saved_and_loaded(tmp_path, name):
    side = SIDES.get(name, 32)
    network = build(name, 2, (side, side))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, side, side, generator=generator)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    network.train()(images).square().sum().backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    put_weights(network, copy_of(network), strict=True)  # as the best epoch's are
    network.eval()
    save_weights(tmp_path / "w.safetensors", network.state_dict())
    with torch.no_grad():
        before = network(images)
        for parameter in network.parameters():
            parameter.zero_()
        load_into(network, load_weights(tmp_path / "w.safetensors"), name)
        assert bool(before.isfinite().all())
        assert torch.equal(network(images), before)
