"""Stage ``check_maps``: every map beside what it says of itself, and who counts."""

from __future__ import annotations

from saliency_audit.attribution.registry import with_block
from tasks import places
from tasks.artifacts import read_json
from tasks.check_maps.map_facts import map_facts, method_facts
from tasks.check_maps.row_facts import row_facts
from tasks.check_maps.rules import rules
from tasks.gates.outcome import Gate, pass_gate
from tasks.gates.parameters import MapBounds
from tasks.pairs import explaining, read_asked, read_outcomes
from tasks.stage import Checks, Context, Stage


def run(context: Context, audit: str) -> None:
    """Judge the maps of an audit; raises QualityError where nothing may be measured on them."""
    bounds = context.params.read("quality.maps", MapBounds)
    kept = float(context.params.value("measures.kept_fraction"))
    dataset = context.params.value(f"audits.{audit}.dataset")
    outcomes = read_outcomes(audit, context.params.value("methods"))
    methods = explaining(audit, context.params.value("methods"))
    parameters = {
        method: with_block(
            method, context.params.value(f"method.{method}"), read_asked(audit, method).block
        )
        for method in methods
    }
    card = read_json(places.train_classifier(audit) / "model.json")
    maps = map_facts(audit, card, parameters, kept, context.progress)
    facts = [
        maps,
        method_facts(maps, outcomes),
        row_facts(audit, maps, methods),
    ]
    pass_gate(Gate("check_maps", dataset, audit), facts, rules(bounds))


STAGE = Stage(
    "check_maps",
    ("audit",),
    (
        "quality.maps",
        "audits.{audit}.dataset",
        "methods",
        "preset",
        "method",
        "measures.kept_fraction",
    ),
    run,
    takes=("saliency_audit.attribution",),
    checks=Checks(
        about="maps",
        before="measured",
        rules="tasks.check_maps.rules:rules",
    ),
)

if __name__ == "__main__":
    STAGE.main()
