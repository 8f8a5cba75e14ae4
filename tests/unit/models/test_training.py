"""Training of classifiers: losses against their equations; what is planted is found."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import fresh_classifier
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.specification import parse_specification
from saliency_audit.models.training import (
    TrainingParameters,
    as_pixels,
    check_targets,
    classification_loss,
    label_weights,
    train,
)
from saliency_audit.models.weights import model_digest
from saliency_audit.statistics.ranking import auroc

COMPUTE = Compute(batch=16)


@dataclass
class Patches:
    """Noise of 16 pixels square in which each label brightens a corner of its own."""

    labels: int
    labelling: Labelling
    images_count: int = 240
    seen: list = field(default_factory=list)

    def __post_init__(self):
        rng = np.random.default_rng(0)
        if self.labelling is Labelling.MULTILABEL:
            self.targets = rng.random((self.images_count, self.labels)) < 0.4
        else:
            chosen = rng.integers(0, self.labels, self.images_count)
            self.targets = np.eye(self.labels, dtype=bool)[chosen]
        self.pixels = rng.normal(100, 25, (self.images_count, 16, 16, 3))
        for label in range(self.labels):
            row, column = divmod(label, 2)
            corner = np.s_[
                self.targets[:, label], row * 8 : row * 8 + 8, column * 8 : column * 8 + 8
            ]
            self.pixels[corner] += 60
        self.pixels = self.pixels.clip(0, 255).astype(np.uint8)
        self.train, self.tune = range(160), range(160, 190)
        self.test = list(range(190, self.images_count))

    def images(self, indices):
        self.seen.append(len(indices))
        return self.pixels[list(indices)]


def classifier(labels, labelling, architecture="cnn", size=(16, 16)):
    given = parse_specification({"architecture": architecture, "train": {}}, "model.yaml")
    names = tuple("abcd"[:labels])
    return fresh_classifier(given, names, labelling, size)


CASES = [(Labelling.MULTICLASS, 4), (Labelling.MULTILABEL, 3), (Labelling.BINARY, 2)]


@pytest.mark.parametrize(("labelling", "labels"), CASES)
@pytest.mark.parametrize("class_weights", ["balanced", "none"])
def test_training_finds_what_is_planted(labelling, labels, class_weights):
    data, model = Patches(labels, labelling), classifier(labels, labelling)
    parameters = TrainingParameters(epochs=6, batch=16, class_weights=class_weights)
    history = train(model, data, parameters, COMPUTE)
    assert not model.training
    with torch.no_grad():
        found = model.probabilities(model(as_pixels(data.images(data.test)))).double().numpy()
    for label in range(labels):
        assert auroc(found[:, label], data.targets[data.test, label]) > 0.95
    assert history.epochs[history.best - 1].tune_loss < history.epochs[0].tune_loss
    assert set(data.seen[:-1]) == {16}  # every batch has one shape


def test_a_resnet_learns_with_augmentation():
    data, model = (
        Patches(2, Labelling.MULTICLASS),
        classifier(2, Labelling.MULTICLASS, "resnet18", (32, 32)),
    )
    data.pixels = data.pixels.repeat(2, axis=1).repeat(2, axis=2)
    parameters = TrainingParameters(epochs=2, batch=32, augmentation=Augmentation(rotation=5))
    before = model_digest(model.network.state_dict(), "")
    train(model, data, parameters, COMPUTE)
    assert model_digest(model.network.state_dict(), "") != before


def equation(scores, targets, weights, labelling):
    """The loss in float64, sum by sum."""
    total = 0.0
    for row, wanted in zip(scores.astype(np.float64), targets, strict=True):
        if labelling is Labelling.MULTICLASS:
            label = int(np.argmax(wanted))
            total -= weights[label] * (row[label] - np.log(np.exp(row).sum()))
            continue
        p = 1 / (1 + np.exp(-row))
        if labelling is Labelling.BINARY:
            label = int(wanted[1])
            total -= weights[label] * np.log(p[1] if label else 1 - p[1])
            continue
        for j, has in enumerate(wanted):
            total -= (weights[j] * np.log(p[j]) if has else np.log(1 - p[j])) / len(wanted)
    return total / len(scores)


@pytest.mark.parametrize(("labelling", "labels"), CASES)
def test_the_loss_is_that_of_its_equation(labelling, labels):
    data = Patches(labels, labelling)
    scores = np.random.default_rng(3).normal(0, 2, (240, labels))
    if labelling is Labelling.BINARY:
        scores[:, 0] = -scores[:, 1]
    weights = np.linspace(0.5, 2, labels)
    found = classification_loss(
        torch.from_numpy(scores),
        torch.from_numpy(data.targets.astype(np.float64)),
        labelling,
        torch.from_numpy(weights),
    )
    assert found.item() == pytest.approx(
        equation(scores, data.targets, weights, labelling), rel=1e-10
    )


def test_weights_make_labels_that_exclude_each_other_count_alike():
    targets = np.repeat(np.eye(3, dtype=np.float32), [10, 30, 60], axis=0)
    weights = label_weights(targets, ("a", "b", "c"), Labelling.MULTICLASS, TrainingParameters())
    np.testing.assert_allclose((targets @ weights.numpy()).mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(weights.numpy() * [10, 30, 60], 100 / 3, rtol=1e-6)


def test_the_weight_of_a_positive_makes_up_for_the_negatives_up_to_the_cap():
    targets = np.zeros((1000, 4), np.float32)
    for label, count in enumerate((1, 200, 500, 1000)):
        targets[:count, label] = 1
    weights = label_weights(
        targets, tuple("abcd"), Labelling.MULTILABEL, TrainingParameters(weight_cap=20)
    )
    np.testing.assert_allclose(weights, [20, 4, 1, 1 / 20], rtol=1e-6)
    plain = TrainingParameters(class_weights="none")
    assert label_weights(targets, tuple("abcd"), Labelling.MULTILABEL, plain).tolist() == [1] * 4


@pytest.mark.parametrize(("labelling", "labels"), CASES)
def test_a_label_without_an_image_in_training_is_named(labelling, labels):
    data = Patches(labels, labelling)
    data.train = [i for i in data.train if not data.targets[i, 1]]
    with pytest.raises(DataError, match="label 'b' has no image in the training split"):
        train(classifier(labels, labelling), data, TrainingParameters(), COMPUTE)


@pytest.mark.parametrize(
    ("change", "labelling", "said"),
    [
        (lambda t: t[:, :2], Labelling.MULTICLASS, r"shape \(240, 2\)"),
        (lambda t: np.where(np.arange(240)[:, None] == 7, 0.5, t), Labelling.MULTILABEL, "image 7"),
        (
            lambda t: np.where(np.arange(240)[:, None] == 7, np.nan, t),
            Labelling.MULTILABEL,
            "image 7",
        ),
        (
            lambda t: t | (np.arange(240)[:, None] == 9),
            Labelling.MULTICLASS,
            "image 9 has 3 labels",
        ),
        (
            lambda t: t & (np.arange(240)[:, None] != 9),
            Labelling.MULTICLASS,
            "image 9 has 0 labels",
        ),
    ],
)
def test_targets_of_the_wrong_form_are_named(change, labelling, said):
    data = Patches(3, Labelling.MULTICLASS)
    targets = np.asarray(change(data.targets), dtype=np.float32)
    with pytest.raises(DataError, match=said):
        check_targets(targets, ("a", "b", "c"), labelling)


def test_nan_in_the_weights_is_found_before_anything_is_learnt():
    model = classifier(2, Labelling.MULTICLASS)
    model.network.fc2.bias.data[0] = float("nan")
    with pytest.raises(ModelError, match="nan in epoch 1 at learning_rate"):
        train(model, Patches(2, Labelling.MULTICLASS), TrainingParameters(), COMPUTE)


def test_augmentation_false_and_augmentation_of_nothing_are_the_same():
    ends = []
    for augmentation in (False, Augmentation()):
        model = classifier(2, Labelling.MULTICLASS)
        parameters = TrainingParameters(epochs=1, batch=16, augmentation=augmentation)
        train(model, Patches(2, Labelling.MULTICLASS), parameters, COMPUTE)
        ends.append(model_digest(model.network.state_dict(), ""))
    assert ends[0] == ends[1]


def test_pixels_are_shares_of_255_with_channels_first():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    expected = np.moveaxis(images.astype(np.float64) / 255, 3, 1)
    found = as_pixels(images)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize(("name", "value"), [("class_weights", "some"), ("weight_cap", 0.9)])
def test_a_range_is_held(name, value):
    with pytest.raises(ParameterError, match=f"{name} is"):
        TrainingParameters(**{name: value})
