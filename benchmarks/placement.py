"""Whether maps lie where a network looks: measured without knowing where that is.

``python -m benchmarks.placement turned [NETWORK ...]`` trains a network of each family on phantoms
that are turned and mirrored at random, explains images as they are and turned by 180°, and turns
the maps back. Where cells are painted where they look both maps agree; else their centroids are
apart by twice what cells are painted off. (Of random weights this says nothing: their maps show the
padding at the border, which turns with the grid and not with the image.)
Prints, per family and size, the mean over images of half that distance in pixels, down and right,
with its 95 % interval (Student's t): stretched from the last block as libraries do, and as we do;
and adds them to ``placement.json`` beside this file. ``table`` prints that as a page has it.

``python -m benchmarks.placement cost`` says what finding the cells costs once, in forward passes.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.placement import grid_of
from saliency_audit.compute import Compute
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.training import TrainingParameters, as_pixels, train

RESULTS = Path(__file__).with_name("placement.json")
FAMILIES = (
    *("resnet18", "vgg11_bn", "densenet121", "mobilenet_v3_small", "efficientnet_b0"),
    *("shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "regnet_y_400mf", "convnext_tiny"),
    *("squeezenet1_1", "timm:tf_efficientnet_b0"),
)
#: Sides of the images in pixels, even and odd.
SIZES = (64, 97, 128, 161)
TRAINED_AT = 96
#: What costs are measured at.
SIDE = (224, 224)
IMAGES = 64
COMPUTE = Compute(threads=1, batch=16)
METHODS = {
    "stretched": GradCam(block="last_block", placement="stretched"),
    "stretched, 7x7 cells": GradCam(placement="stretched"),
    "field": GradCam(),
}
Values = NDArray[np.float64]


class Phantoms:
    """Phantoms in memory, as training reads them."""

    def __init__(self, images: int, size: int) -> None:
        source = PhantomSkin(images=images, size=(size, size), seed=1)
        samples = [source.draw(index) for index in range(images)]
        self._pixels = np.stack([sample.pixels for sample in samples])
        self.targets = np.array(
            [[label in sample.labels for label in source.labels] for sample in samples]
        )
        self.train, self.tune = range(images * 4 // 5), range(images * 4 // 5, images)

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give images by index."""
        return np.asarray(self._pixels[list(indices)])


def trained(family: str) -> Classifier:
    """Give a network that has learnt a little of the phantoms."""
    torch.manual_seed(0)
    network = build(family, len(PhantomSkin.labels), (TRAINED_AT, TRAINED_AT))
    classifier = Classifier(network, PhantomSkin.labels, Labelling.MULTICLASS)
    changes = Augmentation(horizontal_flip=True, vertical_flip=True, rotation=180.0)
    parameters = TrainingParameters(
        epochs=6,
        batch=16,
        optimiser="adamw",
        learning_rate=1e-3,
        patience=6,
        augmentation=changes,
    )
    train(classifier, Phantoms(400, TRAINED_AT), parameters, COMPUTE)
    return classifier.eval()


def displacements(classifier: Classifier, method: GradCam, images: torch.Tensor) -> Values:
    """Half the distance (images, 2) of the centroids, down and right, in pixels; without blanks."""
    labels = [[int(row.argmax())] for row in scores(classifier, images)]
    found = []
    for picture in (images, images.flip((2, 3))):
        keys = [str(number) for number in range(len(picture))]
        maps = method.explain(classifier, picture, labels, keys, compute=COMPUTE)
        found.append(np.stack([raw[0].values for raw in maps]))
    upright, turned = centroids(found[0]), centroids(found[1][:, ::-1, ::-1])
    apart = (upright - turned) / 2
    return apart[np.isfinite(apart).all(axis=1)]


def scores(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Give scores (images, labels)."""
    with torch.no_grad():
        return torch.cat([classifier(part) for part in images.split(16)])


def centroids(maps: Values) -> Values:
    """Centroid (images, 2) of what maps (images, H, W) have above their lowest value."""
    weights = maps - maps.min(axis=(1, 2), keepdims=True)
    total = weights.sum(axis=(1, 2))
    total[total == 0] = np.nan
    rows, columns = (np.arange(side) for side in maps.shape[1:])
    down = (weights.sum(axis=2) * rows).sum(axis=1) / total
    right = (weights.sum(axis=1) * columns).sum(axis=1) / total
    return np.stack([down, right], axis=1)


def interval(values: Values) -> list[float]:
    """Mean and half the width of its 95 % interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [round(float(values.mean()), 2), round(float(half), 2)]


def turned(*families: str) -> None:
    """Measure families, or all, at all sizes."""
    for family in families or FAMILIES:
        classifier = trained(family)
        sizes: dict[str, Any] = {}
        for size in SIZES:
            images = as_pixels(Phantoms(IMAGES, size).images(range(IMAGES)))
            row: dict[str, Any] = {}
            for name, method in METHODS.items():
                grid = method.explainer(classifier, compute=COMPUTE).grid((size, size))
                apart = displacements(classifier, method, images)
                row[name] = {
                    "block": grid.block,
                    "cells": grid.cells,
                    "found": grid.found,
                    "n": len(apart),
                    "down": interval(apart[:, 0]),
                    "right": interval(apart[:, 1]),
                }
            sizes[str(size)] = row
            print(family, size, json.dumps(row), flush=True)
        found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        found[family] = sizes
        kept = {name: found[name] for name in FAMILIES if name in found}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


def table() -> None:
    """Print what was measured, a line per family and size."""
    print("| network | side | cells | stretched: down, right | placed: cells | down | right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for family, sizes in json.loads(RESULTS.read_text()).items():
        for size, row in sizes.items():
            old, new = row["stretched"], row["field"]
            before = f"{old['down'][0]:+.1f}, {old['right'][0]:+.1f}"
            after = (f"{new[way][0]:+.2f} ± {new[way][1]:.2f}" for way in ("down", "right"))
            first, second = ("x".join(map(str, each["cells"])) for each in (old, new))
            print(f"| {family} | {size} | {first} | {before} | {second} | {' | '.join(after)} |")


def cost() -> None:
    """Say what finding the cells costs, beside one forward pass of a batch (median of 5)."""
    for family in FAMILIES:
        network = build(family, 5, SIDE).eval()
        classifier = Classifier(network, tuple("abcde"), Labelling.MULTICLASS)
        grid = GradCam().explainer(classifier, compute=COMPUTE).grid(SIDE)
        images = torch.rand(16, 3, *SIDE)
        once = seconds(lambda c=classifier, b=grid.block: grid_of(c, b, "field", SIDE, named=False))
        passes = seconds(lambda c=classifier, i=images: scores(c, i))
        values = torch.rand(16, *grid.cells)
        painting = seconds(lambda g=grid, v=values: g.painted(v, SIDE))
        print(
            f"{family}: finding {once / passes * 16:.2f} passes of one image, once; painting "
            f"{100 * painting / passes:.2f} % of a pass"
        )


def seconds(work: Any) -> float:
    """Median of 5 after one that does not count."""
    work()
    found = []
    for _ in range(5):
        start = time.perf_counter()
        with torch.no_grad():
            work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


if __name__ == "__main__":
    {"turned": turned, "table": table, "cost": cost}[sys.argv[1]](*sys.argv[2:])
