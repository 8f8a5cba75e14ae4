"""Intervals over groups against plain resampling, known variances and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.statistics.ranking import auroc
from saliency_audit.statistics.resampling import (
    Bootstrap,
    IntervalStatus,
    difference_of_means,
    group_bootstrap,
    paired_difference,
)

FEW = Bootstrap(replicates=400, seed=3)


def patients(seed=0, count=300, between=1.0, within=0.1):
    """Rows of patients with one to four images each, which resemble each other."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), generator.integers(1, 5, count))
    values = generator.normal(0, between, count)[groups] + generator.normal(0, within, groups.size)
    return values, groups


def test_the_fast_mean_is_the_mean_of_the_rows_drawn():
    """The vectorised path and the general one resample the same groups."""
    values, groups = patients()
    fast = group_bootstrap(values, groups, bootstrap=FEW)
    general = group_bootstrap(values, groups, lambda rows: float(rows.mean()), bootstrap=FEW)
    assert fast.estimate == pytest.approx(values.mean())
    assert (fast.low, fast.high) == pytest.approx((general.low, general.high))


def test_the_fast_difference_is_the_difference_of_the_rows_drawn():
    values, groups = patients()
    selected = np.random.default_rng(1).random(values.size) < 0.6

    def difference(rows):
        return float(rows[rows[:, 1] == 1, 0].mean() - rows[rows[:, 1] == 0, 0].mean())

    fast = difference_of_means(values, selected, groups, bootstrap=FEW)
    both = np.column_stack([values, selected])
    general = group_bootstrap(both, groups, difference, bootstrap=FEW)
    assert fast.estimate == pytest.approx(values[selected].mean() - values[~selected].mean())
    assert (fast.low, fast.high) == pytest.approx((general.low, general.high))


def test_the_order_of_rows_and_the_names_of_groups_do_not_matter():
    values, groups = patients()
    named = np.array([f"patient-{group:04d}" for group in groups])
    order = np.random.default_rng(2).permutation(values.size)
    first = group_bootstrap(values, groups, bootstrap=FEW)
    second = group_bootstrap(values[order], named[order], bootstrap=FEW)
    assert (first.low, first.high) == pytest.approx((second.low, second.high))
    assert first.groups == second.groups == 300


def test_the_difference_knows_its_rows_in_any_order_and_without_nulls():
    values, groups = patients()
    selected = np.random.default_rng(1).random(values.size) < 0.6
    first = difference_of_means(values, selected, groups, bootstrap=FEW)
    order = np.random.default_rng(2).permutation(values.size)
    shuffled = (column[order] for column in (values, selected, groups))
    second = difference_of_means(*shuffled, bootstrap=FEW)
    with_nulls = difference_of_means(
        np.append(np.nan, values), np.append(True, selected), np.append(0, groups), bootstrap=FEW
    )
    for other in (second, with_nulls):
        assert other.estimate == pytest.approx(first.estimate)
        assert (other.low, other.high) == pytest.approx((first.low, first.high))
        assert other.rows == values.size


def test_the_width_is_that_of_groups_and_not_of_images():
    """For equal groups the mean's standard error is that of the group means."""
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(400), 5)
    values = generator.normal(0, 1, 400)[groups]
    interval = group_bootstrap(values, groups, bootstrap=Bootstrap(replicates=4000))
    error = values[::5].std() / np.sqrt(400)
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * error, rel=0.08)
    alone = group_bootstrap(values, np.arange(values.size), bootstrap=Bootstrap(replicates=4000))
    assert (alone.high - alone.low) * 5**0.5 == pytest.approx(interval.high - interval.low, rel=0.1)


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = []
    for seed in range(200):
        values, groups = patients(seed, count=260)
        interval = group_bootstrap(values, groups, bootstrap=Bootstrap(replicates=300, level=0.9))
        covered.append(interval.low <= 0 <= interval.high)
    # Of 200 draws at 0.9 the standard error is 0.021.
    assert np.mean(covered) == pytest.approx(0.9, abs=0.07)


def test_pairing_takes_out_what_both_share():
    values, groups = patients()
    better = values + 0.05 + np.random.default_rng(7).normal(0, 0.01, values.size)
    paired = paired_difference(better, values, groups, bootstrap=FEW)
    assert paired.low > 0.04
    assert paired.high < 0.06
    assert paired.estimate == pytest.approx((better - values).mean())


def test_a_null_on_either_side_leaves_the_pair_out():
    first, second = np.array([1.0, np.nan, 3.0]), np.array([0.0, 1.0, np.nan])
    interval = paired_difference(first, second, np.array([1, 2, 3]), bootstrap=FEW)
    assert (interval.estimate, interval.rows, interval.groups) == (1.0, 1, 1)
    assert interval.status == IntervalStatus.ONE_GROUP


