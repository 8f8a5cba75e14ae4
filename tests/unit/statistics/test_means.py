"""Means say how many values they stand on."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_audit.errors import DataError
from saliency_audit.measures.status import COUNTED_AS_ZERO
from saliency_audit.statistics.means import (
    Mean,
    macro_mean,
    mean_with_zeros,
    mean_without_nulls,
    means_by_label,
)

VALUES = st.lists(st.none() | st.floats(0, 1) | st.just(math.nan), max_size=20)


def exact(values):
    return float(sum(map(Fraction, values)) / len(values)) if values else None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(VALUES)
def test_nulls_are_left_out_and_the_order_does_not_matter(values):
    present = [v for v in values if v is not None and not math.isnan(v)]
    mean = mean_without_nulls(values)
    assert mean.n == len(present)
    assert mean.mean == (pytest.approx(exact(present), abs=1e-15) if present else None)
    assert mean_without_nulls(values[::-1]) == mean


def test_zero_and_constant_maps_count_as_zero_where_that_is_asked():
    values = [0.6, None, None, None, math.nan, 0.3]
    statuses = ["ok", "zero_map", "constant_map", "label_absent", "nan_map", "sparse_map"]
    assert mean_without_nulls(values).n == 2
    with_zeros = mean_with_zeros(values, statuses, COUNTED_AS_ZERO)
    assert with_zeros.n == 4
    assert with_zeros.mean == pytest.approx(0.9 / 4)


def test_a_value_is_kept_whatever_its_status():
    assert mean_with_zeros([0.5], ["zero_map"], COUNTED_AS_ZERO) == Mean(0.5, 1)


def test_every_label_weighs_the_same():
    values = [1.0, 0.0, 0.0, 0.0, None]
    labels = ["mel", "nv", "nv", "nv", "df"]
    assert macro_mean(values, labels) == Mean(0.5, 2)
    assert list(means_by_label(values, labels)) == ["df", "mel", "nv"]
    assert means_by_label(values, labels)["df"] == Mean(None, 0)


def test_nothing_has_no_mean():
    assert mean_without_nulls([]) == Mean(None, 0)
    assert macro_mean([], []) == Mean(None, 0)


def test_columns_of_different_length_are_refused():
    with pytest.raises(DataError, match="2 values and 1 statuses"):
        mean_with_zeros([0.5, 0.1], ["ok"], COUNTED_AS_ZERO)
    with pytest.raises(DataError, match="2 values and 1 labels"):
        macro_mean([0.5, 0.1], ["nv"])
