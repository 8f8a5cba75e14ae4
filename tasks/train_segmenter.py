"""Stage ``train_segmenter``: the segmenter learns to draw the clinician's masks."""

from __future__ import annotations

from dataclasses import asdict

from saliency_audit.compute import Compute
from saliency_audit.models.fitting import History
from saliency_audit.models.segmenter import (
    Segmenter,
    SegmenterParameters,
    build_segmenter,
    segmenter_quality,
    train_segmenter,
)
from saliency_audit.models.weights import check_finite, model_digest, save_weights
from tasks import places
from tasks.artifacts import partial, write_json, write_table
from tasks.checkpoints import checkpoint
from tasks.dataset import Facts, MaskedData, open_masked, read_facts
from tasks.stage import Context, Stage
from tasks.tables.history import HISTORY, rows


def run(context: Context, dataset: str) -> None:
    """Write the segmenter of a dataset, or say that it has no masks to learn from."""
    facts = read_facts(dataset)
    parameters = context.params.read("segmenter", SegmenterParameters)
    compute = context.params.read("compute", Compute)
    compute.start()
    folder = places.train_segmenter(dataset)
    if not facts.channels:
        with write_table(HISTORY, folder / "history.parquet"):
            pass
        write_json(folder / "model.json", {"status": "no_masks", "channels": []})
        return
    segmenter = build_segmenter(parameters, len(facts.channels))
    ingested = places.ingest(dataset)
    state = checkpoint(
        "train_segmenter",
        dataset,
        [
            ingested / "images.parquet",
            ingested / "masks.parquet",
            places.split(dataset) / "split.parquet",
        ],
        {"segmenter": asdict(parameters), "compute": asdict(compute)},
        places.code("train_segmenter"),
    )
    with open_masked(facts) as data:
        history = train_segmenter(
            segmenter, data, parameters, compute, checkpoint=state, progress=context.progress
        )
        _write(facts, parameters, segmenter, data, compute, history)


def _write(
    facts: Facts,
    parameters: SegmenterParameters,
    segmenter: Segmenter,
    data: MaskedData,
    compute: Compute,
    history: History,
) -> None:
    folder = places.train_segmenter(facts.name)
    state = segmenter.network.state_dict()
    check_finite(state, f"the segmenter of {facts.name}")
    test = segmenter_quality(segmenter, data, facts.of_split("test"), compute)
    with partial(folder / "weights.safetensors") as beside:
        save_weights(beside, state)
    with write_table(HISTORY, folder / "history.parquet") as table:
        table.write_all(rows(history))
    write_json(
        folder / "model.json",
        {
            "status": "trained",
            "channels": list(facts.channels),
            "size": list(facts.size),
            "parameters": asdict(parameters),
            "digest": model_digest(state, parameters.encoder),
            "quality": {
                "test": {
                    label: asdict(quality)
                    for label, quality in zip(facts.channels, test, strict=True)
                }
            },
            "images": {
                split: len(facts.of_split(split))
                for split in ("train", "tune", "calibrate", "test")
            },
            "epochs": len(history.epochs),
            "best_epoch": history.best,
        },
    )


STAGE = Stage(
    "train_segmenter",
    ("dataset",),
    ("segmenter", "compute"),
    run,
    tables={"data/train_segmenter/<dataset>/history.parquet": "tasks.tables.history:HISTORY"},
)

if __name__ == "__main__":
    STAGE.main()
