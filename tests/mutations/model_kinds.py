"""Kinds that training or ``predict`` might bring in."""

from __future__ import annotations

from typing import Any

import numpy as np

from saliency_audit.datasets.encoding import decode_image, encode_image, pixel_sha256
from tasks.artifacts import read_rows
from tasks.places import ingest
from tasks.tables.images import IMAGES

from .kind import Kind, dropped, each, exchanged, masked, need, put, twice
from .seams import Json, Judged, Pick, Row, Rows, Scores, Weights

PREDICTIONS, CHOSEN, REGIONS, BACKGROUND = "predictions", "chosen", "regions", "background"


def _predictions(change: Any) -> Rows:
    return Rows("predict", PREDICTIONS, change)


def _regions(change: Any) -> Rows:
    return Rows("predict", REGIONS, change)


def _set(name: str, value: Any) -> Any:
    def change(content: dict[str, Any], _pick: Pick) -> None:
        content[name] = value(content[name]) if callable(value) else value

    return change


def _noisy(state: dict[str, Any], pick: Pick) -> dict[str, Any]:
    """Other weights of the same network: a checkpoint of another epoch."""
    import torch

    torch.manual_seed(int(pick.rng.integers(2**31)))
    return {
        name: value * (1 + 0.05 * torch.randn_like(value)) if value.is_floating_point() else value
        for name, value in state.items()
    }


def _other_thresholds(judged: Any, pick: Pick) -> dict[str, Any]:
    del pick
    need(judged.thresholds is not None, "there are no thresholds")
    return {"predicted": judged.probabilities >= 0.9}


def _ring(scores: np.ndarray, pick: Pick) -> None:
    """Images of a batch have each other's scores."""
    some = pick(range(len(scores)))
    if len(some) == 1:
        some.append((some[0] + 5) % len(scores))
    scores[some] = scores[[*some[1:], some[0]]]


def _labels_turned(scores: np.ndarray, pick: Pick) -> None:
    some = pick(range(len(scores)))
    scores[some] = np.roll(scores[some], 1, axis=1)


def _nan(scores: np.ndarray, pick: Pick) -> None:
    scores[pick(range(len(scores))), 0] = np.nan


def _repixelled(row: Row, mate: Row) -> None:
    row.update(pixels=mate["pixels"], pixel_sha256=mate["pixel_sha256"])


def _bgr(row: Row, _mate: Row) -> None:
    pixels = np.ascontiguousarray(decode_image(row["pixels"])[..., ::-1])
    row.update(pixels=encode_image(pixels), pixel_sha256=pixel_sha256(pixels))


def _explained_by_other(row: Row, mate: Row) -> None:
    row["explain"] = [label for label in ("network", "veil") if label not in row["explain"]][:1]


def _background_of_test(rows: list[Row], pick: Pick) -> None:
    """Put images that are to be explained in place of training images."""
    from tasks.tables.chosen import CHOSEN as TABLE

    chosen = list(read_rows(_place() / "chosen.parquet", TABLE))
    for number, n in enumerate(pick(rows)):
        rows[n] = {**chosen[number % len(chosen)], "explain": []}


def _place() -> Any:
    from tasks.places import predict

    return predict("skin-tiny")


def _trained_predicted(rows: list[Row], pick: Pick) -> list[Row]:
    """Predict training images, too."""
    known = {row["image_id"] for row in rows}
    columns = ["image_id", "group_id"]
    images = [
        image
        for image in read_rows(ingest("skin") / "images.parquet", IMAGES, columns)
        if image["image_id"] not in known
    ]
    first = [row for row in rows if row["image_id"] == rows[0]["image_id"]]
    some = [images[n] for n in pick(images)]
    return [*rows, *({**row, **image, "chosen": False} for image in some for row in first)]


TRUTH = {"where": lambda row: row["origin"] == "truth"}
DRAWN = {"where": lambda row: row["origin"] == "predicted" and row["area"] > 0}

