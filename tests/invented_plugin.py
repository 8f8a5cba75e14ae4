"""A third party's distribution, written by hand: a package, and its metadata as installed.

It registers a method, a kind of dataset and an architecture; nothing of it is
installed, a folder on Python's path is enough for ``importlib.metadata``.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

METHOD = '''
"""The plain gradient (Simonyan et al. 2014), and how many times it was asked."""

from dataclasses import dataclass

import torch

from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap
from saliency_audit.compute import evaluating


@dataclass(frozen=True)
class TheirGradient(Method):
    """m = gain times the largest over channels of |dy/dx|; ``gain``: above 0."""

    gain: float = 1.0

    def cost(self):
        return Cost(forward=1, backward=1)

    def explainer(self, classifier, *, compute, background=None):
        return Ready(classifier, compute, self.gain)


class Ready(Explainer):
    def __init__(self, classifier, compute, gain):
        super().__init__(classifier, compute)
        self.gain = gain

    def maps(self, images, labels, keys):
        found = []
        for image, asked in zip(images, labels, strict=True):
            pixels = image[None].clone().requires_grad_()
            with evaluating(self.classifier), torch.enable_grad():
                scores = self.compute.call(self.classifier, pixels)[0] if asked else None
                wanted = [scores[label] for label in asked]
            found.append([])
            for score in wanted:
                (gradient,) = torch.autograd.grad(score, pixels, retain_graph=True)
                values = gradient[0].abs().amax(dim=0).double().cpu().numpy()
                found[-1].append(RawMap(self.gain * values))
        return found
'''

DATASET = '''
"""Bright and dark discs."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from saliency_audit.datasets.sample import Description, Sample
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.progress import silent


@dataclass(frozen=True)
class TheirDiscs:
    """Discs on grey. ``images``: how many, 1 or more; ``size``: (H, W), pixels."""

    kind: Literal["their_discs"] = "their_discs"
    source: str = "params.yaml"
    images: int = 20
    size: tuple[int, int] = (32, 32)
    max_set_aside: float = 0.0

    def describe(self):
        return Description(("dark", "bright"), Labelling.MULTICLASS, MaskKind.SINGLE, self.size)

    def samples(self, progress=silent):
        height, width = self.size
        rows, columns = np.mgrid[0:height, 0:width]
        for number in range(self.images):
            drawn = np.random.default_rng([0, number])
            centre = drawn.uniform(0.3, 0.7, 2) * self.size
            disc = np.hypot(rows - centre[0], columns - centre[1]) < height / 6
            label = "bright" if drawn.random() < 0.5 else "dark"
            pixels = drawn.integers(90, 110, (height, width, 3), dtype=np.uint8)
            pixels[disc] = 200 if label == "bright" else 20
            name = f"disc-{number:06d}"
            yield Sample(
                image_id=name, group_id=name, labels=(label,), pixels=pixels,
                masks={EVERY_LABEL: disc}, strata={}, instances={label: 1},
                width=width, height=height, source_file=None,
            )
            progress(number + 1, self.images)
'''

NETWORK = '''
"""One convolution and one linear layer."""

from torch import nn


class TheirNet(nn.Sequential):
    """Images (B, in_channels, h, w) to (B, outputs)."""

    def __init__(self, outputs, input_size, in_channels=3):
        super().__init__(
            nn.Conv2d(in_channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(4, outputs),
        )
'''

FILES = {
    "their_saliency/__init__.py": '"""Theirs."""\n',
    "their_saliency/gradient.py": METHOD,
    "their_saliency/discs.py": DATASET,
    "their_saliency/net.py": NETWORK,
}
ENTRIES = {
    "saliency_audit.methods": {"their_gradient": "their_saliency.gradient:TheirGradient"},
    "saliency_audit.datasets": {"their_discs": "their_saliency.discs:TheirDiscs"},
    "saliency_audit.architectures": {"their_net": "their_saliency.net:TheirNet"},
}


def write_plugin(
    folder: Path,
    *,
    distribution: str = "their-saliency",
    version: str = "1.0",
    entries: Mapping[str, Mapping[str, str]] = ENTRIES,
    files: Mapping[str, str] = FILES,
    editable: Path | None = None,
) -> Path:
    """Write a distribution into a folder as an installer does; gives the folder.

    ``editable``: where its package lies, if not in the folder: the record names no file of it then.
    """
    for name, text in files.items():
        path = (editable or folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    metadata = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    words = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(words, "utf-8")
    sections = (
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in own.items())])
        for group, own in entries.items()
    )
    (metadata / "entry_points.txt").write_text("\n\n".join(sections) + "\n", "utf-8")
    listed = [] if editable else [_record(name, text) for name, text in files.items()]
    listed += [f"{metadata.name}/{name},," for name in ("METADATA", "entry_points.txt", "RECORD")]
    (metadata / "RECORD").write_text("\n".join(listed) + "\n", "utf-8")
    return folder


def _record(name: str, text: str) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}"
