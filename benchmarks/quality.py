"""A map as near to its limit as the plain library's: how long ours takes, end to end.

Run from the root of an audited checkout: ``python -m benchmarks.quality AUDIT
[IMAGES]``. Explains images in turns by the plain method, on the model as it is
given, and by ours, with what it takes by default, in float32 and, where the
processor multiplies it, in bfloat16:

- RISE as published: 4,000 masks, each drawn on its own (Petsiuk et al. 2018);
- LIME as the lime package does it: 1,000 samples, of our superpixels.

Prints for each the seconds per map, the root mean square error of the
normalised map against the limit, and the IoU of its top 5 % with the limit's;
and, beside the distance of the bfloat16 map from the float32 one, the distance
between the maps of two seeds. Adds them to ``quality.json`` beside this file.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.attribution import multiplies_bfloat16
from benchmarks.convergence import KEPT, STUDIES, distance, pixels_of
from saliency_audit.attribution.lime import Lime
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import Method, RawMap
from saliency_audit.attribution.rise import Rise
from saliency_audit.attribution.seeds import legacy_seed
from saliency_audit.compute import Compute, evaluating
from saliency_audit.models.classifier import Classifier
from tasks import places
from tasks.artifacts import read_rows
from tasks.models import load_classifier
from tasks.tables.chosen import CHOSEN

RESULTS = Path(__file__).with_name("quality.json")
PLAIN, OURS, BFLOAT16, SEED = "plain", "ours, float32", "ours, bfloat16", "ours, another seed"

Values = NDArray[np.float64]
#: From an image (3, H, W), a label and the image's key to its map (H, W).
Explain = Callable[[Tensor, int, str], RawMap]


class PublishedRise(Rise):
    """RISE of the paper, on the model as it is given."""

    as_given: ClassVar[bool] = True


def plain_rise(classifier: Classifier, compute: Compute) -> Explain:
    """Give RISE as published."""
    published = PublishedRise(samples=4000, estimator="plain", design="independent")
    return by(published, classifier, compute)


def plain_lime(classifier: Classifier, compute: Compute) -> Explain:
    """Give LIME as the package does it, at its own number of samples and at our batch size."""
    from lime.lime_image import LimeImageExplainer

    def probabilities(points: Any) -> Any:
        images = torch.from_numpy(points.astype(np.float32)).permute(0, 3, 1, 2)
        with torch.no_grad():
            return classifier.probabilities(classifier(images)).double().numpy()

    def explain(image: Tensor, label: int, key: str) -> RawMap:
        with contextlib.redirect_stderr(io.StringIO()), evaluating(classifier):  # a progress bar
            explanation = LimeImageExplainer(random_state=legacy_seed(0, key)).explain_instance(
                image.permute(1, 2, 0).double().numpy(),
                probabilities,
                labels=(label,),
                top_labels=None,
                num_samples=1000,
                batch_size=compute.batch,
                segmentation_fn=lambda _: Lime().segments(image.numpy()),
            )
        weights = np.zeros(explanation.segments.max() + 1)
        for feature, weight in explanation.local_exp[label]:
            weights[feature] = weight
        return RawMap(np.maximum(weights, 0.0)[explanation.segments])

    return explain


def by(method: Method, classifier: Classifier, compute: Compute) -> Explain:
    """Give one of our methods."""
    explainer = method.explainer(classifier, compute=compute)
    return lambda image, label, key: explainer.maps(image[None], [[label]], [key])[0][0]


METHODS: dict[str, Any] = {"rise": Rise(), "lime": Lime()}
PLAINS = {"rise": plain_rise, "lime": plain_lime}


def arms(name: str, given: Classifier, compute: Compute) -> dict[str, Explain]:
    """Give what is compared, by name."""
    plain, method = PLAINS[name], METHODS[name]
    found = {PLAIN: plain(given, replace(compute, channels_last=False))}
    found[OURS] = by(method, given, compute)
    found[SEED] = by(replace(method, seed=1), given, compute)
    if multiplies_bfloat16():
        found[BFLOAT16] = by(method, given, replace(compute, precision="bfloat16"))
    return found


def measure(name: str, audit: str, count: int) -> dict[str, Any]:
    """Explain images in turns; gives seconds, error and IoU of each arm, means over images."""
    compute = Compute()
    compute.start()
    given, _ = load_classifier(audit)
    limit = by(replace(STUDIES[name].limit, seed=2), given, compute)
    compared = arms(name, given, compute)
    folder = places.predict(audit)
    rows = (row for row in read_rows(folder / "chosen.parquet", CHOSEN) if row["explain"])
    found: dict[str, list[tuple[float, ...]]] = {}
    moved: dict[str, list[tuple[float, float]]] = {}
    for row in islice(rows, count):
        image = pixels_of(row)[0]
        asked = image, given.labels.index(row["explain"][0]), row["pixel_sha256"]
        to = normalised(limit(*asked))
        maps: dict[str, Values] = {}
        if not found:  # what is imported and made ready once counts for nobody
            for explain in compared.values():
                explain(*asked)
        for arm, explain in compared.items():
            started = time.perf_counter()
            saliency = explain(*asked)
            seconds = time.perf_counter() - started
            maps[arm] = normalised(saliency)
            found.setdefault(arm, []).append((seconds, *distance(maps[arm], to)))
        for arm in maps.keys() & {BFLOAT16, SEED}:
            moved.setdefault(arm, []).append(distance(maps[arm], maps[OURS]))
    return {
        "arms": {arm: means(values) for arm, values in found.items()},
        "from_float32": {arm: means(values) for arm, values in moved.items()},
    }


def means(values: Sequence[tuple[float, ...]]) -> list[float]:
    """Give the mean of each column."""
    return [float(mean) for mean in np.mean(values, axis=0).round(4)]


def normalised(raw: RawMap) -> Values:
    """Give a map as the audit stores it."""
    return quantise(raw, KEPT).map.astype(np.float64)


def main() -> None:
    """Measure, print, write."""
    audit, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in METHODS:
        found = measure(name, audit, count)
        plain = found["arms"][PLAIN][0]
        print(f"{name}, {audit}, {count} images")
        print(f"{'':20} {'seconds':>8} {'of plain':>9} {'error':>7} {'IoU':>6}")
        for arm, (seconds, error, iou) in found["arms"].items():
            print(f"{arm:20} {seconds:8.3f} {seconds / plain:9.3f} {error:7.4f} {iou:6.3f}")
        for arm, (error, iou) in found["from_float32"].items():
            print(f"{arm:20} from float32, same seed: {error:.4f}, IoU {iou:.3f}", flush=True)
        results[f"{name}/{audit}"] = {"images": count, **found}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
