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

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.encoding import decode_image
from saliency_audit.faithfulness.similarity import rank_correlation
from saliency_audit.measures.overlap import iou
from saliency_audit.measures.top_fraction import top_fraction
from tasks import places
from tasks.artifacts import read_json, read_rows
from tasks.maps import StoredRow, read_maps
from tasks.tables.chosen import CHOSEN

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


def maps(audit: str, method: str) -> Iterator[StoredRow]:
    """Give the maps of a method, in order of image and label."""
    size = read_json(places.predict(audit) / "audit.json")["size"]
    return read_maps(places.explain(audit) / f"{method}.parquet", size)


def compare(audit: str, one: str, other: str) -> tuple[int, float, float]:
    """Give how many pairs of maps there are, mean rank correlation, and mean IoU of the top."""
    correlations, overlaps = [], []
    for first, second in zip(maps(audit, one), maps(audit, other), strict=True):
        assert (first.image_id, first.label) == (second.image_id, second.label)
        if first.readable is None or second.readable is None:
            continue
        alike = rank_correlation(first.values.astype(float), second.values.astype(float))
        if alike.spearman is not None:
            correlations.append(alike.spearman)
            tops = (top_fraction(found.values, KEPT) for found in (first, second))
            overlaps.append(iou(*tops) or 0.0)
    return len(overlaps), float(np.mean(correlations)), float(np.mean(overlaps))


def draw(audit: str, count: int = 4) -> None:
    """Draw maps of phantoms side by side, into docs/images/comparison.png."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    if not audit.startswith("phantom_"):
        sys.exit(f"error: {audit} is not of phantoms: draw what nobody's body has given")
    chosen = read_rows(places.predict(audit) / "chosen.parquet", CHOSEN)
    rows = islice((row for row in chosen if row["explain"]), count)
    pixels = {row["image_id"]: decode_image(row["pixels"]) for row in rows}
    first: dict[str, dict[str, NDArray[np.float16]]] = {method: {} for method in SHOWN}
    for method, found in first.items():
        for row in maps(audit, method):
            found.setdefault(row.image_id, row.values)
    figure, axes = plt.subplots(
        count, len(SHOWN) + 1, figsize=(9.6, 1.12 * count + 0.2), layout="constrained"
    )
    for line, (image_id, image) in zip(axes, pixels.items(), strict=True):
        line[0].imshow(image)
        for axis, found in zip(line[1:], first.values(), strict=True):
            axis.imshow(found[image_id].astype(np.float32), cmap="magma", vmin=0, vmax=1)
        for axis in line:
            axis.set_axis_off()
    for axis, title in zip(axes[0], ["image", *SHOWN.values()], strict=True):
        axis.set_title(title, fontsize=9)
    figure.savefig("docs/images/comparison.png", dpi=80)


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
