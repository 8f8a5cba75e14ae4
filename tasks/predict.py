"""Stage ``predict``: what the classifier says of held-out images, and all that explaining needs.

Probabilities, thresholds and predicted labels of validation and test; the
pixels and masks of the images that are explained; the background images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.compute import Compute
from saliency_audit.datasets.encoding import encode_image, encode_mask, pixel_sha256
from saliency_audit.datasets.selection import choose
from saliency_audit.errors import DataError, ModelError
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.measures.mask_probability import mean_mask_probability
from saliency_audit.models.calibration import Calibration, calibrate, sigmoid
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.segmenter import Segmenter
from saliency_audit.models.thresholds import Threshold, decide, fit_thresholds
from saliency_audit.models.training import as_pixels
from saliency_audit.progress import Progress
from tasks import places
from tasks.artifacts import read_json, write_json, write_table
from tasks.audits import PredictParameters
from tasks.dataset import Data, Facts, MaskedData, open_data, open_masked, read_facts
from tasks.models import load_classifier
from tasks.segmenters import load_segmenter
from tasks.stage import Context, Stage
from tasks.tables.chosen import CHOSEN
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.regions import REGIONS

#: Splits that the classifier was not trained on.
HELD_OUT = ("tune", "calibrate", "test")
#: What `predict.splits` names, in splits of the split table.
SPLITS = {"validation": ("tune", "calibrate"), "test": ("test",)}


@dataclass(frozen=True)
class Judged:
    """The held-out images: what was measured, decided and chosen; rows align with ``indices``."""

    indices: list[int]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    thresholds: tuple[Threshold, ...] | None
    calibration: Calibration
    predicted: NDArray[np.bool_]
    explained: NDArray[np.bool_]
    chosen: NDArray[np.bool_]


@dataclass(frozen=True)
class Subject:
    """What is judged and how: a classifier on a dataset, under the audit's parameters."""

    facts: Facts
    data: Data
    classifier: Classifier
    images: int | None
    parameters: PredictParameters
    compute: Compute


def run(context: Context, audit: str) -> None:
    """Write the predictions of an audit and the folder that its explanations start from."""
    dataset = context.params.value(f"audits.{audit}.dataset")
    names = {"dataset": dataset, "classifier": context.params.value(f"audits.{audit}.classifier")}
    images = read_json(places.scope(audit) / "images.json")["images"]
    parameters = context.params.read("predict", PredictParameters)
    compute = context.params.read("compute", Compute)
    compute.start()
    facts = read_facts(dataset)
    classifier, card = load_classifier(audit)
    folder = places.predict(audit)
    with open_data(facts, classifier.labels) as data:
        subject = Subject(facts, data, classifier, images, parameters, compute)
        judged = _judge(subject, context.progress)
        with write_table(PREDICTIONS, folder / "predictions.parquet") as table:
            table.write_all(_prediction_rows(facts, data, classifier.labels, judged))
        with write_table(CHOSEN, folder / "chosen.parquet") as table:
            table.write_all(_chosen_rows(facts, data, classifier.labels, judged))
        with write_table(CHOSEN, folder / "background.parquet") as table:
            table.write_all(_background_rows(facts, data, parameters))
    _write_regions(facts, judged, compute, audit)
    segmenter = read_json(places.train_segmenter(dataset) / "model.json")
    write_json(folder / "audit.json", _describe(facts, card, names, judged, segmenter))


def _judge(subject: Subject, progress: Progress) -> Judged:
    facts, data, classifier = subject.facts, subject.data, subject.classifier
    parameters = subject.parameters
    indices = facts.of_split(*HELD_OUT)
    splits = facts.splits[indices]
    targets = data.targets[indices].astype(bool)
    scores = _scores(subject, indices, progress)
    _refuse_nan(scores, [facts.image_ids[index] for index in indices])
    calibrating = splits == "calibrate"
    calibration = calibrate(scores[calibrating], targets[calibrating], classifier.labelling)
    probabilities = _probabilities(classifier, scores, parameters)
    thresholds = _thresholds(subject, probabilities, splits, indices)
    predicted = decide(
        probabilities,
        classifier.labelling,
        parameters.rule,
        None if thresholds is None else [threshold.value for threshold in thresholds],
    )
    explained = predicted.copy()
    if parameters.explain_labels == "predicted_or_top1":
        nothing = ~predicted.any(axis=1)
        explained[nothing, scores[nothing].argmax(axis=1)] = True
    chosen = _choose(subject, indices, splits, targets)
    return Judged(
        indices,
        scores,
        probabilities,
        calibration.apply(scores),
        thresholds,
        calibration,
        predicted,
        explained & chosen[:, None],
        chosen,
    )


