"""Stage ``check_inputs``: images, masks and split, before anything is trained on them."""

from __future__ import annotations

from saliency_audit.datasets.splitting import SplitParameters
from tasks.artifacts import read_json
from tasks.check_inputs.pictures import picture_facts
from tasks.check_inputs.rules import rules
from tasks.check_inputs.source_facts import source_facts, stratum_facts
from tasks.check_inputs.split_facts import label_facts, listing_facts, size_facts
from tasks.gates.outcome import Gate, pass_gate
from tasks.gates.parameters import InputBounds
from tasks.places import ingest
from tasks.stage import Checks, Context, Stage


def run(context: Context, dataset: str) -> None:
    """Judge a dataset; raises QualityError where nothing may be trained on it."""
    bounds = context.params.read("quality.inputs", InputBounds)
    split = context.params.read("split", SplitParameters)
    description = read_json(ingest(dataset) / "description.json")
    images, masks = picture_facts(dataset, description, bounds, context.progress)
    facts = [
        images,
        masks,
        source_facts(dataset, images),
        stratum_facts(dataset),
        listing_facts(dataset, images),
        size_facts(images, split),
        label_facts(images, description["labels"]),
    ]
    pass_gate(Gate("check_inputs", dataset), facts, rules(bounds, split, description))


STAGE = Stage(
    "check_inputs",
    ("dataset",),
    ("quality.inputs", "preset", "split"),
    run,
    checks=Checks(
        about="images, masks and split",
        before="trained",
        rules="tasks.check_inputs.rules:rules",
    ),
)

if __name__ == "__main__":
    STAGE.main()