KINDS = (
    Kind(
        "classifier-digest-stale",
        "The card of the classifier has the digest of a former training.",
        Json("train_classifier", "model", _set("digest", "0" * 64)),
        whole=True,
    ),
    Kind(
        "classifier-weights-other",
        "The weights that are written are those of another epoch than the card's.",
        Weights("train_classifier", _noisy),
        whole=True,
    ),
    Kind(
        "classifier-labels-turned",
        "The card has the labels in another order than the network's outputs.",
        Json("train_classifier", "model", _set("labels", lambda own: [*own[1:], own[0]])),
        whole=True,
    ),
    Kind(
        "classifier-labels-others",
        "The card has the labels of another dataset.",
        Json("train_classifier", "model", _set("labels", lambda own: [f"{n}-2" for n in own])),
        whole=True,
    ),
    Kind(
        "segmenter-digest-stale",
        "The card of the segmenter has the digest of a former training.",
        Json("train_segmenter", "model", _set("digest", "0" * 64)),
        whole=True,
    ),
    Kind(
        "segmenter-weights-other",
        "The weights that are written are those of another epoch than the card's.",
        Weights("train_segmenter", _noisy),
        whole=True,
    ),
    Kind(
        "audit-digest-stale",
        "The predictions are said to be of a former classifier.",
        Json("predict", "audit", _set("model_digest", "0" * 64)),
        whole=True,
    ),
    Kind(
        "audit-labels-turned",
        "The predictions are described with labels in another order.",
        Json("predict", "audit", _set("labels", lambda own: [*own[1:], own[0]])),
        whole=True,
    ),
    Kind("score-nan", "The classifier gives no number for some images.", Scores(_nan)),
    Kind("scores-of-others", "Images of a batch have each other's scores.", Scores(_ring)),
    Kind(
        "scores-of-other-labels",
        "The scores of some images are in another order than the labels.",
        Scores(_labels_turned),
    ),
    Kind(
        "probability-percent",
        "Probabilities are in percent.",
        _predictions(put(probability=lambda p: 100 * p + 1)),
    ),
    Kind(
        "probability-logit",
        "Scores stand where probabilities should.",
        _predictions(each(lambda row, _: row.update(probability=row["score"]))),
    ),
    Kind(
        "probability-not-normalised",
        "The probabilities of an image do not sum to one.",
        _predictions(put(probability=lambda p: 0.9 * p)),
    ),
    Kind(
        "probability-sigmoid",
        "A sigmoid was taken where a softmax should have been.",
        _predictions(each(lambda row, _: row.update(probability=1 / (1 + np.exp(-row["score"]))))),
    ),
    Kind(
        "calibrated-above-one",
        "Calibrated probabilities are above one.",
        _predictions(put(calibrated=lambda p: p + 1.0)),
    ),
    Kind(
        "calibrated-stale",
        "Calibrated probabilities are the raw ones.",
        _predictions(each(lambda row, _: row.update(calibrated=row["probability"] * 0.999))),
    ),
    Kind(
        "score-nan-written",
        "Scores are not finite as they are written.",
        _predictions(put(score=float("nan"))),
    ),
    Kind(
        "prediction-label-index",
        "Labels have each other's place among the scores.",
        _predictions(exchanged("label_index", by="label")),
    ),
    Kind(
        "prediction-target",
        "It is wrong whether images have a label.",
        _predictions(put(target=lambda own: not own)),
    ),
    Kind(
        "prediction-group-stale",
        "Predictions name other lesions.",
        _predictions(exchanged("group_id")),
    ),
    Kind(
        "prediction-split-stale",
        "Predictions name another split.",
        _predictions(put(split=lambda own: "tune" if own == "test" else "test")),
    ),
    Kind(
        "prediction-flipped",
        "Labels are predicted that are not the likeliest, and the reverse.",
        _predictions(put(predicted=lambda own: not own)),
    ),
    Kind(
        "explained-not-predicted",
        "Labels are to be explained that were not predicted.",
        _predictions(
            each(
                lambda row, _: row.update(explained=True),
                lambda r: r["chosen"] and not r["predicted"],
            )
        ),
    ),
    Kind(
        "explained-forgotten",
        "Predicted labels of chosen images are not to be explained.",
        _predictions(
            each(lambda row, _: row.update(explained=False), lambda row: row["explained"])
        ),
    ),
    Kind(
        "chosen-in-part",
        "Images are chosen for some of their labels.",
        _predictions(put(chosen=lambda own: not own)),
    ),
    Kind("predictions-lost", "Predictions are missing.", _predictions(dropped())),
    Kind("predictions-twice", "Predictions stand there twice.", _predictions(twice())),
    Kind(
        "predictions-of-training",
        "Training images are among the held-out ones.",
        _predictions(_trained_predicted),
    ),
    Kind(
        "threshold-other",
        "Thresholds are not those that were set.",
        _predictions(put(threshold=lambda own: own + 0.01)),
        "chest",
    ),
    Kind(
        "thresholds-not-used",
        "Labels are predicted by another threshold than the one written down.",
        Judged(_other_thresholds),
        "chest",
        whole=True,
    ),
    Kind(
        "chosen-pixels-exchanged",
        "The pixels to explain are those of another image, digest and all.",
        Rows("predict", CHOSEN, each(_repixelled)),
    ),
    Kind(
        "chosen-digest-stale",
        "The digest of the pixels to explain is that of another image.",
        Rows("predict", CHOSEN, exchanged("pixel_sha256")),
    ),
    Kind(
        "chosen-channels-exchanged",
        "The pixels to explain have red and blue exchanged, with a digest of that.",
        Rows("predict", CHOSEN, each(_bgr)),
    ),
    Kind(
        "chosen-labels-of-others",
        "The labels to explain are those of another image.",
        Rows("predict", CHOSEN, each(_explained_by_other)),
    ),
    Kind("chosen-lost", "Chosen images are missing.", Rows("predict", CHOSEN, dropped())),
    Kind(
        "background-of-test",
        "Images to explain are among those that SHAP compares with.",
        Rows("predict", BACKGROUND, _background_of_test),
    ),
    Kind(
        "background-pixels",
        "The pixels that SHAP compares with are those of another image.",
        Rows("predict", BACKGROUND, exchanged("pixels")),
    ),
    Kind(
        "drawn-inverted",
        "The segmenter's masks are inverted.",
        _regions(masked(lambda mask: ~mask, **DRAWN)),
    ),
    Kind(
        "drawn-of-others",
        "The segmenter's masks are those of another image.",
        _regions(exchanged("mask", "area", "mean_probability", **DRAWN)),
    ),
    Kind(
        "drawn-mirrored",
        "The segmenter's masks are mirrored.",
        _regions(masked(lambda mask: mask[:, ::-1], **DRAWN)),
    ),
    Kind(
        "drawn-area-stale",
        "The area of masks is that of another mask.",
        _regions(exchanged("area")),
    ),
    Kind(
        "truth-of-others",
        "The clinician's masks are those of another image.",
        _regions(exchanged("mask", "area", **TRUTH)),
    ),
    Kind(
        "truth-moved",
        "The clinician's masks lie a few pixels off.",
        _regions(masked(lambda mask: np.roll(mask, 3, axis=1), **TRUTH)),
    ),
    Kind("regions-lost", "Masks of chosen images are missing.", _regions(dropped())),
    Kind(
        "regions-exchanged",
        "The clinician's mask stands for the segmenter's.",
        _regions(put(origin=lambda own: "truth" if own == "predicted" else "predicted")),
    ),
    Kind(
        "region-probability-percent",
        "The segmenter's mean probability is in percent.",
        _regions(put(mean_probability=lambda p: 100 * p)),
    ),
    Kind(
        "region-probability-of-all",
        "The segmenter's mean probability is that of the whole image.",
        _regions(put(mean_probability=lambda p: 0.2 * p)),
    ),
)
