"""Stage ``ingest``: a source of images becomes tables of images and masks at working resolution."""

from __future__ import annotations

from collections import Counter
from typing import Any

from saliency_audit.datasets.encoding import encode_image, encode_mask, pixel_sha256
from saliency_audit.datasets.registry import source_plugin
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.datasets.set_aside import check_set_aside
from tasks import places
from tasks.artifacts import TableWriter, write_json, write_table
from tasks.params import build_source
from tasks.pins import check_pin
from tasks.stage import Context, Stage
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS
from tasks.tables.set_aside import SET_ASIDE


def run(context: Context, dataset: str) -> None:
    """Write the images, masks and set-aside rows of a dataset, and its description."""
    source = build_source(dataset, context.params.value(f"datasets.{dataset}"))
    check_pin("ingest", dataset, source_plugin(source.kind))
    description: Description = source.describe()
    folder = places.ingest(dataset)
    notes: Counter[str] = Counter()
    reasons: list[SetAside] = []
    kept = 0
    with (
        write_table(IMAGES, folder / "images.parquet") as images,
        write_table(MASKS, folder / "masks.parquet") as masks,
    ):
        for item in source.samples(context.progress):
            if isinstance(item, SetAside):
                reasons.append(item)
                continue
            kept += 1
            notes.update(item.notes)
            _write_sample(item, images, masks)
        with write_table(SET_ASIDE, folder / "set_aside.parquet") as table:
            table.write_all(_set_aside_row(n, item) for n, item in enumerate(reasons))
        check_set_aside(kept, reasons, source.max_set_aside)
    write_json(folder / "description.json", _describe(description, kept, notes, reasons))


def _write_sample(sample: Sample, images: TableWriter, masks: TableWriter) -> None:
    images.write(
        {
            "image_id": sample.image_id,
            "group_id": sample.group_id,
            "labels": list(sample.labels),
            "instances": [sample.instances.get(label, 1) for label in sample.labels],
            "width": sample.width,
            "height": sample.height,
            "pixel_sha256": pixel_sha256(sample.pixels),
            "pixels": encode_image(sample.pixels),
            "strata": sorted(sample.strata.items()),
            "source_file": sample.source_file,
            "notes": sorted(sample.notes),
        }
    )
    for label in sorted(sample.masks):
        masks.write(
            {
                "image_id": sample.image_id,
                "label": label,
                "area": int(sample.masks[label].sum()),
                "mask": encode_mask(sample.masks[label]),
            }
        )


def _set_aside_row(number: int, item: SetAside) -> dict[str, Any]:
    return {
        "number": number,
        "image_id": item.image_id,
        "source_file": item.source_file,
        "row": item.row,
        "reason": item.reason,
        "detail": "; ".join([item.detail, *(detail for _, detail in item.more)]),
    }


def _describe(
    description: Description, kept: int, notes: Counter[str], reasons: list[SetAside]
) -> dict[str, Any]:
    return {
        "labels": list(description.labels),
        "labelling": description.labelling.value,
        "mask_kind": description.mask_kind.value,
        "size": list(description.size),
        "images": kept,
        "notes": dict(notes),
        "set_aside": dict(Counter(item.reason for item in reasons)),
    }


STAGE = Stage(
    "ingest",
    ("dataset",),
    ("datasets.{dataset}",),
    run,
    tables={
        "data/ingest/<dataset>/images.parquet": "tasks.tables.images:IMAGES",
        "data/ingest/<dataset>/masks.parquet": "tasks.tables.masks:MASKS",
        "data/ingest/<dataset>/set_aside.parquet": "tasks.tables.set_aside:SET_ASIDE",
    },
    chooses="datasets",
)

if __name__ == "__main__":
    STAGE.main()
