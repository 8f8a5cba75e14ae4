"""How near LIME's default comes to its limit, by the size of images and their superpixels.

Run from the root of an audited checkout: ``python -m benchmarks.superpixels
AUDIT [IMAGES]``, of an audit of phantoms. Skin phantoms are drawn anew at each size, and the
audit's classifier reads them at its own. ``quickshift`` finds the superpixels; squares
stand for as many as an image may have. The error is the root mean square one of
the normalised map against the map of ten times the passes with another seed.
Writes ``superpixels.json`` beside this file, with the means over images.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saliency_audit.attribution.lime import Lime
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.surrogate import whole_blocks
from saliency_audit.compute import Compute
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.inference import for_inference
from saliency_audit.models.training import as_pixels
from tasks.models import load_classifier

RESULTS = Path(__file__).with_name("superpixels.json")
KEPT = 0.05
#: Passes of the limit: ten whole blocks of 512, and the image itself.
LIMIT = 5121
#: What LIME's default is held to: samples, each on its own, as in the paper.
INDEPENDENT = 1000
#: Side of the audit's own images, pixels.
OWN = 64


@dataclass(frozen=True)
class Subject:
    """Images of a size, with so many squares per side, or quickshift's superpixels."""

    pixels: int
    squares: int | None = None

    @property
    def name(self) -> str:
        """Say size and superpixels."""
        found = f"{self.squares**2} squares" if self.squares else "quickshift"
        return f"{self.pixels} px, {found}"

    def images(self) -> Iterator[Tensor]:
        """Give images (3, H, W) in [0, 1]."""
        for sample in PhantomSkin(images=64, size=(self.pixels, self.pixels), seed=1).samples():
            yield as_pixels(sample.pixels[None])[0]  # type: ignore[union-attr]

    def segments(self, image: Tensor) -> NDArray[np.int64]:
        """Give the superpixel of each pixel."""
        if self.squares is None:
            return Lime().segments(image.numpy())
        line = np.arange(self.pixels) * self.squares // self.pixels
        return line[:, None] * self.squares + line


SUBJECTS = (
    Subject(OWN),
    Subject(OWN, 14),
    Subject(OWN, 15),
    Subject(224),
    Subject(224, 15),
    Subject(512),
)


def error(
    lime: Lime,
    classifier: Classifier,
    image: Tensor,
    segments: NDArray[np.int64],
    limit: NDArray[np.float64] | None,
) -> tuple[float, NDArray[np.float64]]:
    """Give the error of a map against a limit, and the map."""
    (raw,) = lime.explain_segments(classifier, image, [1], "key", segments, Compute())
    found = quantise(raw, KEPT).map.astype(np.float64)
    return 0.0 if limit is None else float(np.sqrt(((found - limit) ** 2).mean())), found


def main(audit: str, count: int = 4) -> None:
    """Measure, print, write."""
    compute = Compute()
    compute.start()
    given, _ = load_classifier(audit)
    given.input_size = (OWN, OWN)
    compute.prepare(given).eval()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for subject in SUBJECTS:
        classifier = for_inference(given, compute, (subject.pixels, subject.pixels))
        rows = []
        for image in islice(subject.images(), count):
            segments = subject.segments(image)
            superpixels = int(segments.max()) + 1
            with torch.no_grad():
                _, limit = error(Lime(samples=LIMIT, seed=1), classifier, image, segments, None)
                ours, _ = error(Lime(), classifier, image, segments, limit)
                plain = Lime(samples=INDEPENDENT, design="independent")
                theirs, _ = error(plain, classifier, image, segments, limit)
            rows.append((superpixels, whole_blocks(Lime().samples, superpixels), ours, theirs))
        means = np.mean(rows, axis=0)
        results[f"{audit}, {subject.name}"] = {
            "images": len(rows),
            "superpixels": [min(row[0] for row in rows), max(row[0] for row in rows)],
            "passes": [min(row[1] for row in rows), max(row[1] for row in rows)],
            "ours": round(float(means[2]), 4),
            "independent": round(float(means[3]), 4),
        }
        print(f"{audit}, {subject.name}", results[f"{audit}, {subject.name}"], flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], *(int(number) for number in sys.argv[2:]))
