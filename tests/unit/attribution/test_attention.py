"""Rollout and relevance against their equations, on a transformer written out in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from saliency_audit.attribution.attention_relevance import AttentionRelevance
from saliency_audit.attribution.attention_rollout import AttentionRollout
from saliency_audit.compute import Compute
from saliency_audit.errors import NotApplicable
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

SIDE = 64
COMPUTE = Compute(batch=4)
KEYS = list("xyz")


def vit(**options) -> nn.Module:
    given = {"img_size": SIDE, "patch_size": 16, "embed_dim": 24, "depth": 3, "num_heads": 3}
    return timm.create_model("vit_tiny_patch16_224", num_classes=3, **{**given, **options})


def distilled() -> nn.Module:
    sizes = {"img_size": SIDE, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3, **sizes)


def torchvision_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(SIDE, 16, 2, 3, 24, 48, num_classes=3)


def classifier_of(network: nn.Module) -> Classifier:
    torch.manual_seed(0)
    for values in network.parameters():
        nn.init.normal_(values, std=0.3)
    return Classifier(network, tuple("abc"), Labelling.MULTICLASS, input_size=(SIDE, SIDE)).eval()


def scores_and_weights(network: nn.Module, read: torch.Tensor):
    """A timm transformer's pass with softmax written out; scores, and the weights of each layer."""
    x = network.patch_embed(read)
    if network.cls_token is not None:
        rows = [network.cls_token]
        rows += [network.dist_token] if hasattr(network, "dist_token") else []
        rows += [network.reg_token] if network.reg_token is not None else []
        x = torch.cat([*(row.expand(len(x), -1, -1) for row in rows), x], dim=1)
    x = x + network.pos_embed
    weights = []
    for block in network.blocks:
        y, heads = block.norm1(x), block.attn.num_heads
        q, k, v = block.attn.qkv(y).chunk(3, dim=-1)
        q, k, v = (
            part.unflatten(-1, (heads, -1)).movedim(-2, 1)  # (B, heads, N, width)
            for part in (q, k, v)
        )
        scaled = torch.einsum("bhik,bhjk->bhij", q, k) / q.shape[-1] ** 0.5
        a = torch.exp(scaled) / torch.exp(scaled).sum(-1, keepdim=True)
        weights.append(a)
        mixed = torch.einsum("bhij,bhjk->bhik", a, v).movedim(1, -2).flatten(2)
        x = x + block.attn.proj(mixed)
        x = x + block.mlp(block.norm2(x))
    x = network.norm(x)
    if hasattr(network, "head_dist"):
        return (network.head(x[:, 0]) + network.head_dist(x[:, 1])) / 2, weights
    pooled = x.mean(1) if network.global_pool == "avg" else x[:, 0]
    return network.head(network.fc_norm(pooled)), weights


CASES = {
    "class token": (vit, 1, [0]),
    "registers": (lambda: vit(reg_tokens=2, no_embed_class=False), 3, [0]),
    "mean": (lambda: vit(class_token=False, global_pool="avg"), 0, range(16)),
    "distilled": (distilled, 2, [0, 1]),
}


