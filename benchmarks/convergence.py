"""How near a RISE map is to its limit, by passes and by how masks are drawn.

Run from the root of an audited checkout: ``python -m benchmarks.convergence
<audit> [images]``. The limit is the centred map of 20,480 independent masks
with a seed of their own. Prints the root mean square error of the normalised
map, and the IoU of its top 5 % with the limit's, as means over images.
"""

from __future__ import annotations

import sys
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.rise import Rise
from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import decode_image
from saliency_audit.measures.top_fraction import top_fraction
from saliency_audit.models.training import as_pixels
from tasks import places
from tasks.artifacts import read_rows
from tasks.models import load_classifier
from tasks.tables.chosen import CHOSEN

PASSES = (128, 256, 512, 1024, 2048, 4096)
LIMIT = Rise(samples=20480, design="independent", seed=1)
DRAWN = {
    "plain, independent": {"estimator": "plain", "design": "independent"},
    "centred, independent": {"design": "independent"},
    "centred, orthogonal": {},
}
KEPT = 0.05

Values = NDArray[np.float64]


def explain(rise: Rise, classifier: torch.nn.Module, row: dict[str, object]) -> Values:
    """Give the normalised map of an image's first label."""
    label = classifier.labels.index(row["explain"][0])
    pixels = as_pixels(decode_image(row["pixels"])[None])
    ((raw,),) = rise.explain(
        classifier, pixels, [[label]], [row["pixel_sha256"]], compute=Compute()
    )
    return quantise(raw, KEPT).map.astype(np.float64)


def overlap(first: Values, second: Values) -> float:
    """Give the IoU of two maps' top fractions."""
    one, other = top_fraction(first, KEPT), top_fraction(second, KEPT)
    return float((one & other).sum() / (one | other).sum())


def main() -> None:
    """Measure and print."""
    audit, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8
    compute = Compute()
    compute.start()
    classifier, _ = load_classifier(audit)
    compute.prepare(classifier)
    rows = read_rows(places.predict(audit) / "chosen.parquet", CHOSEN)
    chosen = list(islice((row for row in rows if row["explain"]), count))
    limits = [explain(LIMIT, classifier, row) for row in chosen]
    print(f"{audit}, {len(chosen)} images: root mean square error (IoU of the top 5 %)")
    print(f"{'':22}" + "".join(f"{passes:>14}" for passes in PASSES))
    for name, options in DRAWN.items():
        cells = []
        for passes in PASSES:
            maps = [explain(Rise(samples=passes, **options), classifier, row) for row in chosen]
            pairs = list(zip(maps, limits, strict=True))
            error = np.mean([np.sqrt(((found - limit) ** 2).mean()) for found, limit in pairs])
            shared = np.mean([overlap(found, limit) for found, limit in pairs])
            cells.append(f"{error:8.3f} ({shared:.2f})")
        print(f"{name:22}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
