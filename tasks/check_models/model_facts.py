"""Facts of the models: who they are, and whether they beat chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from saliency_audit.models.card import classifier_digest
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.segmenter import Segmenter
from saliency_audit.models.weights import model_digest
from saliency_audit.statistics.ranking import auroc
from tasks import places
from tasks.artifacts import read_json
from tasks.gates.rule import Facts

#: Fewest patients or lesions that a test against chance is made of.
FEWEST = 6


def identity_facts(
    dataset: str,
    description: Mapping[str, Any],
    classifier: Classifier,
    card: Mapping[str, Any],
    segmenter: Segmenter | None,
) -> Facts:
    """Give what is said of the models in one place, beside what another says, or its weights do.

    ``card``: the classifier's model.json; ``segmenter``: None of a dataset without masks.
    """
    drawing = read_json(places.train_segmenter(dataset) / "model.json")
    source = read_json(places.ingest(dataset) / "description.json")
    rows = [
        (
            "classifier's digest in model.json, and that of its weights",
            card["digest"],
            classifier_digest(classifier, card["architecture"]),
        ),
        (
            "classifier's digest in audit.json and in model.json",
            description["model_digest"],
            card["digest"],
        ),
        ("labels in audit.json and in model.json", description["labels"], card["labels"]),
        ("labels of classifier and dataset", sorted(card["labels"]), sorted(source["labels"])),
        ("labelling of classifier and dataset", card["labelling"], source["labelling"]),
        ("image size of classifier and dataset", card["image_size"], source["size"]),
        (
            "segmenter's digest in audit.json and in model.json",
            description["segmenter"]["digest"],
            drawing.get("digest"),
        ),
    ]
    if segmenter is not None:
        found = model_digest(segmenter.network.state_dict(), drawing["parameters"]["encoder"])
        what = "segmenter's digest in model.json, and that of its weights"
        rows.append((what, drawing["digest"], found))
    return Facts(
        "models",
        ("what",),
        {
            "what": [what for what, _, _ in rows],
            "said": [str(said) for _, said, _ in rows],
            "found": [str(found) for _, _, found in rows],
        },
    )


def label_facts(predictions: Facts) -> Facts:
    """Give per label how well scores of test images tell those that have it from those that do not.

    ``above`` and ``below``: probability that chance alone gives an AUROC as high, or as low
    (Mann-Whitney U), None of too few; one image per patient or lesion and label counts.
    """
    rows = predictions.columns
    scores: dict[str, list[tuple[float, bool]]] = {}
    seen: set[tuple[str, str]] = set()
    for label, group, split, score, target in zip(
        *(rows[name] for name in ("label", "group_id", "split", "score", "target")), strict=True
    ):
        own = scores.setdefault(label, [])
        if split == "test" and (group, label) not in seen:
            seen.add((group, label))
            own.append((score, target))
    found = [_told(own) for own in scores.values()]
    return Facts(
        "labels",
        ("label",),
        {
            "label": list(scores),
            **{name: [row[name] for row in found] for name in ("auroc", "above", "below")},
        },
    )


def _told(rows: Sequence[tuple[float, bool]]) -> dict[str, float | None]:
    from scipy.stats import mannwhitneyu

    values = np.array([score for score, _ in rows], np.float64)
    having = np.array([target for _, target in rows], bool)
    if not having.any() or having.all() or len(rows) < FEWEST:
        return {"auroc": None, "above": None, "below": None}
    sides = [
        float(mannwhitneyu(values[having], values[~having], alternative=side).pvalue)
        for side in ("greater", "less")
    ]
    return {"auroc": auroc(values, having), "above": sides[0], "below": sides[1]}


def chance_facts(labels: Facts, overlaps: Sequence[float]) -> Facts:
    """Give for each model the probability that it is no better than chance, None where unknown.

    The classifier's is that of its best label, times their number (Bonferroni); the segmenter's is
    that of Wilcoxon's signed-rank test of how far Dice is above chance.
    """
    above = [value for value in labels.columns["above"] if value is not None]
    classifier = min(1.0, min(above) * len(above)) if above else None
    return Facts(
        "chance",
        ("model",),
        {"model": ["classifier", "segmenter"], "probability": [classifier, _wilcoxon(overlaps)]},
    )


def _wilcoxon(differences: Sequence[float]) -> float | None:
    from scipy.stats import wilcoxon

    values = np.array(differences, np.float64)
    if len(values) < FEWEST:
        return None
    if not values.any():
        return 1.0
    return float(wilcoxon(values, alternative="greater").pvalue)