def _scores(subject: Subject, indices: Sequence[int], progress: Progress) -> NDArray[np.float64]:
    classifier, batch = subject.classifier, subject.compute.batch
    rows = [np.empty((0, len(classifier.labels)))]
    subject.compute.prepare(classifier)
    with torch.no_grad():
        for start in range(0, len(indices), batch):
            images = as_pixels(subject.data.images(indices[start : start + batch]))
            rows.append(subject.compute.call(classifier, images).double().cpu().numpy())
            progress(min(start + batch, len(indices)), len(indices))
    return np.concatenate(rows)


def _refuse_nan(scores: NDArray[np.float64], image_ids: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise ModelError(
            f"the classifier gives NaN or infinite scores for {len(bad)} images, the first "
            f"{image_ids[bad[0]]}: its weights are broken; train it again or adopt others"
        )


def _probabilities(
    classifier: Classifier, scores: NDArray[np.float64], parameters: PredictParameters
) -> NDArray[np.float64]:
    """Raw probabilities; of multi-class with thresholds, a sigmoid per class (Eq 2)."""
    if classifier.labelling is Labelling.MULTICLASS and parameters.rule == "thresholds":
        return sigmoid(scores)
    found: NDArray[np.float64] = classifier.probabilities(torch.from_numpy(scores)).numpy()
    return found


def _thresholds(
    subject: Subject,
    probabilities: NDArray[np.float64],
    splits: NDArray[np.str_],
    indices: Sequence[int],
) -> tuple[Threshold, ...] | None:
    """Thresholds from the tune split; None where the highest score decides."""
    multilabel = subject.classifier.labelling is Labelling.MULTILABEL
    if not multilabel and subject.parameters.rule == "argmax":
        return None
    tuning = np.flatnonzero(splits == "tune")
    rows = [indices[int(row)] for row in tuning]
    targets = subject.data.targets
    return fit_thresholds(
        probabilities[tuning],
        targets[rows].astype(bool),
        [subject.facts.group_ids[row] for row in rows],
        targets[subject.facts.of_split("train")].mean(axis=0).tolist(),
    )


def _choose(
    subject: Subject,
    indices: Sequence[int],
    splits: NDArray[np.str_],
    targets: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which held-out images are explained: in proportion to split and labels, seeded."""
    parameters, image_ids = subject.parameters, subject.facts.image_ids
    wanted = [part for name in parameters.splits for part in SPLITS[name]]
    candidates = [row for row in range(len(indices)) if splits[row] in wanted]
    if not candidates:
        raise DataError(f"no image is in the splits {', '.join(parameters.splits)}: add images")
    ids = [image_ids[indices[row]] for row in candidates]
    # Validation is one stratum per label, as its halves hold too few images for two.
    strata = [(splits[row] == "test", _first(targets[row])) for row in candidates]
    picked = set(choose(ids, strata, subject.images, parameters.seed))
    return np.array([image_ids[index] in picked for index in indices])


def _first(targets: NDArray[np.bool_]) -> int:
    """Give the first label of an image, -1 of one without."""
    return int(targets.argmax()) if targets.any() else -1


def _prediction_rows(
    facts: Facts, data: Data, labels: tuple[str, ...], judged: Judged
) -> Iterator[dict[str, Any]]:
    for row, index in enumerate(judged.indices):
        for column, label in sorted(enumerate(labels), key=lambda pair: pair[1]):
            thresholds = judged.thresholds
            yield {
                "image_id": facts.image_ids[index],
                "label": label,
                "group_id": facts.group_ids[index],
                "split": str(facts.splits[index]),
                "label_index": column,
                "score": float(judged.scores[row, column]),
                "probability": float(judged.probabilities[row, column]),
                "calibrated": float(judged.calibrated[row, column]),
                "threshold": None if thresholds is None else thresholds[column].value,
                "predicted": bool(judged.predicted[row, column]),
                "target": bool(data.targets[index, column]),
                "chosen": bool(judged.chosen[row]),
                "explained": bool(judged.explained[row, column]),
            }


def _chosen_rows(
    facts: Facts, data: Data, labels: tuple[str, ...], judged: Judged
) -> Iterator[dict[str, Any]]:
    for row in np.flatnonzero(judged.chosen):
        index = judged.indices[row]
        explain = [labels[column] for column in np.flatnonzero(judged.explained[row])]
        yield _pixels_row(facts.image_ids[index], data.images([index])[0], explain)


def _background_rows(
    facts: Facts, data: Data, parameters: PredictParameters
) -> Iterator[dict[str, Any]]:
    training = facts.of_split("train")
    numbers = {facts.image_ids[index]: index for index in training}
    strata = [_first(data.targets[index].astype(bool)) for index in training]
    for image_id in choose(list(numbers), strata, parameters.background, parameters.seed):
        yield _pixels_row(image_id, data.images([numbers[image_id]])[0], [])


def _pixels_row(image_id: str, pixels: NDArray[np.uint8], explain: list[str]) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "pixel_sha256": pixel_sha256(pixels),
        "pixels": encode_image(pixels),
        "explain": explain,
    }


def _write_regions(facts: Facts, judged: Judged, compute: Compute, audit: str) -> None:
    path = places.predict(audit) / "regions.parquet"
    if facts.mask_kind is MaskKind.NONE:
        with write_table(REGIONS, path):
            return
    chosen = [judged.indices[row] for row in np.flatnonzero(judged.chosen)]
    loaded = load_segmenter(facts.name)
    segmenter = None if loaded is None else loaded[0]
    if segmenter is not None:
        compute.prepare(segmenter)
    with open_masked(facts) as data, write_table(REGIONS, path) as table:
        for start in range(0, len(chosen), compute.batch):
            batch = chosen[start : start + compute.batch]
            table.write_all(_region_rows(facts, data, batch, segmenter, compute))


def _region_rows(
    facts: Facts,
    data: MaskedData,
    indices: Sequence[int],
    segmenter: Segmenter | None,
    compute: Compute,
) -> Iterator[dict[str, Any]]:
    """Masks of a batch of images, M where it is known to mark something, and P always."""
    truth = data.masks(indices).astype(bool)
    drawn = None
    if segmenter is not None:
        with torch.no_grad():
            drawn = compute.call(segmenter, as_pixels(data.images(indices))).cpu().numpy()
    for row, index in enumerate(indices):
        for channel, label in sorted(enumerate(facts.channels), key=lambda pair: pair[1]):
            names = {"image_id": facts.image_ids[index], "label": label}
            if drawn is not None:
                yield {**names, "origin": "predicted", **_drawn(drawn[row, channel])}
            if data.known[index, channel] and _has(facts, index, label):
                yield {**names, "origin": "truth", **_marked(truth[row, channel], None)}


def _has(facts: Facts, index: int, label: str) -> bool:
    """Whether the image has the label; the mask of every label is always its own."""
    return label not in facts.labels or bool(facts.targets[index, facts.labels.index(label)])


def _drawn(probability: NDArray[np.float32]) -> dict[str, Any]:
    mask = probability > 0.5
    return _marked(mask, mean_mask_probability(probability, mask))


def _marked(mask: NDArray[np.bool_], mean_probability: float | None) -> dict[str, Any]:
    return {
        "area": int(mask.sum()),
        "mean_probability": mean_probability,
        "mask": encode_mask(mask),
    }


def _describe(
    facts: Facts,
    card: dict[str, Any],
    names: dict[str, str],
    judged: Judged,
    segmenter: dict[str, Any],
) -> dict[str, Any]:
    labels = card["labels"]
    thresholds = judged.thresholds
    return {
        **names,
        "labels": labels,
        "labelling": facts.labelling.value,
        "mask_kind": facts.mask_kind.value,
        "size": list(facts.size),
        "model_digest": card["digest"],
        "calibration": judged.calibration.to_json(),
        "thresholds": None
        if thresholds is None
        else {
            label: asdict(threshold) for label, threshold in zip(labels, thresholds, strict=True)
        },
        "segmenter": {
            "status": segmenter["status"],
            "digest": segmenter.get("digest"),
            "quality": segmenter.get("quality", {}),
        },
        "counts": {
            "held_out": len(judged.indices),
            "chosen": int(judged.chosen.sum()),
            "explained": int(judged.explained.sum()),
            "nothing_predicted": int((~judged.predicted.any(axis=1)).sum()),
        },
    }


STAGE = Stage(
    "predict",
    ("audit",),
    ("audits.{audit}.dataset", "audits.{audit}.classifier", "predict", "compute"),
    run,
    tables={
        "data/predict/<audit>/predictions.parquet": "tasks.tables.predictions:PREDICTIONS",
        "data/predict/<audit>/chosen.parquet": "tasks.tables.chosen:CHOSEN",
        "data/predict/<audit>/background.parquet": "tasks.tables.chosen:CHOSEN",
        "data/predict/<audit>/regions.parquet": "tasks.tables.regions:REGIONS",
    },
)

if __name__ == "__main__":
    STAGE.main()
