"""Max-sensitivity is the greatest of the changes that were tried, and captum's on the same ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.faithfulness.sensitivity import max_sensitivity
from saliency_audit.measures.status import Status


def squares(image):
    """A map that is no linear function of the image, (H, W)."""
    return image.double().pow(2).sum(dim=-3).numpy()


class Recorded:
    """An explanation that keeps the images that it was asked for."""

    def __init__(self, explain):
        self.explain = explain
        self.images = []

    def __call__(self, image):
        self.images.append(image.clone())
        return self.explain(image)


def test_it_is_the_greatest_of_the_changes_that_were_tried(image):
    recorded = Recorded(squares)
    found = max_sensitivity(recorded, image, key=(1,), radius=0.1, samples=7)
    first, *changed = recorded.images
    assert torch.equal(first, image)
    assert len(changed) == 7
    original = squares(image)
    moved = [np.sqrt(((squares(other) - original) ** 2).sum()) for other in changed]
    assert found.absolute == pytest.approx(max(moved), rel=1e-14)
    assert found.relative == pytest.approx(max(moved) / np.sqrt((original**2).sum()), rel=1e-14)
    assert found.status is Status.OK


def test_on_the_same_changes_it_is_captums(image):
    recorded = Recorded(squares)
    found = max_sensitivity(recorded, image, key=(2,), radius=0.05, samples=6)
    changed = torch.stack(recorded.images[1:])

    def explain(images):
        if isinstance(images, tuple):  # it wants a tuple where it gives one
            return tuple(explain(one) for one in images)
        return torch.stack([torch.from_numpy(squares(one)) for one in images])

    theirs = sensitivity_max(
        explain, image[None], perturb_func=lambda inputs: changed, n_perturb_samples=6
    )
    assert found.relative == pytest.approx(float(theirs), rel=1e-6)


@given(st.sampled_from([0.001, 0.02, 0.5, 1.0]), st.integers(0, 50))
def test_changed_images_are_images_and_lie_in_the_ball(radius, seed):
    drawn = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(seed))
    image = (1.4 * drawn - 0.2).clamp(0, 1)  # a seventh of the pixels at each end
    recorded = Recorded(squares)
    max_sensitivity(recorded, image, key=(seed,), radius=radius, samples=3)
    for changed in recorded.images[1:]:
        assert changed.dtype == image.dtype
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
        assert float((changed - image).abs().max()) <= radius + 1e-6


def test_changes_are_uniform_in_the_part_of_the_ball_that_holds_images():
    """Quantiles of many draws, at the end of the range and away from it."""
    image = torch.zeros(2, 100, 100, dtype=torch.float64)
    image[1] = 0.5
    recorded = Recorded(squares)
    max_sensitivity(recorded, image, key=(3,), radius=0.2, samples=5)
    drawn = torch.stack(recorded.images[1:]).numpy()
    for channel, low, high in ((0, 0.0, 0.2), (1, 0.3, 0.7)):
        ranks = (np.sort(drawn[:, channel].ravel()) - low) / (high - low)
        # Kolmogorov's distance of 50,000 uniform draws; 0.0087 has p = 0.001.
        assert np.abs(ranks - (np.arange(50_000) + 0.5) / 50_000).max() < 0.0087


@given(st.integers(1, 6), st.integers(1, 6))
def test_more_changes_and_the_same_key_find_no_less(few, more):
    image = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0))
    one = max_sensitivity(squares, image, key=(4,), samples=few)
    other = max_sensitivity(squares, image, key=(4,), samples=few + more)
    assert one.absolute <= other.absolute


def test_a_linear_map_moves_by_no_more_than_its_operator_allows(image):
    """Of Φ(x) = Σ_c x_c a change is at most 3 r per pixel; of a blind map it is 0."""

    def channels(one):
        return one.double().sum(dim=0).numpy()

    found = max_sensitivity(channels, image, key=(5,), radius=0.03, samples=20)
    assert 0 < found.absolute <= 3 * 0.03 * np.sqrt(100)
    blind = max_sensitivity(lambda one: np.eye(10), image, key=(5,))
    assert blind.absolute == blind.relative == 0


def test_it_knows_no_scale(image):
    one = max_sensitivity(squares, image, key=(6,))
    other = max_sensitivity(lambda x: 1e-8 * squares(x), image, key=(6,))
    assert other.relative == pytest.approx(one.relative, rel=1e-12)
    assert other.absolute == pytest.approx(1e-8 * one.absolute, rel=1e-12)


def test_of_a_zero_map_there_is_no_relative_change(image):
    found = max_sensitivity(
        lambda one: np.zeros((10, 10)) if torch.equal(one, image) else np.eye(10), image, key=(7,)
    )
    assert (found.relative, found.status) == (None, Status.ZERO_MAP)
    assert found.absolute == pytest.approx(np.sqrt(10))


def test_a_map_of_nan_has_no_sensitivity(image):
    for broken in (lambda one: True, lambda one: not torch.equal(one, image)):
        found = max_sensitivity(
            lambda one, b=broken: np.eye(10) * (np.nan if b(one) else 1.0), image, key=(8,)
        )
        assert (found.relative, found.absolute, found.status) == (None, None, Status.NAN_MAP)


def test_wrong_input_is_refused(image):
    for radius in (0, -1, 1.5, np.nan):
        with pytest.raises(ParameterError, match="radius"):
            max_sensitivity(squares, image, key=(0,), radius=radius)
    with pytest.raises(ParameterError, match="samples"):
        max_sensitivity(squares, image, key=(0,), samples=0)
    with pytest.raises(DataError, match="outside"):
        max_sensitivity(squares, 2 * image, key=(0,))
    sizes = iter([(10, 10), (9, 9)])
    with pytest.raises(DataError, match="one size"):
        max_sensitivity(lambda one: np.eye(*next(sizes)), image, key=(0,))
