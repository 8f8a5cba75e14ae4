"""Names of Hugging Face's image transformers, and those that timm gives the same weights.

ViT, DeiT and Swin of the package transformers, by the names in its files and
those in memory. What timm keeps as one matrix (queries, keys and values) is put
together; nothing else is computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: How each part of a block is called there, and in timm; the first pattern that fits counts.
RULES: tuple[tuple[str, str], ...] = (
    (r"^(?:vit|deit)\.embeddings\.cls_token$", "cls_token"),
    (r"^deit\.embeddings\.distillation_token$", "dist_token"),
    (r"^(?:vit|deit)\.embeddings\.position_embeddings$", "pos_embed"),
    (r"^\w+\.embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^swin\.embeddings\.norm\.", "patch_embed.norm."),
    (r"^(?:vit|deit)\.(?:encoder\.)?layers?\.(\d+)\.", r"blocks.\1."),
    (r"^swin\.encoder\.(layers\.\d+\.blocks\.\d+)\.", r"\1."),
    (r"^\w+\.layernorm\.", "norm."),
)
WITHIN: tuple[tuple[str, str], ...] = (
    (r"attention\.(?:attention|self)\.(query|key|value)\.", r"attn.\1."),
    (r"attention\.(q|k|v)_proj\.", r"attn.\1."),
    (r"attention\.(?:output\.dense|o_proj)\.", "attn.proj."),
    (r"attention\.\w+\.relative_position_bias_table$", "attn.relative_position_bias_table"),
    (r"(?:intermediate\.dense|mlp\.fc1)\.", "mlp.fc1."),
    (r"(?:output\.dense|mlp\.fc2)\.", "mlp.fc2."),
    (r"layernorm_before\.", "norm1."),
    (r"layernorm_after\.", "norm2."),
)
#: No part of what a classifier computes, or computed anew by timm.
LEFT_OUT = re.compile(r"\.pooler\.|mask_token$|relative_position_index$|position_ids$")
DOWNSAMPLED = re.compile(r"^swin\.encoder\.layers\.(\d+)\.downsample\.")
FUSED = re.compile(r"^(.*attn)\.(query|key|value|q|k|v)\.(weight|bias)$")
ORDER = ("q", "k", "v")


def of_hugging_face(state: Mapping[str, Tensor]) -> bool:
    """Whether names are those of its ViT, DeiT or Swin."""
    return any(re.match(r"(vit|deit|swin)\.embeddings\.", name) for name in state)


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a state dict of Hugging Face's ViT, DeiT or Swin by timm's names.

    Names that follow no rule stay as they are. DeiT's classifier reads its class token alone, where
    timm's takes the mean over two heads: it becomes twice itself, beside a head of zeros.

    >>> given = {"vit.embeddings.cls_token": torch.zeros(1, 1, 4), "classifier.bias": torch.ones(2)}
    >>> list(timm_names(given))
    ['cls_token', 'head.bias']
    """
    renamed = {_renamed(n): t for n, t in state.items() if not LEFT_OUT.search(n)}
    fused = _fused(renamed)
    return _with_heads(fused, "swin" if _is_swin(state) else "vit")


def _is_swin(state: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("swin.") for name in state)


def _renamed(name: str) -> str:
    if found := DOWNSAMPLED.match(name):
        # timm makes an image smaller before a stage, where this one does after it.
        return f"layers.{int(found[1]) + 1}.downsample.{name[found.end() :]}"
    for pattern, wanted in RULES:
        found = re.match(pattern, name)
        if found:
            return found.expand(wanted) + _within(name[found.end() :])
    return name


def _within(rest: str) -> str:
    for pattern, wanted in WITHIN:
        found = re.match(pattern, rest)
        if found:
            return found.expand(wanted) + rest[found.end() :]
    return rest


def _fused(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put queries, keys and values together, in timm's order."""
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        of = FUSED.match(name)
        if of is None:
            found[name] = tensor
            continue
        whole = f"{of[1]}.qkv.{of[3]}"
        parts.setdefault(whole, {})[of[2][0]] = tensor
        found.setdefault(whole, tensor)
    for whole, own in parts.items():
        if set(own) == set(ORDER):
            found[whole] = torch.cat([own[part] for part in ORDER])
    return found


def _with_heads(state: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    distilled = "dist_token" in state
    heads = {"cls_classifier.": "head.", "distillation_classifier.": "head_dist."}
    heads["classifier."] = "head.fc." if kind == "swin" else "head."
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        head = next((old for old in heads if name.startswith(old)), None)
        if head is None:
            found[name] = tensor
            continue
        rest = name.removeprefix(head)
        if head == "classifier." and distilled:
            found[f"head.{rest}"] = 2 * tensor
            found[f"head_dist.{rest}"] = torch.zeros_like(tensor)
        else:
            found[heads[head] + rest] = tensor
    return found
