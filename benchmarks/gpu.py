"""Explanation methods on a GPU, by precision and memory format, and how far each moves a map.

Run from the root: ``python benchmarks/gpu.py [cuda|cpu] [PIXELS]``. Needs
nothing but torch, numpy and the library, so that it runs on a machine lent for
an hour; the models are written out here for that reason: a ResNet-18 with
random weights and, for methods of attention, a ViT-tiny. ``cpu`` tries the same
on a machine without a GPU. Prints a table and writes ``benchmarks/gpu.json``:
seconds per image, and the root mean square distance of the normalised maps
from those of float32 on the same device.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the library is not installed

from saliency_audit.attribution.attention_relevance import AttentionRelevance
from saliency_audit.attribution.attention_rollout import AttentionRollout
from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.gradcam_plus_plus import GradCamPlusPlus
from saliency_audit.attribution.hirescam import HiResCam
from saliency_audit.attribution.integrated_gradients import IntegratedGradients
from saliency_audit.attribution.layercam import LayerCam
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import Method, RawMap
from saliency_audit.attribution.rise import Rise
from saliency_audit.attribution.scorecam import ScoreCam
from saliency_audit.attribution.shap import Shap
from saliency_audit.attribution.smoothgrad import SmoothGrad
from saliency_audit.attribution.xgradcam import XGradCam
from saliency_audit.compute import Compute
from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier

LABELS = 7
IMAGES = 32
#: Without LIME, whose superpixels come from scikit-image, on the CPU.
METHODS: dict[str, Method] = {
    "gradcam": GradCam(block="stages"),
    "gradcam_plus_plus": GradCamPlusPlus(block="stages"),
    "hirescam": HiResCam(block="stages"),
    "layercam": LayerCam(block="stages"),
    "xgradcam": XGradCam(block="stages"),
    "scorecam": ScoreCam(block="stages"),
    "attention_rollout": AttentionRollout(),
    "attention_relevance": AttentionRelevance(),
    "shap": Shap(),
    "integrated_gradients": IntegratedGradients(),
    "smoothgrad": SmoothGrad(),
    "smoothgrad_gradcam": SmoothGrad("gradcam", {"block": "stages"}),
    "rise": Rise(),
}


class Block(nn.Module):
    """Two convolutions with batch norms, and the way round them (He et al. 2016)."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(given, made, 3, stride, 1, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(),
            nn.Conv2d(made, made, 3, 1, 1, bias=False),
            nn.BatchNorm2d(made),
        )
        self.round = nn.Sequential()
        if stride > 1:
            self.round = nn.Sequential(
                nn.Conv2d(given, made, 1, stride, bias=False), nn.BatchNorm2d(made)
            )

    def forward(self, points: Tensor) -> Tensor:
        """Give the block's output."""
        return torch.relu(self.convolutions(points) + self.round(points))


class ResNet18(nn.Module):
    """ResNet-18."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )
        widths = ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2))
        blocks = [(Block(a, b, stride), Block(b, b, 1)) for a, b, stride in widths]
        self.stages = nn.Sequential(*(block for pair in blocks for block in pair))
        self.head = nn.Linear(512, LABELS)

    def forward(self, images: Tensor) -> Tensor:
        """Give the scores (N, labels)."""
        return self.head(self.stages(self.stem(images)).mean(dim=(2, 3)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention of one sequence (Vaswani et al. 2017), its softmax weights at hand."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.fused_attn = False
        self.qkv = nn.Linear(width, 3 * width)
        self.attn_drop = nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the tokens mixed, (N, tokens, width)."""
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind()
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)
        mixed = self.attn_drop(weights) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention and two linear layers, each with a norm before and a way round."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the layer's tokens."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]


class VitTiny(nn.Module):
    """ViT-tiny with patches of 16 pixels, the mean over patches before its head."""

    global_pool = "avg"
    num_prefix_tokens = 0

    def __init__(self, pixels: int, width: int = 192, heads: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, stride=16)
        self.places = nn.Parameter(0.02 * torch.randn(1, (pixels // 16) ** 2, width))
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(12)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, LABELS)

    def forward(self, images: Tensor) -> Tensor:
        """Give the scores (N, labels)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.layers(tokens)).mean(dim=1))  # type: ignore[no-any-return]


def explain(
    method: Method, compute: Compute, images: Tensor, background: Tensor
) -> tuple[float, list[RawMap]]:
    """Give seconds per image, the second time, and the maps."""
    torch.manual_seed(0)
    labels = tuple(f"label {number}" for number in range(LABELS))
    transformer = isinstance(method, AttentionRollout | AttentionRelevance)
    network = VitTiny(images.shape[-1]) if transformer else ResNet18()
    classifier = Classifier(network, labels, Labelling.MULTICLASS)
    compute.start()
    compute.prepare(classifier).eval()
    explainer = method.explainer(
        classifier,
        compute=compute,
        background=background if method.needs_background else None,
    )
    keys = [str(number) for number in range(len(images))]
    asked = [[0]] * len(images)
    explainer.maps(images, asked, keys)
    started = time.perf_counter()
    found = explainer.maps(images, asked, keys)
    if compute.device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / len(images), [maps[0] for maps in found]


def computes(device: Any) -> dict[str, Compute]:
    """Give what is compared, by name, float32 as it is stored first."""
    plain = Compute(device=device, batch=32, channels_last=False)
    found = {"float32": plain, "float32, channels last": replace(plain, channels_last=True)}
    if device == "cuda":
        found["tfloat32, channels last"] = replace(plain, precision="tfloat32", channels_last=True)
    found["bfloat16, channels last"] = replace(plain, precision="bfloat16", channels_last=True)
    return found


def main() -> None:
    """Measure, print, write."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cuda"
    pixels = int(sys.argv[2]) if len(sys.argv) > 2 else 224
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((IMAGES + 8, 3, 12, 12), generator=generator)
    smooth = nn.functional.interpolate(coarse, (pixels, pixels), mode="bilinear").clamp(0, 1)
    images, background = smooth[8 : 8 + (IMAGES if device == "cuda" else 2)], smooth[:8]
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"{name}, torch {torch.__version__}, {len(images)} images of {pixels} px")
    results: dict[str, Any] = {"device": name, "torch": torch.__version__, "pixels": pixels}
    for method_name, method in METHODS.items():
        exact = None
        for arithmetic, compute in computes(device).items():
            seconds, raw = explain(method, compute, images, background)
            maps = [quantise(found, 0.05).map.astype(np.float64) for found in raw]
            exact = maps if exact is None else exact
            moved = np.mean(
                [
                    np.sqrt(((one - other) ** 2).mean())
                    for one, other in zip(maps, exact, strict=True)
                ]
            )
            results[f"{method_name}/{arithmetic}"] = {"seconds": seconds, "moved": float(moved)}
            print(f"{method_name:18} {arithmetic:24} {seconds:9.5f} s {moved:8.5f}", flush=True)
    Path(__file__).with_suffix(".json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
