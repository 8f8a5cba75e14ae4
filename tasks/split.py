"""Stage ``split``: each image goes to train, tune, calibrate or test, by patient or lesion."""

from __future__ import annotations

from saliency_audit.datasets.splitting import SplitParameters, split_groups
from saliency_audit.labelling import Labelling
from tasks import places
from tasks.artifacts import read_columns, read_json, write_json, write_table
from tasks.stage import Context, Stage
from tasks.tables.images import IMAGES
from tasks.tables.split import SPLIT


def run(context: Context, dataset: str) -> None:
    """Write the split of a dataset, and what its makers should know of it."""
    parameters = context.params.read("split", SplitParameters)
    description = read_json(places.ingest(dataset) / "description.json")
    images = read_columns(
        places.ingest(dataset) / "images.parquet", IMAGES, ["image_id", "group_id", "labels"]
    ).to_pydict()
    result = split_groups(
        images["image_id"],
        images["group_id"],
        [tuple(labels) for labels in images["labels"]],
        tuple(description["labels"]),
        parameters,
        labelling=Labelling(description["labelling"]),
    )
    folder = places.split(dataset)
    with write_table(SPLIT, folder / "split.parquet") as table:
        table.write_all(
            {"image_id": image_id, "group_id": group_id, "split": part}
            for image_id, group_id, part in zip(
                images["image_id"], images["group_id"], result.splits, strict=True
            )
        )
    write_json(folder / "split.json", result.to_json())


STAGE = Stage(
    "split",
    ("dataset",),
    ("preset", "split"),
    run,
    tables={"data/split/<dataset>/split.parquet": "tasks.tables.split:SPLIT"},
)

if __name__ == "__main__":
    STAGE.main()
