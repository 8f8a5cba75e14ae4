"""Names of Hugging Face: the same logits by timm, and by the equation of attention."""

from __future__ import annotations

import json
import re

import pytest
import timm
import torch

from saliency_audit.models.architectures import build
from saliency_audit.models.hugging_face import timm_names
from saliency_audit.models.renaming import Renaming, check_shapes, names_of_network
from saliency_audit.models.weights import load_into

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def of_files(state):
    """Names as files have them, of those that version 5 of transformers has in memory."""
    rules = [
        (r"^(vit|deit)\.layers\.", r"\1.encoder.layer."),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
        (r"\.attention\.o_proj\.", ".attention.output.dense."),
        (r"\.attention\.relative_position_bias\.", ".attention.self."),
    ]
    words = {"q": "query", "k": "key", "v": "value"}
    found = {}
    for name, tensor in state.items():
        inner = "self" if name.startswith("swin") else "attention"
        for old, new in rules:
            name = re.sub(old, new, name)  # noqa: PLW2901
        name = re.sub(  # noqa: PLW2901
            r"\.attention\.([qkv])_proj\.",
            lambda m, inner=inner: f".attention.{inner}.{words[m[1]]}.",
            name,
        )
        found[name] = tensor
    return found


def kinds(transformers):
    """Small networks of transformers, each with timm's of that shape."""
    small = {"num_labels": 3, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 64, "image_size": 32, "patch_size": 8}
    vit = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    vit |= {"mlp_ratio": 2, "num_classes": 3}
    swin = {"num_labels": 3, "image_size": 32, "patch_size": 2, "embed_dim": 16}
    swin |= {"depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    tiny = {"img_size": 32, "patch_size": 2, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4)}
    tiny |= {"window_size": 4, "num_classes": 3}
    own = transformers
    return {
        "ViT": (own.ViTForImageClassification(own.ViTConfig(**small)),
                "vit_tiny_patch16_224", vit),
        "DeiT": (own.DeiTForImageClassification(own.DeiTConfig(**small)),
                 "deit_tiny_distilled_patch16_224", vit),
        "DeiT with teacher": (own.DeiTForImageClassificationWithTeacher(own.DeiTConfig(**small)),
                              "deit_tiny_distilled_patch16_224", vit),
        "Swin": (own.SwinForImageClassification(own.SwinConfig(**swin)),
                 "swin_tiny_patch4_window7_224", tiny),
    }  # fmt: skip


@pytest.mark.parametrize("names", [dict, of_files], ids=["in memory", "in files"])
@pytest.mark.parametrize("kind", ["ViT", "DeiT", "DeiT with teacher", "Swin"])
def test_logits_are_those_of_transformers(kind, names):
    transformers = pytest.importorskip("transformers")
    theirs, architecture, options = kinds(transformers)[kind]
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    ours = timm.create_model(architecture, **options).eval()
    state = names_of_network(ours, names(theirs.state_dict()), architecture, Renaming())
    check_shapes(ours, state, architecture)
    load_into(ours, state, architecture)
    with torch.no_grad():
        expected = theirs.double().eval()(pixel_values=IMAGES.double()).logits
        found = ours.double()(IMAGES.double())
    # The norms of ViT add 1e-12 to a variance there, and 1e-6 in timm.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_block_is_the_equation_of_attention_on_queries_keys_and_values():
    generator = torch.Generator().manual_seed(1)
    width, heads, tokens = 12, 3, 5

    def drawn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    block = "vit.encoder.layer.0."
    state = {
        f"{block}attention.{part}.{kind}": drawn(*([width, width] if kind == "weight" else [width]))
        for part in ("attention.query", "attention.key", "attention.value", "output.dense")
        for kind in ("weight", "bias")
    }
    ours = timm.layers.Attention(width, num_heads=heads, qkv_bias=True).double()
    ours.load_state_dict(
        {name.removeprefix("blocks.0.attn."): t for name, t in timm_names(state).items()}
    )
    x = drawn(1, tokens, width)

    def linear(name, values):
        weight, bias = (state[f"{block}attention.{name}.{kind}"] for kind in ("weight", "bias"))
        return values @ weight.T + bias

    size = width // heads
    parts = [linear(f"attention.{name}", x[0]) for name in ("query", "key", "value")]
    found = []
    for head in range(heads):
        q, k, v = (part[:, head * size : (head + 1) * size] for part in parts)
        found.append((q @ k.T / size**0.5).softmax(dim=1) @ v)
    expected = linear("output.dense", torch.cat(found, dim=1))
    torch.testing.assert_close(ours(x)[0], expected, rtol=1e-10, atol=1e-10)


def test_every_weight_of_a_vit_has_its_place():
    network = build("timm:vit_tiny_patch16_224", 3, (32, 32))
    own = network.state_dict()
    theirs = {}
    for name, tensor in own.items():
        if ".qkv." in name:
            for part, values in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                theirs[name.replace(".qkv.", f".{part}.")] = values
        else:
            theirs[name] = tensor
    words = json.loads(
        '[["cls_token", "vit.embeddings.cls_token"],'
        '["pos_embed", "vit.embeddings.position_embeddings"],'
        '["patch_embed.proj.", "vit.embeddings.patch_embeddings.projection."],'
        '[".attn.proj.", ".attention.output.dense."], [".attn.", ".attention.attention."],'
        '[".mlp.fc1.", ".intermediate.dense."], [".mlp.fc2.", ".output.dense."],'
        '[".norm1.", ".layernorm_before."], [".norm2.", ".layernorm_after."],'
        '["blocks.", "vit.encoder.layer."], ["head.", "classifier."]]'
    )
    state = {}
    for name, tensor in theirs.items():
        for old, new in words:
            name = name.replace(old, new)  # noqa: PLW2901
        state["vit.layernorm." + name[5:] if name.startswith("norm.") else name] = tensor
    found = names_of_network(network, state, "timm:vit_tiny_patch16_224", Renaming())
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)
