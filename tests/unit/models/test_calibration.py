"""Calibration against scikit-learn, scipy and what a likelihood must do."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax
from scipy.special import softmax as scipy_softmax
from sklearn.linear_model import LogisticRegression

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.models.calibration import SMALLEST_SLOPE, Calibration, calibrate, sigmoid


def drawn_multiclass(seed, images=200, labels=4, temperature=2.0):
    """Scores whose right temperature is known: labels are drawn from softmax(scores / T)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (images, labels))
    shares = scipy_softmax(scores / temperature, axis=1)
    chosen = [rng.choice(labels, p=row) for row in shares]
    return scores, np.eye(labels, dtype=bool)[chosen]


def drawn_binary(seed, images=200, slope=0.5, intercept=-1.0):
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 2, images)
    return score, rng.random(images) < expit(slope * score + intercept)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("seed", range(3))
def test_the_temperature_is_the_most_likely_one(seed, scale):
    scores, targets = drawn_multiclass(seed)

    def loss(slope):
        return -log_softmax(slope * scores, axis=1)[targets].mean()

    best = minimize_scalar(loss, bounds=(1e-3, 20), method="bounded", options={"xatol": 1e-10}).x
    found = calibrate(scores * scale, targets, Labelling.MULTICLASS)
    if best / scale > SMALLEST_SLOPE:
        assert found.status == ("ok",)
        assert found.slope[0] * scale == pytest.approx(best, rel=1e-6)


def test_a_planted_temperature_is_found():
    scores, targets = drawn_multiclass(0, images=20_000, temperature=2.5)
    assert 1 / calibrate(scores, targets, Labelling.MULTICLASS).slope[0] == pytest.approx(
        2.5, rel=0.05
    )


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("seed", range(3))
def test_platt_scaling_is_the_unpenalised_logistic_regression(seed, scale):
    score, target = drawn_binary(seed)
    oracle = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(score[:, None], target)
    scores = np.stack([-score, score], axis=1) * scale
    found = calibrate(scores, np.stack([~target, target], axis=1), Labelling.BINARY)
    slope, intercept = float(oracle.coef_[0, 0]), float(oracle.intercept_[0])
    if slope / scale < SMALLEST_SLOPE:
        assert found.status == ("uninformative",)
        return
    assert found.status == ("ok",)
    assert found.slope[0] * scale == pytest.approx(slope, rel=1e-4)
    assert found.intercept[0] == pytest.approx(intercept, rel=1e-4, abs=1e-5)


def test_labels_of_multilabel_are_fitted_each_on_its_own():
    columns = [drawn_binary(seed) for seed in range(3)]
    scores = np.stack([score for score, _ in columns], axis=1)
    targets = np.stack([target for _, target in columns], axis=1)
    every = calibrate(scores, targets, Labelling.MULTILABEL)
    for j in range(3):
        alone = calibrate(scores[:, [j]], targets[:, [j]], Labelling.MULTILABEL)
        assert (every.slope[j], every.intercept[j]) == (alone.slope[0], alone.intercept[0])


@given(st.integers(0, 10_000))
def test_calibrating_never_lowers_the_likelihood_nor_turns_scores_around(seed):
    rng = np.random.default_rng(seed)
    images = int(rng.integers(5, 60))
    score = rng.normal(0, rng.uniform(0.5, 5), images).round(1)
    target = rng.random(images) < expit(rng.normal(0, 1) * score + rng.normal())
    found = calibrate(score[:, None], target[:, None], Labelling.MULTILABEL)
    probability = found.apply(score[:, None])[:, 0]
    assert np.isfinite(probability).all() and (probability >= 0).all() and (probability <= 1).all()
    order = np.argsort(score, kind="stable")
    assert (np.diff(probability[order]) >= 0).all()
    if found.status == ("ok",):

        def loss(p):
            return -np.log(np.where(target, p, 1 - p)).mean()

        assert loss(probability) <= loss(expit(score)) + 1e-12
        # The maximum of the likelihood reproduces the mean.
        assert probability.mean() == pytest.approx(target.mean(), abs=1e-8)


