"""Maps of ours beside those of the libraries, as one audit has them.

Run from the root of a checkout whose audit has explained with the methods that
docs/comparison.md lists: ``python -m benchmarks.comparison AUDIT`` prints, for
each pair of ``PAIRS``, Spearman's rank correlation of the two maps and the IoU
of their top 5 %, means over maps; ``python -m benchmarks.comparison AUDIT
picture`` draws some of them. Only phantoms are drawn: nobody's skin belongs
into this repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image
from saliency_audit.faithfulness.similarity import rank_correlation
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.top_fraction import top_fraction
from tasks import places
from tasks.artifacts import read_json, read_rows
from tasks.tables.chosen import CHOSEN
from tasks.tables.saliency import saliency

KEPT = 0.05
#: One of ours and a library's, and each beside itself with another seed, by name in params.yaml.
PAIRS = (
    ("gradcam", "captum_gradcam"),
    ("shap", "shap_reference"),
    ("shap", "shap_seed1"),
    ("shap_reference", "shap_reference_seed1"),
    ("lime", "lime_reference"),
    ("lime", "lime_seed1"),
    ("lime_reference", "lime_reference_seed1"),
    ("rise", "rise_paper"),
    ("rise", "rise_seed1"),
    ("rise_paper", "rise_paper_seed1"),
)
#: What the picture shows, and what it calls it.
SHOWN = {
    "gradcam": "Grad-CAM",
    "captum_gradcam": "… of captum",
    "shap": "SHAP",
    "shap_reference": "… of shap",
    "lime": "LIME",
    "lime_reference": "… of lime",
    "rise": "RISE",
    "rise_paper": "… as published",
}

Map = NDArray[np.float16]


def maps(audit: str, method: str) -> Iterator[tuple[tuple[str, str], Map, str]]:
    """Give key, map and status of each map of a method, in order of the keys."""
    size = read_json(places.predict(audit) / "audit.json")["size"]
    columns = ["image_id", "label", "map", "status"]
    for row in read_rows(places.explain(audit) / f"{method}.parquet", saliency(*size), columns):
        yield (row["image_id"], row["label"]), row["map"], row["status"]


def compare(audit: str, one: str, other: str) -> tuple[int, float, float]:
    """Give how many pairs of maps there are, mean rank correlation, and mean IoU of the top."""
    correlations, overlaps = [], []
    for (key, first, status), (same, second, beside) in zip(
        maps(audit, one), maps(audit, other), strict=True
    ):
        assert key == same, (key, same)
        correlation = rank_correlation(first.astype(np.float64), second.astype(np.float64))
        if {status, beside} & {"nan_map", "zero_map"} or correlation.spearman is None:
            continue
        correlations.append(correlation.spearman)
        overlaps.append(iou(top_fraction(first, KEPT), top_fraction(second, KEPT)) or 0.0)
    return len(overlaps), float(np.mean(correlations)), float(np.mean(overlaps))


def draw(audit: str, count: int = 4) -> None:
    """Draw maps of phantoms side by side, into docs/images/comparison.png."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    if not audit.startswith("phantom_"):
        sys.exit(f"error: {audit} is not of phantoms: draw what nobody's body has given")
    rows = islice(read_rows(places.predict(audit) / "chosen.parquet", CHOSEN), count)
    pixels = {row["image_id"]: decode_image(row["pixels"]) for row in rows}
    first: dict[str, dict[str, Any]] = {
        method: {key[0]: found for key, found, _ in reversed(list(maps(audit, method)))}
        for method in SHOWN
    }
    figure, axes = plt.subplots(
        count, len(SHOWN) + 1, figsize=(9.6, 1.12 * count + 0.2), layout="constrained"
    )
    for row, (image_id, image) in zip(axes, pixels.items(), strict=True):
        row[0].imshow(image)
        for axis, method in zip(row[1:], SHOWN, strict=True):
            axis.imshow(first[method][image_id].astype(np.float32), cmap="magma", vmin=0, vmax=1)
        for axis in row:
            axis.set_axis_off()
    for axis, title in zip(axes[0], ["image", *SHOWN.values()], strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig("docs/images/comparison.png", dpi=100)


def main() -> None:
    """Compare, and print a table."""
    audit = sys.argv[1]
    if sys.argv[2:] == ["picture"]:
        draw(audit)
        return
    print("| maps | beside | pairs | rank correlation | IoU of the top 5 % |")
    print("| --- | --- | --- | --- | --- |")
    for one, other in PAIRS:
        count, correlation, overlap = compare(audit, one, other)
        print(f"| {one} | {other} | {count} | {correlation:.3f} | {overlap:.3f} |", flush=True)


if __name__ == "__main__":
    main()