def test_any_statistic_can_be_resampled():
    generator = np.random.default_rng(5)
    groups = np.arange(600) // 2
    correct = generator.random(600) < 0.6
    scores = generator.normal(correct.astype(float), 1)
    interval = group_bootstrap(
        np.column_stack([scores, correct]),
        groups,
        lambda rows: auroc(rows[:, 0], rows[:, 1] == 1),
        bootstrap=FEW,
        incorrect=~correct,
    )
    assert interval.status == IntervalStatus.OK
    assert interval.low < auroc(scores, correct) == interval.estimate < interval.high


def test_few_groups_are_marked():
    values, groups = patients(count=249)
    assert group_bootstrap(values, groups, bootstrap=FEW).status == IntervalStatus.FEW_GROUPS
    values, groups = patients(count=250)
    assert group_bootstrap(values, groups, bootstrap=FEW).status == IntervalStatus.OK


@pytest.mark.parametrize(
    ("groups", "wrong", "status"),
    [
        (250, 50, IntervalStatus.OK),
        (250, 49, IntervalStatus.FEW_INCORRECT),
        (249, 49, IntervalStatus.FEW_GROUPS_AND_INCORRECT),
        (250, 10, IntervalStatus.FEW_INCORRECT),
        (250, 9, IntervalStatus.TOO_FEW_INCORRECT),
    ],
)
def test_few_incorrect_predictions_are_marked_or_refused(groups, wrong, status):
    incorrect = np.arange(groups) < wrong
    values = np.arange(groups) / 1.0
    interval = group_bootstrap(values, np.arange(groups), bootstrap=FEW, incorrect=incorrect)
    assert interval.status == status
    assert (interval.low is None) == (status is IntervalStatus.TOO_FEW_INCORRECT)
    assert interval.estimate == values.mean()


def test_many_wrong_images_of_nine_patients_are_nine():
    groups = np.arange(3000) // 10
    interval = group_bootstrap(
        np.arange(3000.0), groups, bootstrap=FEW, incorrect=np.arange(3000) < 90
    )
    assert interval.status == IntervalStatus.TOO_FEW_INCORRECT


def test_nothing_and_undefined_figures_have_no_interval():
    nothing = group_bootstrap(np.zeros(0), np.zeros(0, np.int64), bootstrap=FEW)
    assert (nothing.estimate, nothing.status) == (None, IntervalStatus.NO_VALUES)
    nulls = group_bootstrap(np.full(3, np.nan), np.arange(3), bootstrap=FEW)
    assert (nulls.estimate, nulls.rows) == (None, 0)
    values, groups = np.arange(4.0), np.arange(4)
    empty_side = difference_of_means(values, np.ones(4, np.bool_), groups, bootstrap=FEW)
    assert empty_side.status == IntervalStatus.NO_VALUES
    # One selected row of four: a resample misses it with probability 0.75⁴ = 0.32.
    rare = difference_of_means(values, groups == 0, groups, bootstrap=FEW)
    assert rare.status == IntervalStatus.UNDEFINED
    assert rare.estimate == -2
    never = group_bootstrap(values, groups, lambda rows: None, bootstrap=FEW)
    assert never.status == IntervalStatus.NO_VALUES


def test_the_seed_decides_the_interval():
    values, groups = patients()
    first = group_bootstrap(values, groups, bootstrap=Bootstrap(replicates=200, seed=1))
    again = group_bootstrap(values, groups, bootstrap=Bootstrap(replicates=200, seed=1))
    other = group_bootstrap(values, groups, bootstrap=Bootstrap(replicates=200, seed=2))
    assert first == again
    assert first.low != other.low


def test_bad_columns_and_parameters_are_named():
    with pytest.raises(DataError, match="groups"):
        group_bootstrap(np.arange(3.0), np.arange(2))
    with pytest.raises(DataError, match="incorrect"):
        group_bootstrap(np.arange(3.0), np.arange(3), incorrect=np.arange(3))
    with pytest.raises(DataError, match="second"):
        paired_difference(np.arange(3.0), np.arange(2.0), np.arange(3))
    with pytest.raises(DataError, match="a mean needs"):
        group_bootstrap(np.zeros((3, 2)), np.arange(3))
    with pytest.raises(ParameterError, match="replicates"):
        Bootstrap(replicates=10)
    with pytest.raises(ParameterError, match="seed"):
        Bootstrap(seed=-1)
