"""The rules of ``check_models``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from saliency_audit.labelling import Labelling
from saliency_audit.problem import Severity
from tasks.audits import PredictParameters
from tasks.gates.kinds import KINDS
from tasks.gates.parameters import ModelBounds
from tasks.gates.rule import Rule, among, equal, with_severities

KEY = "quality.models"
STOP, WARN = Severity.STOP, Severity.WARN
AGAIN = "the artifacts do not belong together: delete data/predict and run `saliency-audit run`"
#: Rules of two shapes, with that advice.
_equal, _among = partial(equal, AGAIN), partial(among, AGAIN)
#: How far a sum of probabilities, or a probability from that of its score, may be by rounding.
ROUNDING = 1e-6
#: The same by another device or precision: of a score in standard deviations of all scores.
ANOTHER_DEVICE = 0.05


def rules(
    bounds: ModelBounds, parameters: PredictParameters, description: Mapping[str, Any]
) -> list[Rule]:
    """Give the rules for an audit with such a description and such choices."""
    every = [rule for kind in KINDS for rule in _of(bounds, parameters, kind)]
    return with_severities(_of(bounds, parameters, description), bounds.severity, KEY, every)


def _of(
    bounds: ModelBounds, parameters: PredictParameters, description: Mapping[str, Any]
) -> list[Rule]:
    return [
        *_of_predictions(parameters),
        *_of_images(description),
        *_of_chosen(description),
        *_of_regions(bounds, description),
        *_of_models(bounds),
        *_of_adoption(bounds),
        *_of_asking_again(),
    ]


def _close(name: str, meaning: str, one: str, other: str) -> Rule:
    return Rule(
        name,
        "predictions",
        meaning,
        AGAIN,
        "ExpectColumnPairValuesToBeClose",
        {"column_A": one, "column_B": other, "tolerance": ROUNDING},
    )


def _of_predictions(parameters: PredictParameters) -> list[Rule]:
    about = "predictions"
    found = [
        _equal(
            "prediction_group",
            about,
            "A prediction names its image's patient or lesion.",
            "group_id",
            "own_group",
        ),
        _equal(
            "prediction_split", about, "A prediction names its image's split.", "split", "own_split"
        ),
        _equal(
            "prediction_target",
            about,
            "A prediction's target is whether its image has the label.",
            "target",
            "own",
        ),
        _equal(
            "label_order",
            about,
            "A label has its place among the classifier's.",
            "label_index",
            "own_index",
        ),
        _close(
            "probability_of_score",
            "A probability is that of its score.",
            "probability",
            "raw",
        ),
        _close(
            "calibrated_of_score",
            "A calibrated probability is that of its score.",
            "calibrated",
            "scaled",
        ),
        _close(
            "threshold_of_label",
            "A threshold is that of its label.",
            "threshold",
            "own_threshold",
        ),
        _equal(
            "predicted_by_rule",
            about,
            "What is predicted follows from the probabilities, by predict.rule.",
            "predicted",
            "decided",
        ),
        _equal(
            "explained_by_choice",
            about,
            "What is explained are the predicted labels of the chosen images.",
            "explained",
            "wanted",
        ),
    ]
    if parameters.explain_labels == "predicted":
        found.append(
            _among(
                "explained_was_predicted",
                about,
                "Every label that is explained was predicted.",
                "predicted_if_explained",
                [True],
            )
        )
    return found


def _of_images(description: Mapping[str, Any]) -> list[Rule]:
    about, count = "held_out", len(description["labels"])
    sums = [
        Rule(
            f"{name}_sum",
            about,
            f"The {words} of an image sum to one.",
            AGAIN,
            "ExpectColumnValuesToBeBetween",
            {
                "column": f"{name}_sum",
                "min_value": 1 - ROUNDING,
                "max_value": 1 + ROUNDING,
            },
        )
        for name, words in (
            ("probability", "probabilities"),
            ("calibrated", "calibrated probabilities"),
        )
        if description["labelling"] != Labelling.MULTILABEL
    ]
    return [
        _among("held_out", about, "Predictions are of held-out images.", "is_held_out", [True]),
        _among(
            "every_label",
            about,
            "Every held-out image has a prediction for each label.",
            "rows",
            [count],
        ),
        _among(
            "chosen_as_a_whole",
            about,
            "An image is chosen with all its labels, or with none.",
            "chosen_values",
            [1],
        ),
        *sums,
    ]


def _of_chosen(description: Mapping[str, Any]) -> list[Rule]:
    found = [
        _among(
            "chosen_listed",
            "chosen",
            "The pixels of every chosen image are there.",
            "listed",
            [True],
        ),
        _equal(
            "explained_labels",
            "chosen",
            "The labels to explain are those that the predictions say.",
            "explain",
            "wanted",
        ),
        _equal(
            "regions_drawn",
            "chosen",
            "Every chosen image has all masks of the segmenter.",
            "drawn",
            "channels",
        ),
        _among(
            "background_trained",
            "background",
            "What SHAP compares with are training images.",
            "split",
            ["train"],
        ),
    ]
    if description["mask_kind"] != "none":
        meaning = "Every chosen image has the clinician's masks that the dataset has of it."
        found.append(_equal("regions_marked", "chosen", meaning, "marked", "owned"))
    for about, images in (("chosen", "chosen"), ("background", "background")):
        found += [
            _equal(
                f"{about}_pixels",
                about,
                f"The pixels of a {images} image have the digest beside them.",
                "pixel_sha256",
                "found_sha256",
            ),
            _equal(
                f"{about}_image",
                about,
                f"The pixels of a {images} image are the dataset's.",
                "found_sha256",
                "own_sha256",
            ),
        ]
    return found


def _of_regions(bounds: ModelBounds, description: Mapping[str, Any]) -> list[Rule]:
    about = "regions"
    height, width = description["size"]
    return [
        _among("region_image", about, "A mask is of an image.", "known_image", [True]),
        _among("region_label", about, "A mask is of a drawn label.", "known_label", [True]),
        *(
            _among(
                f"region_{name}",
                about,
                f"The {name} of a mask is that of the working resolution.",
                name,
                [value],
            )
            for name, value in (("height", height), ("width", width))
        ),
        _equal(
            "region_area",
            about,
            "The area of a mask is the number of its foreground pixels.",
            "area",
            "found_area",
        ),
        _equal(
            "region_truth",
            about,
            "The clinician's mask is the dataset's.",
            "digest",
            "own_digest",
        ),
        Rule(
            "mean_probability",
            about,
            "Inside its mask the segmenter's mean probability is above one half.",
            AGAIN,
            "ExpectColumnValuesToBeBetween",
            {"column": "mean_probability", "min_value": 0.5, "max_value": 1, "strict_min": True},
        ),
        Rule(
            "drawn_empty",
            about,
            "Where the clinician marks something, the segmenter does.",
            "train the segmenter longer, or with more images (docs/tutorial.md)",
            "ExpectColumnValuesToBeBetween",
            {"column": "drawn_coverage", "min_value": 0, "strict_min": True},
            WARN,
            bounds.drawn_empty,
            f"{KEY}.drawn_empty",
        ),
        Rule(
            "drawn_full",
            about,
            "Where the clinician marks something, the segmenter does not mark all of the image.",
            "train the segmenter longer, or with more images (docs/tutorial.md)",
            "ExpectColumnValuesToBeBetween",
            {"column": "drawn_coverage", "max_value": 1, "strict_max": True},
            WARN,
            bounds.drawn_full,
            f"{KEY}.drawn_full",
        ),
    ]


def _of_models(bounds: ModelBounds) -> list[Rule]:
    return [
        _equal(
            "same_model",
            "models",
            "What is said of a model is true of it everywhere.",
            "said",
            "found",
        ),
        Rule(
            "not_below_chance",
            "labels",
            "No label's score is lower where an image has the label: labels are not exchanged.",
            "see that the classifier's labels are in the order of its outputs (model.yaml)",
            "ExpectColumnValuesToBeBetween",
            {"column": "below", "min_value": bounds.below_chance},
            parameter=f"{KEY}.below_chance",
        ),
        Rule(
            "better_than_chance",
            "chance",
            "Classifier and segmenter are better than chance on test images.",
            "an explanation of a model that knows nothing explains nothing: train it longer",
            "ExpectColumnValuesToBeBetween",
            {"column": "probability", "max_value": bounds.chance},
            WARN,
            parameter=f"{KEY}.chance",
        ),
    ]


def _of_adoption(bounds: ModelBounds) -> list[Rule]:
    about = "adoption"
    advice = "see that model.yaml says what the owner does (docs/adoption.md), or have him prove it"
    return [
        Rule(
            "adopted_with_proof",
            about,
            "An adopted classifier is proven to be its owner's, by a reference.",
            "have its owner write one: `saliency-audit reference` says how",
            "ExpectColumnValuesToBeInSet",
            {"column": "proven", "value_set": [True]},
            WARN,
        ),
        Rule(
            "adopted_scores",
            about,
            "Scores of an adopted classifier do not look like probabilities.",
            "write outputs: probabilities under adopt in model.yaml, or outputs: scores if they "
            "are scores all the same",
            "ExpectColumnValuesToBeInSet",
            {"column": "looks_like", "value_set": ["scores"]},
        ),
        Rule(
            "adopted_predicts",
            about,
            "An adopted classifier names more than one label.",
            advice,
            "ExpectColumnValuesToBeBetween",
            {"column": "predicted", "min_value": 2},
        ),
        Rule(
            "adopted_accuracy",
            about,
            "An adopted classifier is no less accurate than always naming the commonest label.",
            advice,
            "ExpectColumnValuesToBeBetween",
            {"column": "below", "min_value": bounds.commonest},
            parameter=f"{KEY}.commonest",
        ),
    ]


def _of_asking_again() -> list[Rule]:
    return [
        Rule(
            "score_again",
            "again",
            "Asked again, the classifier gives an image the same score.",
            AGAIN,
            "ExpectColumnPairValuesToBeClose",
            {"column_A": "score", "column_B": "again", "tolerance": ANOTHER_DEVICE},
        ),
        _among(
            "drawn_again",
            "drawn",
            "Asked again, the segmenter puts no pixel on the other side for certain.",
            "contradicted",
            [0],
        ),
        Rule(
            "probability_again",
            "drawn",
            "Asked again, the segmenter gives the inside of its mask the same mean probability.",
            AGAIN,
            "ExpectColumnPairValuesToBeClose",
            {
                "column_A": "mean_probability",
                "column_B": "again",
                "tolerance": ANOTHER_DEVICE,
            },
        ),
    ]
