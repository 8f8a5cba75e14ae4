"""Stage ``explain``: one method's saliency maps for every label to explain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from saliency_audit.attribution.grid import Grid
from saliency_audit.attribution.maps import StoredMap, quantise
from saliency_audit.attribution.method import Explainer, Method
from saliency_audit.attribution.registry import (
    method_digest,
    method_from_parameters,
    method_kind,
    method_plugin,
    with_block,
)
from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import decode_image
from saliency_audit.errors import NotApplicable
from tasks import places
from tasks.artifacts import file_sha256, read_columns, read_json, read_rows, write_table
from tasks.map_store import MapStore, map_store
from tasks.pairs import Outcome, PairStatus, read_asked, write_outcome
from tasks.pins import check_pin
from tasks.stage import Context, Stage
from tasks.tables.chosen import CHOSEN
from tasks.tables.saliency import saliency

if TYPE_CHECKING:
    import torch


def run(context: Context, audit: str, method: str) -> None:
    """Write the maps of one method for an audit; none where it cannot explain the network."""
    asked = read_asked(audit, method)
    if not asked.asked:
        outcome = Outcome(PairStatus.NOT_ASKED, f"audits.{audit}.methods leaves it out")
        _leave_out(audit, method, outcome)
        return
    parameters = with_block(method, context.params.value(f"method.{method}"), asked.block)
    try:
        grid = _explain(context, audit, method, parameters)
        write_outcome(audit, method, Outcome(PairStatus.EXPLAINED, grid=grid))
    except NotApplicable as error:
        _leave_out(audit, method, Outcome(PairStatus.NOT_APPLICABLE, str(error)))


def _leave_out(audit: str, method: str, outcome: Outcome) -> None:
    """Write a table without maps, and why."""
    size = read_json(places.predict(audit) / "audit.json")["size"]
    with write_table(saliency(*size), places.explain(audit) / f"{method}.parquet"):
        pass
    write_outcome(audit, method, outcome)


def _explain(
    context: Context, audit: str, method: str, parameters: Mapping[str, object]
) -> Grid | None:
    """Write the maps of a method, and give the cells that they are made of."""
    from tasks.models import load_classifier

    kept = float(context.params.value("measures.kept_fraction"))
    compute = context.params.read("compute", Compute)
    compute.start()
    check_pin("explain", method, method_plugin(method_kind(method, parameters)))
    chosen_method = method_from_parameters(method, parameters)
    classifier, card = load_classifier(audit)
    compute.prepare(classifier)
    background = _background(audit) if chosen_method.needs_background else None
    explainer = chosen_method.explainer(classifier, compute=compute, background=background)
    key = {
        "method": method_digest(method, parameters),
        "labels": list(classifier.labels),
        "background": file_sha256(_background_file(audit))
        if chosen_method.needs_background
        else None,
        "kept_fraction": kept,
        "compute": asdict(compute),
        "code": file_sha256(places.code("explain", method)),
    }
    names = {
        "method": method,
        "model_digest": card["digest"],
        "method_digest": key["method"],
    }
    table = saliency(*card["image_size"])
    chosen = places.predict(audit) / "chosen.parquet"
    total = read_columns(chosen, CHOSEN, ["image_id"]).num_rows
    done = 0
    with (
        map_store(_digest(audit, key), f"{audit} {method}") as store,
        write_table(table, places.explain(audit) / f"{method}.parquet") as writer,
    ):
        batches = _batches(read_rows(chosen, CHOSEN), _together(chosen_method, compute), store)
        for batch in _foreseen(batches, explainer):
            _complete(batch, explainer, store, kept)
            for item in batch:
                for label in sorted(item.maps):
                    writer.write({**names, **_row(item.row, label, item.maps[label])})
            done += len(batch)
            context.progress(done, total)
    return explainer.grid((card["image_size"][0], card["image_size"][1])) if done else None


def _together(method: Method, compute: Compute) -> int:
    """Images explained at a time: one where its own samples fill the model's batches."""
    passes = method.cost().forward
    return compute.batch if passes is None or passes < compute.batch else 1


def _digest(audit: str, key: Mapping[str, Any]) -> str:
    """Digest of all that decides the bytes of a map, besides its pixels and its label."""
    import torch

    from tasks.models import network_files

    content = {
        **key,
        "model": {path.name: file_sha256(path) for path in network_files(audit)},
        "torch": str(torch.__version__),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Item:
    """An image of a batch, and the maps that there are of it, by label."""

    row: dict[str, Any]
    maps: dict[str, StoredMap]

    @property
    def missing(self) -> list[str]:
        """Labels to explain that have no map yet."""
        return [label for label in self.row["explain"] if label not in self.maps]


def _batches(
    rows: Iterator[dict[str, Any]], together: int, store: MapStore
) -> Iterator[list[Item]]:
    """Give images in batches, with the maps that are kept of them."""
    while batch := list(islice(rows, together)):
        yield [Item(row, store.find(row["pixel_sha256"], row["explain"])) for row in batch]


def _foreseen(batches: Iterator[list[Item]], explainer: Explainer) -> Iterator[list[Item]]:
    """Give the batches, each when the explainer has been told of the next one too."""
    told: list[list[Item]] = []
    for batch in batches:
        if missing := [item.row["pixels"] for item in batch if item.missing]:
            explainer.foresee(_pixels(missing))
        told.append(batch)
        if len(told) > 1:
            yield told.pop(0)
    yield from told


def _complete(batch: list[Item], explainer: Explainer, store: MapStore, kept: float) -> None:
    """Compute and keep the maps that images of a batch lack."""
    lacking = [(item, item.missing) for item in batch if item.missing]
    if not lacking:
        return
    labels = explainer.classifier.labels
    found = explainer.explain(
        _pixels([item.row["pixels"] for item, _ in lacking]),
        [[labels.index(label) for label in missing] for _, missing in lacking],
        [item.row["pixel_sha256"] for item, _ in lacking],
    )
    for (item, missing), maps in zip(lacking, found, strict=True):
        new = {label: quantise(raw, kept) for label, raw in zip(missing, maps, strict=True)}
        store.keep(item.row["pixel_sha256"], new)
        item.maps.update(new)


def _pixels(encoded: list[bytes]) -> torch.Tensor:
    from saliency_audit.models.training import as_pixels

    return as_pixels(np.stack([decode_image(image) for image in encoded]))


def _background_file(audit: str) -> Path:
    return places.predict(audit) / "background.parquet"


def _background(audit: str) -> torch.Tensor:
    rows = read_rows(_background_file(audit), CHOSEN, ["pixels"])
    return _pixels([row["pixels"] for row in rows])


def _row(row: dict[str, Any], label: str, stored: StoredMap) -> dict[str, Any]:
    return {
        "image_id": row["image_id"],
        "label": label,
        "map": stored.map,
        "offset": stored.offset,
        "scale": stored.scale,
        "status": stored.status,
        "method_status": stored.method_status,
        "tie_share": stored.tie_share,
        "completeness": stored.completeness,
        "pixel_sha256": row["pixel_sha256"],
    }


STAGE = Stage(
    "explain",
    ("audit", "method"),
    ("preset", "method.{method}", "measures.kept_fraction", "compute"),
    run,
    chooses="methods",
    tables={"data/explain/<audit>/<method>.parquet": "tasks.tables.saliency:saliency"},
)

if __name__ == "__main__":
    STAGE.main()
