"""Quality of predicted labels against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from saliency_audit.errors import DataError
from saliency_audit.statistics.classification import (
    confusion_matrix,
    exact_match,
    label_qualities,
    label_quality,
)

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([0.0, 0.2, 0.6, 1.0]))
def test_label_quality_is_scikit_learns(seed, rows, share):
    generator = np.random.default_rng(seed)
    target = generator.random(rows) < share
    probability = np.round(generator.random(rows), 1)
    predicted = probability > 0.5
    quality = label_quality("nv", target, predicted, probability)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        target, predicted, average="binary", pos_label=True, zero_division=np.nan
    )
    support, positive = int(target.sum()), int(predicted.sum())
    assert (quality.support, quality.predicted) == (support, positive)
    assert quality.precision == (pytest.approx(precision) if positive else None)
    assert quality.recall == (pytest.approx(recall) if support else None)
    assert quality.f1 == (pytest.approx(f1) if support + positive else None)
    if 0 < support < rows:
        assert quality.auroc == pytest.approx(metrics.roc_auc_score(target, probability))
    else:
        assert quality.auroc is None
    assert (quality.average_precision is None) == (support == 0)


def test_each_column_is_its_label():
    target = np.array([[True, False], [True, True]])
    predicted = np.array([[True, True], [False, True]])
    first, second = label_qualities(["mass", "nodule"], target, predicted, predicted / 1.0)
    assert (first.label, first.precision, first.recall) == ("mass", 1.0, 0.5)
    assert (second.label, second.precision, second.recall) == ("nodule", 0.5, 1.0)
    with pytest.raises(DataError, match="images by labels"):
        label_qualities(["mass"], target, predicted, predicted / 1.0)


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_confusion_matrix_is_scikit_learns(pairs):
    target, predicted = np.array(pairs).T
    expected = metrics.confusion_matrix(target, predicted, labels=range(4))
    assert (confusion_matrix(target, predicted, 4) == expected).all()


def test_a_label_out_of_range_is_named():
    with pytest.raises(DataError, match="predicted is 4 in row 1"):
        confusion_matrix(np.array([0, 1]), np.array([0, 4]), 4)
    with pytest.raises(DataError, match="target is -1 in row 0"):
        confusion_matrix(np.array([-1, 1]), np.array([0, 0]), 4)
    with pytest.raises(DataError, match="predicted has shape"):
        confusion_matrix(np.array([0, 1]), np.array([0]), 4)


@SETTINGS
@given(st.integers(0, 1000), st.integers(1, 20))
def test_exact_match_is_scikit_learns_subset_accuracy(seed, rows):
    generator = np.random.default_rng(seed)
    target = generator.random((rows, 3)) < 0.5
    predicted = target ^ (generator.random((rows, 3)) < 0.2)
    assert exact_match(target, predicted) == pytest.approx(
        metrics.accuracy_score(target, predicted)
    )


def test_no_images_match_nothing():
    assert exact_match(np.zeros((0, 3), np.bool_), np.zeros((0, 3), np.bool_)) is None
    with pytest.raises(DataError, match="images, labels"):
        exact_match(np.zeros((2, 3), np.bool_), np.zeros((2, 2), np.bool_))
