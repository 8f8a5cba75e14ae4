"""How near a map is to its limit, by passes and by how samples are drawn.

Run from the root of an audited checkout: ``python -m benchmarks.convergence
rise|lime|shap AUDIT [IMAGES [LIMIT]]``. The limit is the map of ``LIMIT`` samples
with another seed, at least ten times what the method takes by default. Prints,
after every tenth image, the root mean square error of the normalised map, and
the IoU of its top 5 % with the limit's, means over images, and adds them to
``convergence.json`` beside this file. ``python -m benchmarks.convergence plot``
draws what is there, ``table`` prints it as docs/convergence.md has it. A study
prints too what a stopping rule would give: the passes and
the error where each image stops once its top 5 % overlaps enough with that of
the number of samples before.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saliency_audit.attribution.lime import Lime
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import Method
from saliency_audit.attribution.rise import Rise
from saliency_audit.attribution.shap import Shap
from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import decode_image
from saliency_audit.measures.top_fraction import top_fraction
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.inference import for_inference
from saliency_audit.models.training import as_pixels
from tasks import places
from tasks.artifacts import read_rows
from tasks.models import load_classifier
from tasks.tables.chosen import CHOSEN

KEPT = 0.05
RESULTS = Path(__file__).with_name("convergence.json")

#: IoU of the top 5 % at which a stopping rule would stop.
STOPS = (0.7, 0.8, 0.9)

Values = NDArray[np.float64]
#: Per design and number of samples, for each image: the error, the IoU with the limit's top
#: fraction, and the IoU with that of the number of samples before.
Found = dict[tuple[str, int], list[tuple[float, float, float]]]
#: Superpixels of the image at hand, by its key.
SEGMENTS: dict[str, NDArray[np.int64]] = {}


@dataclass(frozen=True)
class CutLime(Lime):
    """LIME whose last block is cut at ``samples``, so that designs are compared at equal passes."""

    def _designs(self, superpixels: int, key: str, rows: int) -> Iterator[NDArray[np.bool_]]:
        left = self.samples
        for part in super()._designs(superpixels, key, rows):
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return


@dataclass(frozen=True)
class Study:
    """A method's designs, by name, at numbers of samples, and its limit."""

    limit: Any
    designs: dict[str, Any]
    samples: tuple[int, ...]

    def methods(self) -> Iterator[tuple[str, int, Method]]:
        """Give each design with each number of samples."""
        for name, method in self.designs.items():
            for samples in self.samples:
                yield name, samples, replace(method, samples=samples)


STUDIES = {
    "rise": Study(
        limit=Rise(samples=10240, seed=1),
        designs={
            "plain, independent": Rise(estimator="plain", design="independent"),
            "centred, independent": Rise(design="independent"),
            "centred, orthogonal": Rise(),
        },
        samples=(128, 256, 512, 1024, 2048, 4096),
    ),
    "lime": Study(
        limit=CutLime(samples=5000, seed=1),
        designs={"independent": Lime(design="independent"), "orthogonal": CutLime()},
        samples=(125, 250, 333, 500, 750, 1000),
    ),
    "shap": Study(
        limit=Shap(samples=2000, seed=1),
        designs={"independent": Shap(design="independent"), "balanced": Shap()},
        samples=(31, 63, 95, 127, 200),
    ),
}


class Remembering(nn.Module):
    """A network that answers a batch that it has seen from memory: designs are prefix-stable."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.known: dict[bytes, Tensor] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> Remembering:
        """Stay one, so that what a copy has seen is remembered too."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Give the network's outputs."""
        if torch.is_grad_enabled():
            return self.network(images)  # type: ignore[no-any-return]
        key = hashlib.blake2b(images.permute(0, 2, 3, 1).numpy().tobytes()).digest()
        if key not in self.known:
            self.known[key] = self.network(images)
        return self.known[key]


def study(name: str, audit: str, count: int = 50, limit_samples: int | None = None) -> None:
    """Measure, print, write."""
    limiting = STUDIES[name].limit
    limiting = replace(limiting, samples=limit_samples or limiting.samples)
    compute = Compute()
    compute.start()
    given, _ = load_classifier(audit)
    compute.prepare(given)
    folder = places.predict(audit)
    rows = (row for row in read_rows(folder / "chosen.parquet", CHOSEN) if row["explain"])
    background = torch.cat(
        [pixels_of(row) for row in read_rows(folder / "background.parquet", CHOSEN, ["pixels"])]
    )
    found: Found = {}
    classifier: Classifier | None = None
    for done, row in enumerate(islice(rows, count), start=1):
        image = pixels_of(row)
        if classifier is None:
            classifier = for_inference(given, compute, (image.shape[2], image.shape[3]))
            classifier.network = Remembering(classifier.network)
        asked = (image, classifier.labels.index(row["explain"][0]), row["pixel_sha256"])
        limit = _map(limiting, classifier, asked, compute, background)
        before: dict[str, Values] = {}
        for design, samples, method in STUDIES[name].methods():
            saliency = _map(method, classifier, asked, compute, background)
            _, stable = distance(saliency, before.get(design, np.zeros_like(saliency)))
            before[design] = saliency
            found.setdefault((design, samples), []).append((*distance(saliency, limit), stable))
        classifier.network.known.clear()  # type: ignore[operator, union-attr]
        if done % 10 == 0 or done == count:
            _report(name, audit, done, limiting.samples, found)


def pixels_of(row: dict[str, Any]) -> Tensor:
    """Give the pixels of a chosen image, (1, 3, H, W)."""
    return as_pixels(decode_image(row["pixels"])[None])


