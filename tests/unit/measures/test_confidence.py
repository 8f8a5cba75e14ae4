"""Bins of confidence as the XAIMed paper prints them."""

from __future__ import annotations

import pytest

from saliency_audit.errors import DataError
from saliency_audit.measures.confidence import confidence


@pytest.mark.parametrize(
    ("probability", "word"),
    [
        (0.0, "Low"),
        (0.33, "Low"),
        (0.3300001, "Medium"),
        (0.66, "Medium"),
        (0.6600001, "High"),
        (1.0, "High"),
    ],
)
def test_bounds_belong_to_the_lower_bin(probability, word):
    assert confidence(probability) == word


@pytest.mark.parametrize("probability", [-0.01, 1.01, float("nan")])
def test_what_is_no_probability_is_refused(probability):
    with pytest.raises(DataError, match="probability"):
        confidence(probability)
