"""Stage ``explain``: one method's saliency maps for every label to explain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from saliency_audit.attribution.maps import StoredMap, quantise
from saliency_audit.attribution.method import Method
from saliency_audit.attribution.registry import method_digest, method_from_parameters
from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import decode_image
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.training import as_pixels
from tasks import places
from tasks.artifacts import read_columns, read_rows, write_table
from tasks.models import load_classifier
from tasks.stage import Context, Stage
from tasks.tables.chosen import CHOSEN
from tasks.tables.saliency import saliency


def run(context: Context, audit: str, method: str) -> None:
    """Write the maps of one method for an audit."""
    parameters = context.params.value(f"method.{method}")
    kept = float(context.params.value("measures.kept_fraction"))
    compute = context.params.read("compute", Compute)
    compute.start()
    chosen_method = method_from_parameters(method, parameters)
    classifier, card = load_classifier(audit)
    compute.prepare(classifier)
    background = _background(audit) if chosen_method.needs_background else None
    explainer = Explainer(chosen_method, classifier, background, kept, compute)
    names = {
        "method": method,
        "model_digest": card["digest"],
        "method_digest": method_digest(method, parameters),
    }
    table = saliency(*card["image_size"])
    chosen = places.predict(audit) / "chosen.parquet"
    total = read_columns(chosen, CHOSEN, ["image_id"]).num_rows
    images = read_rows(chosen, CHOSEN)
    done = 0
    with write_table(table, places.explain(audit) / f"{method}.parquet") as writer:
        while batch := list(islice(images, compute.batch)):
            for row, label, stored in _explain(explainer, batch):
                writer.write({**names, **_row(row, label, stored)})
            done += len(batch)
            context.progress(done, total)


@dataclass(frozen=True)
class Explainer:
    """A method with all that it needs besides images."""

    method: Method
    classifier: Classifier
    background: torch.Tensor | None
    kept_fraction: float
    compute: Compute


def _explain(
    explainer: Explainer, batch: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], str, StoredMap]]:
    """Give the maps of a batch of images, in ascending (image_id, label)."""
    classifier = explainer.classifier
    asked = [[classifier.labels.index(label) for label in row["explain"]] for row in batch]
    found = explainer.method.explain(
        classifier,
        _pixels([row["pixels"] for row in batch]),
        asked,
        [row["pixel_sha256"] for row in batch],
        compute=explainer.compute,
        background=explainer.background,
    )
    for row, maps in zip(batch, found, strict=True):
        by_label = dict(zip(row["explain"], maps, strict=True))
        for label in sorted(by_label):
            yield row, label, quantise(by_label[label], explainer.kept_fraction)


def _pixels(encoded: list[bytes]) -> torch.Tensor:
    return as_pixels(np.stack([decode_image(image) for image in encoded]))


def _background(audit: str) -> torch.Tensor:
    path = places.predict(audit) / "background.parquet"
    return _pixels([row["pixels"] for row in read_rows(path, CHOSEN, ["pixels"])])


def _row(row: dict[str, Any], label: str, stored: StoredMap) -> dict[str, Any]:
    return {
        "image_id": row["image_id"],
        "label": label,
        "map": stored.map,
        "offset": stored.offset,
        "scale": stored.scale,
        "status": stored.status,
        "tie_share": stored.tie_share,
        "completeness": stored.completeness,
    }


STAGE = Stage(
    "explain",
    ("audit", "method"),
    ("method.{method}", "measures.kept_fraction", "compute"),
    run,
)

if __name__ == "__main__":
    STAGE.main()
