"""The Gini index is the mean difference of all pairs, in closed form where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.errors import DataError
from saliency_audit.faithfulness.sparseness import sparseness
from saliency_audit.measures.status import Status

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 8))
MAPS = hnp.arrays(
    np.float64, SHAPES, elements=st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)
).filter(lambda values: values.any())


@given(MAPS)
def test_it_is_half_the_relative_mean_difference_of_all_pairs(saliency):
    magnitudes = np.abs(saliency).ravel()
    pairs = np.abs(magnitudes[:, None] - magnitudes).mean()
    found = sparseness(saliency)
    assert found.status is Status.OK
    assert found.gini == pytest.approx(pairs / (2 * magnitudes.mean()), abs=1e-12)


@given(MAPS)
def test_it_is_the_formula_of_hurley_and_rickard(saliency):
    rising = sorted(abs(float(value)) for value in saliency.ravel())
    count, total = len(rising), sum(rising)
    lorenz = sum(c / total * (count - k + 0.5) / count for k, c in enumerate(rising, start=1))
    assert sparseness(saliency).gini == pytest.approx(1 - 2 * lorenz, abs=1e-12)


@given(MAPS, st.sampled_from([1e-100, 0.3, 7.0, 1e100]))
def test_it_lies_in_range_and_knows_no_scale_sign_or_place(saliency, factor):
    gini = sparseness(saliency).gini
    assert 0 <= gini <= 1 - 1 / saliency.size + 1e-15
    assert sparseness(factor * saliency).gini == pytest.approx(gini, abs=1e-12)
    assert sparseness(-saliency).gini == gini
    assert sparseness(saliency[::-1, ::-1]).gini == gini


@given(MAPS)
def test_repeating_a_map_changes_nothing(saliency):
    tiled = np.tile(saliency, (2, 3))
    assert sparseness(tiled).gini == pytest.approx(sparseness(saliency).gini, abs=1e-12)


@pytest.mark.parametrize("value", [1.0, -0.1, 1 / 3, 1e-300, 1e300])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (64, 65)])
def test_a_constant_map_has_exactly_none(value, shape):
    assert sparseness(np.full(shape, value)).gini == 0


@pytest.mark.parametrize("ones", [1, 3, 10])
def test_equal_spikes(ones):
    saliency = np.zeros((4, 5))
    saliency.ravel()[:ones] = 0.7
    assert sparseness(saliency).gini == pytest.approx(1 - ones / 20, abs=1e-15)


def test_a_ramp_tends_to_a_third():
    count = 400
    ramp = np.arange(1.0, count + 1).reshape(20, 20)
    assert sparseness(ramp).gini == pytest.approx((count - 1) / (3 * count), abs=1e-14)


def test_halves_are_read_as_what_they_are():
    saliency = np.random.default_rng(0).random((30, 30)).astype(np.float16)
    assert sparseness(saliency).gini == sparseness(saliency.astype(np.float64)).gini


def test_maps_without_a_value():
    assert sparseness(np.zeros((3, 3))).status is Status.ZERO_MAP
    assert sparseness(np.array([[1.0, np.nan]])).status is Status.NAN_MAP
    assert sparseness(np.array([[1.0, np.inf]])).gini is None
    with pytest.raises(DataError, match="shape"):
        sparseness(np.zeros(3))
    with pytest.raises(DataError, match="shape"):
        sparseness(np.full(3, np.nan))
    with pytest.raises(DataError, match="type"):
        sparseness(np.zeros((3, 3), dtype=int))
