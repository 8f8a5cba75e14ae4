"""Stage ``explain``: one method's saliency maps for every label to explain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
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
from tasks.artifacts import file_sha256, read_columns, read_rows, write_table
from tasks.map_store import MapStore, map_store
from tasks.models import load_classifier
from tasks.stage import Context, Stage
from tasks.tables.chosen import CHOSEN
from tasks.tables.saliency import saliency

#: Artifacts of a training that say how it went, and decide no map.
RECORDS = ("model.json", "history.parquet")


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
    with (
        map_store(_key(explainer, audit, method, parameters), f"{audit} {method}") as store,
        write_table(table, places.explain(audit) / f"{method}.parquet") as writer,
    ):
        while batch := list(islice(images, explainer.together)):
            for row, label, stored in _explain(explainer, store, batch):
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

    @property
    def together(self) -> int:
        """Images explained at a time: one where its own samples fill the model's batches."""
        passes = self.method.cost().forward
        return self.compute.batch if passes is None or passes < self.compute.batch else 1


def _key(explainer: Explainer, audit: str, method: str, parameters: Mapping[str, Any]) -> str:
    """Digest of all that decides the bytes of a map, besides its pixels and its label."""
    folder = places.train_classifier(audit)
    background = places.predict(audit) / "background.parquet"
    content = {
        "method": method_digest(method, parameters),
        "model": {
            path.name: file_sha256(path)
            for path in sorted(folder.iterdir())
            if path.name not in RECORDS
        },
        "labels": list(explainer.classifier.labels),
        "background": None if explainer.background is None else file_sha256(background),
        "kept_fraction": explainer.kept_fraction,
        "compute": asdict(explainer.compute),
        "code": file_sha256(places.code("explain", method)),
        "torch": str(torch.__version__),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _explain(
    explainer: Explainer, store: MapStore, batch: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], str, StoredMap]]:
    """Give the maps of a batch of images, in ascending (image_id, label)."""
    found = [store.find(row["pixel_sha256"], row["explain"]) for row in batch]
    missing = [
        (row, maps, [label for label in row["explain"] if label not in maps])
        for row, maps in zip(batch, found, strict=True)
    ]
    missing = [item for item in missing if item[2]]
    if missing:
        computed = _compute(explainer, [(row, labels) for row, _, labels in missing])
        for (row, maps, _), new in zip(missing, computed, strict=True):
            store.keep(row["pixel_sha256"], new)
            maps.update(new)
    for row, maps in zip(batch, found, strict=True):
        for label in sorted(maps):
            yield row, label, maps[label]


def _compute(
    explainer: Explainer, asked: list[tuple[dict[str, Any], list[str]]]
) -> list[dict[str, StoredMap]]:
    """Explain labels of images; gives the maps of each image by label."""
    classifier = explainer.classifier
    found = explainer.method.explain(
        classifier,
        _pixels([row["pixels"] for row, _ in asked]),
        [[classifier.labels.index(label) for label in labels] for _, labels in asked],
        [row["pixel_sha256"] for row, _ in asked],
        compute=explainer.compute,
        background=explainer.background,
    )
    return [
        {
            label: quantise(raw, explainer.kept_fraction)
            for label, raw in zip(labels, maps, strict=True)
        }
        for (_, labels), maps in zip(asked, found, strict=True)
    ]


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
