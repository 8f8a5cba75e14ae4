"""Joining scores: scikit-learn's solution, and a second score that helps where it should."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.statistics.combination import fit_combination
from saliency_audit.statistics.ranking import auroc


def rows(seed=0, count=600, second=1.0):
    generator = np.random.default_rng(seed)
    correct = generator.random(count) < 0.7
    scores = generator.normal(size=(count, 2))
    scores[:, 0] += correct
    scores[:, 1] = 100 + 30 * (scores[:, 1] + second * correct)
    return scores, correct


@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_it_is_the_minimum_that_scikit_learn_finds(ridge):
    scores, correct = rows()
    fitted = fit_combination(scores, correct, ridge)
    standard = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    oracle = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=1000).fit(standard, correct)
    assert fitted.weights == pytest.approx(oracle.coef_[0], abs=1e-5)
    assert fitted.intercept == pytest.approx(oracle.intercept_[0], abs=1e-5)
    assert fitted.score(scores) == pytest.approx(oracle.decision_function(standard), abs=1e-4)


def test_a_second_informative_score_orders_unseen_rows_better():
    fitted = fit_combination(*rows(seed=1))
    scores, correct = rows(seed=2, count=4000)
    alone = auroc(scores[:, 0], correct)
    # Two equal independent shifts of 1 add up to one of √2: AUROC Φ(1) = 0.841 against 0.760.
    assert alone == pytest.approx(0.760, abs=0.03)
    assert auroc(fitted.score(scores), correct) == pytest.approx(0.841, abs=0.03)


def test_a_constant_or_blind_score_adds_nothing():
    scores, correct = rows(second=0.0)
    scores[:, 1] = 0.5
    fitted = fit_combination(scores, correct)
    assert fitted.weights[1] == 0
    assert auroc(fitted.score(scores), correct) == auroc(scores[:, 0], correct)


@pytest.mark.parametrize("ridge", [1e-6, 1e-3, 1.0])
def test_separable_rows_have_the_finite_minimum(ridge):
    scores, correct = np.append(np.linspace(0, 0.4, 50), [0.9]), np.arange(51) == 50
    fitted = fit_combination(scores[:, np.newaxis], correct, ridge)
    standard = (scores - scores.mean()) / scores.std()
    likely = 1 / (1 + np.exp(-(fitted.intercept + fitted.weights[0] * standard)))
    # At the minimum the derivatives by intercept and weight are 0.
    assert np.sum(likely - correct) == pytest.approx(0, abs=1e-8)
    by_weight = np.sum((likely - correct) * standard) + ridge * fitted.weights[0]
    assert by_weight == pytest.approx(0, abs=1e-8)


def test_one_sided_and_bad_input():
    scores, correct = rows(count=10)
    assert fit_combination(scores, np.ones(10, np.bool_)) is None
    assert fit_combination(scores, np.zeros(10, np.bool_)) is None
    with pytest.raises(DataError, match="NaN"):
        fit_combination(np.full((10, 2), np.nan), correct)
    with pytest.raises(DataError, match="shape"):
        fit_combination(scores[:, 0], correct)
    with pytest.raises(DataError, match="shape"):
        fit_combination(*rows()).score(scores[:, :1])
    with pytest.raises(ParameterError, match="ridge"):
        fit_combination(scores, correct, 0)
