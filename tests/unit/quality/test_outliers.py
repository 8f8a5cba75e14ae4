"""What stands apart: by scipy's median absolute deviation, and by pictures made to stand apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.errors import DataError
from saliency_audit.quality.near_duplicates import thumbnail
from saliency_audit.quality.outliers import appearance, likeness, robust_deviations


class TestRobustDeviations:
    def test_they_are_distances_in_scipys_unit(self):
        values = np.random.default_rng(0).normal(5, 3, 200)
        expected = (values - np.median(values)) / median_abs_deviation(values, scale="normal")
        assert robust_deviations(values) == pytest.approx(expected, rel=1e-4)

    def test_they_do_not_change_with_the_unit(self):
        values = np.random.default_rng(1).gamma(2, 1, 99)
        assert robust_deviations(7 * values - 3) == pytest.approx(robust_deviations(values))

    def test_where_half_is_equal_nothing_stands_apart(self):
        assert robust_deviations([1, 1, 1, 9]).tolist() == [0, 0, 0, 0]

    def test_of_nothing_there_are_none(self):
        assert robust_deviations([]).size == 0


def _farthest(pictures, spoil):
    """Spoil the first picture; give how far each is from the others."""
    pictures = [spoil(pictures[0]), *pictures[1:]]
    measured = [*np.array([appearance(p) for p in pictures]).T]
    measured.append(likeness(np.stack([thumbnail(p) for p in pictures])))
    return np.max([np.abs(robust_deviations(values)) for values in measured], axis=0)


@pytest.fixture(scope="module", params=[PhantomSkin, PhantomChest])
def pictures(request):
    return [s.pixels for s in request.param(images=150, size=(48, 48), seed=4).samples()]


class TestPictures:
    def test_among_clean_pictures_none_is_far(self, pictures):
        assert _farthest(pictures, lambda p: p).max() < 6

    @pytest.mark.parametrize(
        "spoil",
        [lambda p: 255 - p, lambda p: p // 8, lambda p: (p > 127).astype(np.uint8)],
        ids=["negative", "dark", "of unit range"],
    )
    def test_a_spoilt_picture_is_the_farthest(self, pictures, spoil):
        found = _farthest(pictures, spoil)
        assert found.argmax() == 0
        assert found[0] > 6

    def test_exchanged_channels_show_in_colour_pictures(self):
        skin = [s.pixels for s in PhantomSkin(images=150, size=(48, 48), seed=4).samples()]
        assert _farthest(skin, lambda p: p[..., ::-1].copy())[0] > 6

    def test_a_negative_is_as_unlike_as_can_be(self, pictures):
        small = np.stack([thumbnail(p) for p in pictures])
        found = likeness(np.concatenate([small, 255 - small[:1]]))
        assert found[-1] == pytest.approx(-found[0], abs=0.05)

    def test_what_is_no_picture_is_refused(self):
        with pytest.raises(DataError):
            appearance(np.zeros((4, 4), np.uint8))
