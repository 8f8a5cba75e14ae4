"""Tokens and channels that come last: read as the grid they are of, or refused in words."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn.functional import interpolate

from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.hirescam import HiResCam
from saliency_audit.attribution.layouts import Layout, layout_of, prefix_tokens
from saliency_audit.compute import Compute
from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

LABELS = ("a", "b", "c")


def timm_vit(**options) -> nn.Module:
    given = {"img_size": 64, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, **{**given, **options})


def timm_swin() -> nn.Module:
    given = {"patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (2, 2)}
    heads = {"num_heads": (2, 2), "num_classes": 3}
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=64, **given, **heads)


def torchvision_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(64, 8, 2, 3, 24, 48, num_classes=3)


def torchvision_swin() -> nn.Module:
    return torchvision.models.SwinTransformer([4, 4], 12, [2, 2], [2, 2], [4, 4], num_classes=3)


#: Network, block, and how a person permutes what it gives into (B, C, h, w).
CASES = {
    "timm vit": (timm_vit, "blocks.1.norm1", lambda a: tokens(a, 1)),
    "timm vit, registers": (
        lambda: timm_vit(reg_tokens=4),
        "blocks.1.norm1",
        lambda a: tokens(a, 5),
    ),
    "timm vit, mean": (
        lambda: timm_vit(class_token=False, global_pool="avg"),
        "blocks.1",
        lambda a: tokens(a, 0),
    ),
    "torchvision vit": (
        torchvision_vit,
        "encoder.layers.encoder_layer_1.ln_1",
        lambda a: tokens(a, 1),
    ),
    "timm swin": (timm_swin, "norm", lambda a: a.permute(0, 3, 1, 2)),
    "timm swin, a stage": (timm_swin, "layers.0", lambda a: a.permute(0, 3, 1, 2)),
    "torchvision swin": (torchvision_swin, "norm", lambda a: a.permute(0, 3, 1, 2)),
}


def tokens(a: torch.Tensor, prefix: int) -> torch.Tensor:
    side = round((a.shape[1] - prefix) ** 0.5)
    rows = [a[:, prefix + row * side : prefix + (row + 1) * side] for row in range(side)]
    return torch.stack(rows, dim=1).permute(0, 3, 1, 2)


def classifier_of(network: nn.Module) -> Classifier:
    torch.manual_seed(3)
    for values in network.parameters():  # large enough for the patches to matter
        nn.init.normal_(values, std=0.3)
    return Classifier(network, LABELS, Labelling.MULTICLASS, input_size=(64, 64)).eval()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [GradCam, HiResCam])
def test_a_map_of_a_named_layer_is_that_of_its_grid(case, kind, images):
    build, block, permuted = CASES[case]
    classifier = classifier_of(build())
    exact = copy.deepcopy(classifier).double()
    kept = []
    exact.network.get_submodule(block).register_forward_hook(lambda *a: kept.append(a[2]))
    scores = exact(images.double())
    found = kind(block).explain(
        classifier, images, [[0, 1, 2]] * 3, list("xyz"), compute=Compute(batch=4)
    )
    highest = []
    for label in range(3):
        (gradients,) = torch.autograd.grad(scores[:, label].sum(), kept[0], retain_graph=True)
        a, g = permuted(kept[0].detach()), permuted(gradients)
        weights = g.mean((2, 3), keepdim=True) if kind is GradCam else g
        coarse = torch.relu((weights * a).sum(1, keepdim=True))
        expected = interpolate(coarse, (64, 64), mode="bilinear")[:, 0].numpy()
        ours = np.stack([maps[label].values for maps in found])
        np.testing.assert_allclose(ours, expected, atol=1e-4 * expected.max() + 1e-9)
        highest.append(expected.max())
    assert max(highest) > 0


def given(*shape: int) -> torch.Tensor:
    return torch.zeros(1, *shape)


def read(shape, network=None, size=(64, 64)) -> Layout:
    classifier = Classifier(network or nn.Conv2d(3, 2, 1), ("a", "b"), Labelling.MULTICLASS)
    return layout_of("the block", given(*shape), classifier, size)


def test_shapes_are_told_apart():
    assert read((512, 7, 7)) == Layout("channels_first", (7, 7))
    assert read((7, 7, 512)) == Layout("channels_last", (7, 7))
    assert read((8, 8, 8)) == Layout("channels_first", (8, 8))  # no norm of channels that come last
    assert read((12, 20, 16), size=(96, 160)) == Layout("channels_last", (12, 20))
    assert read((49, 768), size=(224, 224)) == Layout("tokens", (7, 7))
    assert read((140, 32), size=(224, 160)) == Layout("tokens", (14, 10))


class Tokens(nn.Module):
    def __init__(self, name: str, count: int) -> None:
        super().__init__()
        self.register_parameter(name, nn.Parameter(torch.zeros(1, count, 4)))


@pytest.mark.parametrize(
    ("network", "prefix"),
    [
        (timm_vit, 1),
        (lambda: timm_vit(reg_tokens=4), 5),
        (lambda: timm_vit(class_token=False, global_pool="avg"), 0),
        (timm_swin, 0),
        (torchvision_vit, 1),
        (torchvision_swin, 0),
        (lambda: Tokens("cls_token", 1), 1),
        (lambda: nn.Sequential(Tokens("cls_token", 1), Tokens("reg_token", 4)), 5),
    ],
)
def test_how_many_tokens_are_no_patches_is_the_networks_to_say(network, prefix):
    assert prefix_tokens(network()) == prefix


@pytest.mark.parametrize(
    ("shape", "network", "message"),
    [
        (
            (8, 8, 8),
            nn.LayerNorm(8),
            "8x8x8 per image of 64x64, and which of these is the channels",
        ),
        ((3, 4, 5), nn.LayerNorm(8), "cannot be told"),
        ((52, 24), None, "52 tokens per image, which are no grid.*num_prefix_tokens"),
        ((512, 1, 1), None, "block the block gives one cell"),
        ((2, 24), Tokens("cls_token", 1), "gives one cell"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(shape, network, message):
    with pytest.raises(ModelError, match=message):
        read(shape, network)


@pytest.mark.parametrize("block", ["blocks.1", "norm"])
def test_a_block_whose_patches_the_head_does_not_read_is_refused(images, block):
    with pytest.raises(ModelError, match=r"class token alone.*norm1"):
        GradCam(block).explain(
            classifier_of(timm_vit()), images, [[1]] * 3, list("xyz"), compute=Compute(batch=4)
        )


def test_a_named_block_of_one_cell_is_refused(small, images, compute):
    with pytest.raises(ModelError, match="block 5 gives one cell for images of 64x64"):
        GradCam("5").explain(small, images, [[1]] * 3, list("xyz"), compute=compute)
