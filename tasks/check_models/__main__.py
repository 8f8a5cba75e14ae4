"""Stage ``check_models``: classifier, segmenter and predictions of an audit."""

from __future__ import annotations

from saliency_audit.compute import Compute
from tasks import places
from tasks.artifacts import read_json
from tasks.audits import PredictParameters
from tasks.check_models.adoption_facts import adoption_facts
from tasks.check_models.again_facts import mask_facts, score_facts
from tasks.check_models.chosen_facts import background_facts, chosen_facts
from tasks.check_models.known import read_known
from tasks.check_models.model_facts import chance_facts, identity_facts, label_facts
from tasks.check_models.prediction_facts import image_facts, prediction_facts
from tasks.check_models.region_facts import overlap_facts, region_facts
from tasks.check_models.rules import rules
from tasks.gates.outcome import Gate, pass_gate
from tasks.gates.parameters import ModelBounds
from tasks.models import load_classifier
from tasks.segmenters import load_segmenter
from tasks.stage import Checks, Context, Stage

STEPS = 4


def run(context: Context, audit: str) -> None:
    """Judge the models of an audit; raises QualityError where nothing may be explained."""
    bounds = context.params.read("quality.models", ModelBounds)
    parameters = context.params.read("predict", PredictParameters)
    dataset = context.params.value(f"audits.{audit}.dataset")
    description = read_json(places.predict(audit) / "audit.json")
    known = read_known(dataset)
    predictions = prediction_facts(audit, description, known, parameters)
    context.progress(1, STEPS)
    regions = region_facts(audit, dataset, description, known)
    overlaps = overlap_facts(regions, known)
    context.progress(2, STEPS)
    labels = label_facts(predictions)
    Compute().start()
    classifier, card = load_classifier(audit)
    loaded = load_segmenter(dataset)
    facts = [
        predictions,
        image_facts(predictions, known, description),
        chosen_facts(audit, predictions, regions, known, description),
        background_facts(audit, known),
        regions,
        score_facts(dataset, classifier, predictions, bounds.asked_again),
        mask_facts(audit, dataset, loaded, bounds.asked_again),
        identity_facts(dataset, description, classifier, card, loaded[0] if loaded else None),
        labels,
        chance_facts(labels, overlaps),
        adoption_facts(card, predictions),
    ]
    context.progress(3, STEPS)
    gate = Gate("check_models", dataset, audit)
    pass_gate(gate, facts, rules(bounds, parameters, description))
    context.progress(STEPS, STEPS)


STAGE = Stage(
    "check_models",
    ("audit",),
    ("quality.models", "predict", "audits.{audit}.dataset"),
    run,
    checks=Checks(
        about="models and predictions",
        before="explained",
        rules="tasks.check_models.rules:rules",
    ),
)

if __name__ == "__main__":
    STAGE.main()
