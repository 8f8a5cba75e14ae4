"""model.json: counts, cost and quality against plain recounts and scikit-learn."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.card import (
    classifier_card,
    classifier_digest,
    multiply_adds,
    quality,
    training_summary,
)
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.fitting import Epoch, History

LABELS = ("a", "b", "c")


def classifier(**options):
    return Classifier(build("cnn", 3, (20, 16)), LABELS, Labelling.MULTICLASS, **options)


def some_rows(multilabel=False):
    rng = np.random.default_rng(0)
    values = rng.dirichlet([1, 1, 1], 50)
    if multilabel:
        return rng.random((50, 3)).round(1), rng.random((50, 3)) < 0.4
    return values, np.eye(3, dtype=bool)[rng.integers(0, 3, 50)]


def test_the_card_says_what_the_model_is_saw_and_costs():
    values, targets = some_rows()
    history = History((Epoch(1, 2.0, 1.5), Epoch(2, 1.0, 1.25), Epoch(3, 0.5, 1.75)), 2)
    card = classifier_card(
        classifier(),
        "cnn",
        (20, 16),
        "trained",
        targets={"train": targets[:30], "tune": targets[30:40], "test": targets[40:]},
        probabilities={"tune": values[30:40], "test": values[40:]},
        history=history,
        description="a test",
    )
    assert json.loads(json.dumps(card)) == card
    assert card["images"] == {"train": 30, "tune": 10, "test": 10}
    for split, rows in {"train": targets[:30], "test": targets[40:]}.items():
        assert card["images_per_label"][split] == {
            label: sum(row[j] for row in rows.tolist()) for j, label in enumerate(LABELS)
        }
    assert card["image_size"] == card["input_size"] == [20, 16]
    parameters = 3 * 9 * 16 + 16 + 32 + 16 * 9 * 32 + 32 + 64 + 32 * 5 * 4 * 256 + 256 + 256 * 3 + 3
    assert card["parameters"] == parameters
    convolutions = 20 * 16 * 16 * 27 + 10 * 8 * 32 * 144
    assert card["inference"]["multiply_adds"] == convolutions + 640 * 256 + 256 * 3
    assert card["training"] == {"epochs": 3, "best_epoch": 2, "train_loss": 1.0, "tune_loss": 1.25}
    assert card["origin"] == "trained" and set(card["quality"]) == {"tune", "test"}


def test_nothing_in_the_card_depends_on_when_or_where():
    values, targets = some_rows()
    cards = [
        classifier_card(
            classifier(),
            "cnn",
            (20, 16),
            "adopted",
            targets={"test": targets},
            probabilities={"test": values},
        )
        for _ in range(2)
    ]
    assert cards[0] == cards[1]
    assert cards[0]["training"] is None
    assert "second" not in json.dumps(cards[0])


@pytest.mark.parametrize("multilabel", [False, True])
def test_quality_is_that_of_scikit_learn(multilabel):
    values, targets = some_rows(multilabel)
    labelling = Labelling.MULTILABEL if multilabel else Labelling.MULTICLASS
    found = quality(values, targets, LABELS, labelling)
    areas = [roc_auc_score(targets[:, j], values[:, j]) for j in range(3)]
    assert list(found["auroc"].values()) == pytest.approx(areas, abs=1e-12)
    assert found["macro_auroc"] == pytest.approx(np.mean(areas), abs=1e-12)
    if multilabel:
        pairs = zip(targets.T, values.T, strict=True)
        assert found["log_loss"] == pytest.approx(
            np.mean([log_loss(t, v, labels=[False, True]) for t, v in pairs]), rel=1e-9
        )
        assert found["accuracy"] is None
    else:
        assert found["log_loss"] == pytest.approx(log_loss(targets, values), rel=1e-9)
        assert found["accuracy"] == (values.argmax(1) == targets.argmax(1)).mean()


def test_a_label_of_one_kind_alone_has_no_auroc_and_stays_out_of_the_mean():
    values, targets = some_rows(multilabel=True)
    targets[:, 1] = False
    found = quality(values, targets, LABELS, Labelling.MULTILABEL)
    assert found["auroc"]["b"] is None
    assert found["macro_auroc"] == pytest.approx((found["auroc"]["a"] + found["auroc"]["c"]) / 2)


@pytest.mark.parametrize("labelling", [Labelling.MULTICLASS, Labelling.MULTILABEL])
def test_a_split_without_images_has_no_quality(labelling):
    found = quality(np.zeros((0, 3)), np.zeros((0, 3), bool), LABELS, labelling)
    assert found["macro_auroc"] is found["log_loss"] is found["accuracy"] is None
    with pytest.raises(DataError, match="shape"):
        quality(np.zeros((2, 3)), np.zeros((2, 2), bool), LABELS, labelling)


def test_the_digest_changes_with_all_that_decides_the_scores():
    networks = [
        classifier(),
        classifier(input_size=(20, 16)),
        classifier(mean=(0.4, 0.5, 0.5)),
        classifier(std=(0.2, 0.25, 0.25)),
    ]
    digests = {classifier_digest(model, "cnn") for model in networks}
    digests.add(classifier_digest(classifier(), "cnn2"))
    other = classifier()
    other.network.fc2.bias.data[0] += 1
    assert len(digests | {classifier_digest(other, "cnn")}) == 6
    assert classifier_digest(classifier(), "cnn") in digests


def test_counting_leaves_a_model_as_it_was():
    model = classifier().train()
    before = classifier_digest(model, "cnn")
    multiply_adds(model, (20, 16))
    assert model.training and classifier_digest(model, "cnn") == before
    assert multiply_adds(torch.nn.Linear(16, 2), (20, 16)) == 3 * 20 * 16 * 2


def test_a_summary_is_of_the_epoch_that_was_kept():
    history = History((Epoch(1, 2.0, 1.0), Epoch(2, 1.0, 3.0)), 1)
    assert training_summary(history)["tune_loss"] == 1.0