def scaled_up(patches: torch.Tensor) -> np.ndarray:
    grid = patches.reshape(-1, 1, SIDE // 16, SIDE // 16)
    return interpolate(grid, (SIDE, SIDE), mode="bilinear")[:, 0].numpy()


def explained(method, classifier, images) -> np.ndarray:
    found = method.explain(classifier, images, [[0, 1, 2]] * 3, KEYS, compute=COMPUTE)
    return np.array([[raw.values for raw in maps] for maps in found]).transpose(1, 0, 2, 3)


@pytest.mark.parametrize("case", CASES)
def test_rollout_is_the_product_of_all_layers(case, images):
    build, prefix, read = CASES[case]
    classifier = classifier_of(build())
    exact = copy.deepcopy(classifier).double()
    with torch.no_grad():
        scores, layers = scores_and_weights(exact.network, exact.preprocess(images.double()))
        torch.testing.assert_close(scores, exact(images.double()))
    product = torch.eye(layers[0].shape[-1], dtype=torch.float64)
    for layer in layers:
        mixed = layer.mean(1) + torch.eye(layer.shape[-1])
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    expected = scaled_up(product[:, list(read), prefix:].mean(1))
    for ours in explained(AttentionRollout(), classifier, images):
        np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_relevance_is_that_of_its_equations(case, images, frozen):
    build, prefix, read = CASES[case]
    classifier = classifier_of(build()).requires_grad_(not frozen)
    exact = copy.deepcopy(classifier).double().requires_grad_(True)
    scores, layers = scores_and_weights(exact.network, exact.preprocess(images.double()))
    found = explained(AttentionRelevance(), classifier, images)
    highest = []
    for label, ours in enumerate(found):
        gradients = torch.autograd.grad(scores[:, label].sum(), layers, retain_graph=True)
        relevance = torch.eye(layers[0].shape[-1], dtype=torch.float64).expand(3, -1, -1)
        for gradient, layer in zip(gradients, layers, strict=True):
            relevance = relevance + (gradient * layer.detach()).clamp(min=0).mean(1) @ relevance
        row = (relevance - torch.eye(relevance.shape[-1]))[:, list(read), prefix:].mean(1)
        expected = scaled_up(row)
        highest.append(expected.max())
        np.testing.assert_allclose(ours, expected, atol=1e-4 * expected.max())
    assert min(highest) > 0


def test_rollout_reads_torchs_own_attention(images):
    """The same weights in timm's network and in torchvision's give the same map."""
    ours = classifier_of(vit(depth=2))
    theirs = classifier_of(torchvision_vit())
    for layer in theirs.network.modules():
        if isinstance(layer, nn.LayerNorm):
            layer.eps = 1e-6
    with torch.no_grad():
        source, target = ours.network, theirs.network
        target.class_token.copy_(source.cls_token)
        target.encoder.pos_embedding.copy_(source.pos_embed)
        target.conv_proj.load_state_dict(source.patch_embed.proj.state_dict())
        for block, layer in zip(source.blocks, target.encoder.layers, strict=True):
            layer.ln_1.load_state_dict(block.norm1.state_dict())
            layer.self_attention.in_proj_weight.copy_(block.attn.qkv.weight)
            layer.self_attention.in_proj_bias.copy_(block.attn.qkv.bias)
            layer.self_attention.out_proj.load_state_dict(block.attn.proj.state_dict())
            layer.ln_2.load_state_dict(block.norm2.state_dict())
            layer.mlp[3] = nn.Linear(96, 24)
            layer.mlp[0] = nn.Linear(24, 96)
            layer.mlp[0].load_state_dict(block.mlp.fc1.state_dict())
            layer.mlp[3].load_state_dict(block.mlp.fc2.state_dict())
    one, other = (explained(AttentionRollout(), each, images) for each in (ours, theirs))
    np.testing.assert_allclose(one, other, rtol=1e-4)


class Fused(nn.Module):
    """Attention in torch's fused kernel, as a person writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(24, 24)

    def forward(self, x: torch.Tensor, **options: object) -> torch.Tensor:
        return self.mix(scaled_dot_product_attention(x, x, x))


def with_fused() -> nn.Module:
    network = vit()
    network.blocks[1].attn = Fused()
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            lambda: timm.create_model("resnet10t", num_classes=3),
            "no attention of timm's or torch's",
        ),
        (
            lambda: timm.create_model(
                "swin_tiny_patch4_window7_224",
                img_size=SIDE,
                patch_size=2,
                window_size=4,
                embed_dim=12,
                depths=(1, 1),
                num_heads=(2, 2),
                num_classes=3,
            ),
            "layer layers.0.blocks.0.attn attends within windows",
        ),
        (
            lambda: vit(global_pool="map", class_token=False),
            "layer attn_pool|pools tokens by 'map'",
        ),
        (lambda: vit(global_pool="max"), "pools tokens by 'max'"),
        (with_fused, "layer blocks.1.attn computes attention without softmax weights"),
    ],
)
@pytest.mark.parametrize("method", [AttentionRollout(), AttentionRelevance()])
def test_a_network_without_such_attention_is_told_why(method, network, message, images):
    with pytest.raises(NotApplicable, match=message):
        explained(method, classifier_of(network()), images)


def test_relevance_needs_weights_with_gradients(images):
    with pytest.raises(NotApplicable, match=r"layer encoder\.layers\.encoder_layer_0\.self_att"):
        explained(AttentionRelevance(), classifier_of(torchvision_vit()), images)


@pytest.mark.parametrize("method", [AttentionRollout(), AttentionRelevance()])
def test_kernels_are_as_before_even_after_an_error(method, images):
    classifier = classifier_of(vit(global_pool="max"))
    with pytest.raises(NotApplicable):
        explained(method, classifier, images)
    layers = [block.attn for block in classifier.network.blocks]
    assert all(layer.fused_attn for layer in layers)
    assert not any(module._forward_hooks for module in classifier.modules())
    assert not any(module._forward_pre_hooks for module in classifier.modules())
