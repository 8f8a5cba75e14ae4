"""Deletion and insertion curves are those of linear scores in closed form, and of a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.faithfulness.baselines import blurred, grey, mean_colour
from saliency_audit.faithfulness.deletion_insertion import deletion, insertion
from saliency_audit.measures.status import Status
from saliency_audit.measures.top_fraction import pixel_order

MAPS = hnp.arrays(
    np.float64, st.just((4, 5)), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])
).filter(lambda values: values.min() < values.max())
STEPS = st.sampled_from([1, 3, 7, 20, 50])


def slow_order(saliency):
    place = {pixel: i for i, pixel in enumerate(pixel_order(*saliency.shape).tolist())}
    values = saliency.ravel().tolist()
    return sorted(range(len(values)), key=lambda pixel: (-values[pixel], place[pixel]))


def slow_curve(score, start, finish, saliency, step):
    """One image at a time, one pixel at a time; trapezoids one by one."""
    current = start.clone()
    width = saliency.shape[1]
    counts, scores = [0], [float(score(current[None])[0])]
    for count, pixel in enumerate(slow_order(saliency), start=1):
        row, column = divmod(pixel, width)
        current[:, row, column] = finish[:, row, column]
        if count % step == 0 or count == saliency.size:
            counts.append(count)
            scores.append(float(score(current[None])[0]))
    area = sum(
        (counts[i + 1] - counts[i]) / saliency.size * (scores[i] + scores[i + 1]) / 2
        for i in range(len(counts) - 1)
    )
    return np.array(counts) / saliency.size, np.array(scores), area


@given(MAPS, STEPS, st.integers(0, 99))
def test_curves_are_those_of_a_slow_loop_with_the_audits_order_of_ties(saliency, step, seed):
    generator = torch.Generator().manual_seed(seed)
    image, baseline, weights = (torch.rand(3, 4, 5, generator=generator) for _ in range(3))

    def score(images):
        return torch.tanh((images * weights).double().pow(2).sum(dim=(1, 2, 3)) / 9)

    compute = Compute(batch=4)
    for curve, start, finish in (
        (deletion(score, image, saliency, baseline, compute=compute, step=step), image, baseline),
        (insertion(score, image, saliency, baseline, compute=compute, step=step), baseline, image),
    ):
        shares, scores, area = slow_curve(score, start, finish, saliency, step)
        assert curve.status is Status.OK
        np.testing.assert_array_equal(curve.shares, shares)
        np.testing.assert_allclose(curve.scores, scores, rtol=0, atol=1e-12)
        assert curve.auc == pytest.approx(area, abs=1e-12)


def test_a_linear_score_falls_by_the_contributions_in_order(image, linear, compute):
    weights = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(1))
    baseline = mean_colour(image)
    score = linear(weights)
    contributions = (weights.double() * (image.double() - baseline.double())).sum(dim=0).numpy()
    whole, blank = float(score(image[None])), float(score(baseline[None]))
    falling = np.sort(contributions.ravel())[::-1]
    removed = np.concatenate([[0.0], np.cumsum(falling)])
    found = deletion(score, image, contributions, baseline, compute=compute, step=1)
    np.testing.assert_allclose(found.scores, whole - removed, atol=1e-10)
    # The i-th of N ranked contributions is missing for N - i + 1/2 of the N steps.
    still = (np.arange(1, 101) - 0.5) / 100
    assert found.auc == pytest.approx(blank + float(still @ falling), abs=1e-10)
    inserted = insertion(score, image, contributions, baseline, compute=compute, step=1)
    np.testing.assert_allclose(inserted.scores, blank + removed, atol=1e-10)


@given(MAPS, STEPS)
def test_of_a_linear_score_deletion_and_insertion_add_up(saliency, step):
    generator = torch.Generator().manual_seed(2)
    image, baseline, weights = (torch.rand(3, 4, 5, generator=generator) for _ in range(3))

    def score(images):
        return (images * weights).double().sum(dim=(1, 2, 3))

    compute = Compute(batch=8)
    removed = deletion(score, image, saliency, baseline, compute=compute, step=step)
    put_in = insertion(score, image, saliency, baseline, compute=compute, step=step)
    both = float(score(image[None]) + score(baseline[None]))
    np.testing.assert_allclose(removed.scores + put_in.scores, both, atol=1e-5)
    assert removed.auc + put_in.auc == pytest.approx(both, abs=1e-5)


@given(MAPS)
def test_no_map_deletes_a_linear_score_faster_than_its_contributions(saliency):
    generator = torch.Generator().manual_seed(3)
    image, weights = (torch.rand(1, 4, 5, generator=generator) for _ in range(2))
    blank = torch.zeros_like(image)

    def score(images):
        return (images.double() * weights.double()).sum(dim=(1, 2, 3))

    best = (image.double() * weights.double())[0].numpy()
    compute = Compute(batch=32)
    for method, sign in ((deletion, 1), (insertion, -1)):
        areas = [
            method(score, image, m, blank, compute=compute, step=1).auc for m in (best, saliency)
        ]
        assert sign * areas[0] <= sign * areas[1] + 1e-12


def test_insertion_is_deletion_from_the_baseline_to_the_image(image, saliency, curved, compute):
    baseline = blurred(image)
    one = insertion(curved, image, saliency, baseline, compute=compute, step=9)
    other = deletion(curved, baseline, saliency, image, compute=compute, step=9)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.auc == other.auc


def test_a_model_that_ignores_the_image_has_flat_curves(image, saliency, compute):
    for method in (deletion, insertion):
        found = method(
            lambda images: images.new_full((len(images),), 0.375),
            image,
            saliency,
            grey(image),
            compute=compute,
            step=7,
        )
        assert (found.scores == 0.375).all()
        assert found.auc == pytest.approx(0.375, abs=1e-15)


def test_where_steps_are_equal_the_area_is_that_of_the_authors_code(
    image, saliency, curved, compute
):
    found = deletion(curved, image, saliency, grey(image), compute=compute, step=10)
    scores = found.scores
    theirs = (scores.sum() - scores[0] / 2 - scores[-1] / 2) / (len(scores) - 1)
    assert found.auc == pytest.approx(theirs, abs=1e-15)


def test_the_ends_are_the_image_and_the_baseline(image, saliency, curved, compute):
    before = image.clone()
    baseline = blurred(image)
    found = deletion(curved, image, saliency, baseline, compute=compute, step=30)
    assert found.shares.tolist() == [0, 0.3, 0.6, 0.9, 1]
    assert found.scores[0] == float(curved(image[None]))
    assert found.scores[-1] == float(curved(baseline[None]))
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("value", "status"),
    [(0.0, Status.ZERO_MAP), (0.5, Status.CONSTANT_MAP), (np.nan, Status.NAN_MAP)],
)
def test_a_map_that_ranks_no_pixels_has_no_curve(image, curved, compute, value, status):
    found = deletion(curved, image, np.full((10, 10), value), grey(image), compute=compute)
    assert found.auc is None
    assert found.status is status
    assert found.shares.size == found.scores.size == 0


def test_wrong_input_is_refused(image, saliency, curved, compute):
    with pytest.raises(ParameterError, match="step"):
        deletion(curved, image, saliency, grey(image), compute=compute, step=0)
    with pytest.raises(DataError, match="map of"):
        deletion(curved, image, saliency[:5], grey(image), compute=compute)
    with pytest.raises(DataError, match="baseline"):
        deletion(curved, image, saliency, grey(image)[:1], compute=compute)
    with pytest.raises(DataError, match="one"):
        deletion(curved, image[None], saliency, grey(image), compute=compute)
    with pytest.raises(DataError, match="NaN"):
        deletion(curved, image * torch.nan, saliency, grey(image), compute=compute)
    with pytest.raises(ParameterError, match="one number per image"):
        deletion(lambda images: images[:, :2, 0, 0], image, saliency, grey(image), compute=compute)
    with pytest.raises(ModelError, match="nan"):
        deletion(
            lambda images: images[:, 0, 0, 0].log() * 0,
            image,
            saliency,
            grey(image, 0),
            compute=compute,
        )


@pytest.mark.parametrize(("sigma", "radius"), [(5.0, 5), (1.5, 4), (0.3, 1)])
def test_the_blur_is_scipys(image, sigma, radius):
    wide = image.double()
    expected = ndimage.gaussian_filter(
        wide.numpy(), (0, sigma, sigma), mode="nearest", radius=(0, radius, radius)
    )
    np.testing.assert_allclose(blurred(wide, sigma, radius).numpy(), expected, atol=1e-13)
    assert blurred(image).dtype == image.dtype


def test_baselines(image):
    means = mean_colour(image)
    np.testing.assert_allclose(
        means.numpy(), np.broadcast_to(image.numpy().mean((1, 2))[:, None, None], (3, 10, 10)), 1e-6
    )
    assert (grey(image, 0.25) == 0.25).all()
    with pytest.raises(ParameterError, match="level"):
        grey(image, 2)
    with pytest.raises(ParameterError, match="sigma"):
        blurred(image, 0)
    with pytest.raises(ParameterError, match="radius"):
        blurred(image, 1, 0)