def _map(
    method: Method,
    classifier: Classifier,
    asked: tuple[Tensor, int, str],
    compute: Compute,
    background: Tensor,
) -> Values:
    image, label, key = asked
    if isinstance(method, Lime):  # so that superpixels are found once per image
        with torch.no_grad():
            (raw,) = method.explain_segments(
                classifier, image[0], [label], key, _segments(key, image), compute
            )
    else:
        ((raw,),) = method.explain(
            classifier, image, [[label]], [key], compute=compute, background=background
        )
    return quantise(raw, KEPT).map.astype(np.float64)


def _segments(key: str, image: Tensor) -> NDArray[np.int64]:
    if key not in SEGMENTS:
        SEGMENTS.clear()
        SEGMENTS[key] = Lime().segments(image[0].numpy())
    return SEGMENTS[key]


def distance(saliency: Values, limit: Values) -> tuple[float, float]:
    """Root mean square error of a map, and the IoU of its top fraction with the limit's."""
    one, other = top_fraction(saliency, KEPT), top_fraction(limit, KEPT)
    error = float(np.sqrt(((saliency - limit) ** 2).mean()))
    return error, float((one & other).sum() / (one | other).sum())


def _report(
    name: str,
    audit: str,
    images: int,
    limit: int,
    found: Found,
) -> None:
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    print(f"{name}, {audit}, {images} images: error (IoU of the top 5 %), by passes")
    samples = STUDIES[name].samples
    print(f"{'':22}" + "".join(f"{number:>14}" for number in samples))
    curves: dict[str, dict[str, list[Any]]] = {}
    for design in STUDIES[name].designs:
        means = [np.mean(found[design, number], axis=0).round(4).tolist() for number in samples]
        curves[design] = {"error": [m[0] for m in means], "iou": [m[1] for m in means]}
        print(f"{design:22}" + "".join(f"{m[0]:8.4f} ({m[1]:.2f})" for m in means), flush=True)
        curves[design]["stopped"] = [
            _stopped([found[design, number] for number in samples], samples, least)
            for least in STOPS
        ]
        for stop in curves[design]["stopped"]:
            print(f"    stopped at IoU {stop['iou']}: {stop['passes']:.0f}, {stop['error']:.4f}")
    results[f"{name}/{audit}"] = {
        "images": images,
        "limit": limit,
        "samples": samples,
        "designs": curves,
    }
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def _stopped(
    steps: list[list[tuple[float, float, float]]], samples: tuple[int, ...], least: float
) -> dict[str, float]:
    """Give mean passes and error where each image stops as soon as its top fraction is stable."""
    passes, errors = [], []
    for image in zip(*steps, strict=True):
        reached = (at for at, (_, _, stable) in enumerate(image) if at and stable >= least)
        at = next(reached, len(image) - 1)
        passes.append(samples[at])
        errors.append(image[at][0])
    return {"iou": least, "passes": float(np.mean(passes)), "error": float(np.mean(errors))}


def plot() -> None:
    """Draw the curves of each method and audit side by side."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "convergence"
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FormatStrFormatter, NullFormatter

    mpl.rcParams["svg.fonttype"] = "none"
    results = json.loads(RESULTS.read_text())
    figure, axes = plt.subplots(3, 3, figsize=(10.5, 9), layout="constrained")
    for row, method in zip(axes, STUDIES, strict=True):
        audits = [name for name in sorted(results, reverse=True) if name.startswith(f"{method}/")]
        for axis in row[len(audits) :]:
            axis.set_axis_off()
        for axis, name in zip(row, audits, strict=False):
            result = results[name]
            for design, curve in result["designs"].items():
                # The plain designs grey, the default's orange.
                best = design not in ("independent", "plain, independent", "centred, independent")
                style = "C1o-" if best else "C0D-" if design.startswith("centred") else "C7s-"
                axis.plot(result["samples"], curve["error"], style, label=design, markersize=4)
            axis.set(xscale="log", yscale="log", title=f"{name}, {result['images']} images")
            axis.title.set_fontsize(9)
            axis.set_xticks(result["samples"], [str(number) for number in result["samples"]])
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.yaxis.set_major_formatter(FormatStrFormatter("%.3f"))
            axis.yaxis.set_minor_formatter(FormatStrFormatter("%.3f"))
            axis.tick_params(axis="both", which="both", labelsize=7)
            axis.grid(alpha=0.3, which="both")
            axis.legend(fontsize=8, frameon=False)
        row[0].set_ylabel("error of the map", fontsize=9)
        row[0].set_xlabel("passes per map", fontsize=9)
    figure.savefig("docs/images/convergence.svg", metadata={"Date": None})


def table() -> None:
    """Print the errors, and the overlaps with the limit's top fraction, as Markdown."""
    for name, result in json.loads(RESULTS.read_text()).items():
        numbers = [str(number) for number in result["samples"]]
        said = f"{result['images']} images, limit of {result['limit']:,} samples"
        print(f"\n{name}: {said}\n")
        print("| design | " + " | ".join(numbers) + " |")
        print("| --- |" + " --- |" * len(numbers))
        for design, curve in result["designs"].items():
            pairs = zip(curve["error"], curve["iou"], strict=True)
            print(f"| {design} | " + " | ".join(f"{e:.4f} ({i:.2f})" for e, i in pairs) + " |")


if __name__ == "__main__":
    if sys.argv[1:] == ["plot"]:
        plot()
    elif sys.argv[1:] == ["table"]:
        table()
    else:
        study(sys.argv[1], sys.argv[2], *(int(number) for number in sys.argv[3:]))