def test_separable_scores_are_held_to_targets_drawn_in_by_one_image():
    score = np.array([-3.0, -2.0, -1.0, 1.0, 2.0])
    target = score > 0
    soft = np.where(target, 3 / 4, 1 / 5)

    def loss(point):
        values = point[0] * score + point[1]
        return (soft * np.logaddexp(0, -values) + (1 - soft) * np.logaddexp(0, values)).mean()

    best = minimize(loss, [0.0, 0.0], tol=1e-14).x
    found = calibrate(score[:, None], target[:, None], Labelling.MULTILABEL)
    assert found.status == ("separable",)
    assert [found.slope[0], found.intercept[0]] == pytest.approx(best.tolist(), abs=1e-5)


def test_scores_that_are_always_right_are_held_likewise():
    scores = np.array([[4.0, 0.0, 0.0], [0.0, 5.0, 1.0], [0.0, 1.0, 3.0]])
    targets = np.eye(3, dtype=bool)
    soft = np.where(targets, 4 / 5, 1 / 10)
    best = minimize_scalar(
        lambda slope: -(soft * log_softmax(slope * scores, axis=1)).sum() / 3,
        bounds=(0, 20),
        method="bounded",
        options={"xatol": 1e-12},
    ).x
    found = calibrate(scores, targets, Labelling.MULTICLASS)
    assert found.status == ("separable",)
    assert found.slope[0] == pytest.approx(best, rel=1e-6)


def test_scores_that_say_the_opposite_are_held_flat_and_in_order():
    score = np.array([-2.0, -1.0, 0.5, 1.0, 2.0, 3.0])
    for target in (score < 0, np.array([True, True, False, True, False, False])):
        found = calibrate(score[:, None], target[:, None], Labelling.MULTILABEL)
        assert found.status == ("uninformative",)
        probability = found.apply(score[:, None])[:, 0]
        assert (np.diff(probability) > 0).all()
        assert probability.mean() == pytest.approx(target.mean(), abs=1e-8)
    wrong = np.array([[2.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    truth = np.array([[False, True], [True, False], [False, True]])
    assert calibrate(wrong, truth, Labelling.MULTICLASS).status == ("uninformative",)


@pytest.mark.parametrize(
    ("scores", "targets", "status"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2), bool), "no_images"),
        (np.array([[1.0, 0.0]] * 3), np.array([[True, False]] * 3), "one_class"),
        (np.ones((4, 2)), np.eye(2, dtype=bool)[[0, 1, 0, 1]], "constant_scores"),
    ],
)
@pytest.mark.parametrize("labelling", list(Labelling))
def test_what_cannot_be_fitted_keeps_the_raw_probability(scores, targets, status, labelling):
    found = calibrate(scores, targets, labelling)
    assert set(found.status) == {status}
    assert set(found.slope) == {1.0} and set(found.intercept) == {0.0}


@pytest.mark.parametrize("labelling", list(Labelling))
def test_json_brings_back_the_same_calibration(labelling):
    scores, targets = drawn_multiclass(5, labels=2)
    found = calibrate(scores, targets, labelling)
    read = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    assert read == found
    np.testing.assert_array_equal(read.apply(scores), found.apply(scores))


def test_binary_probabilities_are_complements():
    score, target = drawn_binary(0)
    scores = np.stack([-score, score], axis=1)
    applied = calibrate(scores, np.stack([~target, target], axis=1), Labelling.BINARY).apply(scores)
    np.testing.assert_array_equal(applied.sum(axis=1), 1)


def test_the_sigmoid_neither_overflows_nor_loses_digits():
    values = np.array([-800.0, -40.0, -1e-9, 0.0, 3.0, 800.0])
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_allclose(sigmoid(values), expit(values), rtol=1e-14, atol=0)


def test_bad_arrays_are_refused():
    good, targets = np.zeros((3, 2)), np.zeros((3, 2), bool)
    with pytest.raises(DataError, match="image 1 has scores"):
        calibrate(np.array([[0.0, 0.0], [np.inf, 0.0]]), targets[:2], Labelling.MULTICLASS)
    with pytest.raises(DataError, match="shape"):
        calibrate(good, targets[:, :1], Labelling.MULTICLASS)
    with pytest.raises(DataError, match="shape"):
        calibrate(good[0], targets[0], Labelling.MULTILABEL)
    fitted = calibrate(good, targets, Labelling.MULTILABEL)
    with pytest.raises(DataError, match="scores of 3 labels"):
        fitted.apply(np.zeros((1, 3)))
    with pytest.raises(DataError, match="no calibration"):
        Calibration.from_json({"slope": [1.0]})
