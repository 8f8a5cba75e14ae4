"""Calibration figures against scikit-learn, a slow loop and a calibrated source."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.statistics.probabilities import (
    brier_score,
    brier_score_multiclass,
    expected_calibration_error,
    log_loss,
    log_loss_multiclass,
    reliability,
)

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def columns(draw):
    rows = draw(st.integers(1, 40))
    values = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0])
    probability = draw(st.lists(values, min_size=rows, max_size=rows))
    occurred = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    return np.array(probability), np.array(occurred)


@SETTINGS
@given(columns(), st.integers(1, 15))
def test_bins_and_error_row_by_row(pair, bins):
    probability, occurred = pair
    groups = [[] for _ in range(bins)]
    for p, y in zip(probability.tolist(), occurred.tolist(), strict=True):
        inside = [b for b in range(bins) if b / bins < p <= (b + 1) / bins]
        groups[inside[0] if inside else 0].append((p, y))
    found = reliability(probability, occurred, bins)
    assert [group.count for group in found] == [len(group) for group in groups]
    error = 0.0
    for group, expected in zip(found, groups, strict=True):
        if not expected:
            assert group.mean_probability is None
            assert group.frequency is None
            continue
        mean, frequency = np.mean(expected, axis=0)
        assert group.mean_probability == pytest.approx(mean)
        assert group.frequency == pytest.approx(frequency)
        error += len(expected) / len(probability) * abs(mean - frequency)
    ece = expected_calibration_error(probability, occurred, bins)
    assert ece == pytest.approx(error, abs=1e-12)


def test_a_calibrated_source_has_little_error_and_an_overconfident_one_its_gap():
    generator = np.random.default_rng(0)
    probability = generator.random(20_000)
    occurred = generator.random(20_000) < probability
    assert expected_calibration_error(probability, occurred) < 0.02
    sure = np.full(20_000, 0.9)
    half = generator.random(20_000) < 0.5
    assert expected_calibration_error(sure, half) == pytest.approx(0.4, abs=0.02)


@SETTINGS
@given(columns())
def test_brier_and_log_loss_are_scikit_learns(pair):
    probability, occurred = pair
    expected = metrics.brier_score_loss(occurred, probability, labels=[False, True])
    assert brier_score(probability, occurred) == pytest.approx(expected)
    expected = metrics.log_loss(occurred, probability, labels=[False, True])
    assert log_loss(probability, occurred) == pytest.approx(expected)


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 20))
def test_multiclass_scores_are_scikit_learns(seed, rows):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(3, 0.3), rows)
    target = generator.integers(0, 3, rows)
    expected = metrics.log_loss(target, probabilities, labels=[0, 1, 2])
    assert log_loss_multiclass(probabilities, target) == pytest.approx(expected)
    expected = metrics.brier_score_loss(
        target, probabilities, labels=[0, 1, 2], scale_by_half=False
    )
    assert brier_score_multiclass(probabilities, target) == pytest.approx(expected)


def test_no_rows_have_no_figures():
    nothing, flags = np.zeros(0), np.zeros(0, np.bool_)
    assert expected_calibration_error(nothing, flags) is None
    assert brier_score(nothing, flags) is None
    assert log_loss(nothing, flags) is None
    assert brier_score_multiclass(np.zeros((0, 3)), np.zeros(0, np.int64)) is None
    assert log_loss_multiclass(np.zeros((0, 3)), np.zeros(0, np.int64)) is None


def test_a_sure_mistake_costs_much_and_not_infinitely():
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(52 * np.log(2))
    assert log_loss_multiclass(np.array([[0.0, 1.0]]), np.array([0])) == pytest.approx(
        52 * np.log(2)
    )


def test_bad_columns_are_named():
    yes = np.array([True, False])
    for measure in (reliability, expected_calibration_error, brier_score, log_loss):
        with pytest.raises(DataError, match=r"outside \[0, 1\] in 1 rows, the first row 1"):
            measure(np.array([0.5, 1.2]), yes)
        with pytest.raises(DataError, match="NaN"):
            measure(np.array([np.nan, 0.2]), yes)
        with pytest.raises(DataError, match="a value per row"):
            measure(np.array([0.5]), yes)
    with pytest.raises(ParameterError, match="bins"):
        reliability(np.array([0.5, 0.2]), yes, 0)
    for measure in (brier_score_multiclass, log_loss_multiclass):
        with pytest.raises(DataError, match="target is 2 in row 1"):
            measure(np.full((2, 2), 0.5), np.array([0, 2]))
        with pytest.raises(DataError, match="images, labels"):
            measure(np.full((2, 2), 0.5), np.array([0]))
