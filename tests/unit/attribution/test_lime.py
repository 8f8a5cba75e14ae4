"""LIME against the lime package, scikit-learn, and models whose answer is known."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lime.lime_image import LimeImageExplainer as Package
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

from saliency_audit.attribution.lime import ENOUGH_SUPERPIXELS, Lime
from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.reference_lime import LimeImageExplainer
from saliency_audit.attribution.seeds import legacy_seed
from saliency_audit.attribution.superpixels import Quickshift, numbered, scaled_down
from saliency_audit.attribution.surrogate import (
    WeightedRidge,
    all_designs,
    designs,
    orthogonal_designs,
    proximity,
    whole_blocks,
)
from saliency_audit.compute import Compute
from saliency_audit.errors import ParameterError

SQUARES = np.kron(np.arange(16).reshape(4, 4), np.ones((16, 16), dtype=int))


def package_weights(classifier, image, key, segments, samples, label, seed=0) -> np.ndarray:
    def probabilities(points: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(points).float().permute(0, 3, 1, 2)
        with torch.no_grad():
            return classifier.probabilities(classifier(pixels)).double().numpy()

    explanation = Package(random_state=legacy_seed(seed, key)).explain_instance(
        image.permute(1, 2, 0).double().numpy(),
        probabilities,
        labels=(label,),
        top_labels=None,
        num_samples=samples,
        segmentation_fn=lambda _: segments,
    )
    weights = np.zeros(segments.max() + 1)
    for feature, weight in explanation.local_exp[label]:
        weights[feature] = weight
    return weights


@pytest.mark.parametrize("name", ["small", "cnn", "resnet18"])
def test_the_weights_are_the_lime_packages(classifier_named, images, name):
    classifier = classifier_named(name)
    compute = Compute(batch=16)
    for label in (0, 2):
        theirs = package_weights(classifier, images[1], "key", SQUARES, 60, label)
        ours = Lime(samples=60, design="independent").weights(
            classifier, images[1], [label], "key", SQUARES, compute
        )
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(ours[:, 0], theirs, atol=1e-5 * np.abs(theirs).max() + 1e-9)


def test_the_reference_gives_the_packages_positive_weights(small, images, compute):
    (maps,) = LimeImageExplainer(samples=30).explain(
        small, images[:1], [[1, 0]], ["key"], compute=compute
    )
    found = {}

    def probabilities(points: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(points).float().permute(0, 3, 1, 2)
        with torch.no_grad():
            return small.probabilities(small(pixels)).double().numpy()

    explanation = Package(random_state=legacy_seed(0, "key")).explain_instance(
        images[0].permute(1, 2, 0).double().numpy(),
        probabilities,
        labels=(0, 1),
        top_labels=None,
        num_samples=30,
    )
    for label in (0, 1):
        found[label] = np.zeros(explanation.segments.shape)
        for feature, weight in explanation.local_exp[label]:
            found[label][explanation.segments == feature] = max(weight, 0.0)
    for raw, label in zip(maps, (1, 0), strict=True):
        np.testing.assert_allclose(raw.values, found[label], atol=1e-6)


@given(st.integers(1, 40), st.integers(4, 30), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_designs_are_drawn_as_the_package_draws_them(samples, superpixels, rows, seed):
    expected = np.random.RandomState(seed).randint(0, 2, samples * superpixels)
    expected = expected.reshape(samples, superpixels)
    expected[0] = 1
    parts = list(designs(samples, superpixels, np.random.RandomState(seed), rows))
    assert max(map(len, parts)) <= rows
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@given(st.integers(1, 5), st.integers(1, 9))
def test_few_superpixels_are_enumerated(superpixels, rows):
    parts = list(all_designs(superpixels, rows))
    found = np.concatenate(parts)
    assert found[0].all()
    assert len(np.unique(found, axis=0)) == len(found) == 2**superpixels


def test_proximity_is_of_the_cosine_distance():
    visible = np.concatenate([np.ones((1, 7)), np.eye(7), np.zeros((1, 7))]) == 1
    distances = pairwise_distances(visible * 1.0, visible[:1] * 1.0, metric="cosine").ravel()
    expected = np.sqrt(np.exp(-(distances**2) / 0.25**2))
    np.testing.assert_allclose(proximity(visible, 0.25), expected, rtol=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 8), st.floats(0.01, 10))
def test_ridge_is_scikit_learns(seed, rows, features, alpha):
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 2, (rows, features)) * 1.0, random.random((rows, 2))
    weights = random.random(rows) + 0.01
    ridge = WeightedRidge(features, 2, alpha)
    ridge.add(x[:1], y[:1], weights[:1])
    ridge.add(x[1:], y[1:], weights[1:])
    expected = Ridge(alpha=alpha).fit(x, y, sample_weight=weights).coef_
    np.testing.assert_allclose(ridge.coefficients().T, expected, atol=1e-8)


def test_a_score_that_hangs_on_one_superpixel_marks_it(of_function, images, compute):
    seen = torch.from_numpy((SQUARES == 5).astype(np.float32))

    def texture(points: torch.Tensor) -> torch.Tensor:
        """Positive with the contrast inside one square, which its mean colour takes away."""
        inside = points[:, 0][:, seen == 1]
        found = 20 * inside.var(dim=1)
        return torch.stack([found, -found], dim=1)

    maps = Lime(samples=200).explain_segments(
        of_function(texture), images[0], [0, 1], "key", SQUARES, compute
    )
    assert (maps[0].values[SQUARES == 5] > 10 * maps[0].values[SQUARES != 5].max()).all()
    assert not maps[1].values[SQUARES == 5].any()


def test_the_superpixel_fill_is_its_mean_colour(of_function, compute):
    """With one superpixel, the score of the hidden image is that of its mean colour."""
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = []

    def record(points: torch.Tensor) -> torch.Tensor:
        seen.append(points.clone())
        return points.mean((2, 3))[:, :2]

    one = np.zeros((8, 8), dtype=np.int64)
    Lime(samples=9).weights(of_function(record), image, [0], "key", one, compute)
    shown, hidden = seen[0][:2]
    torch.testing.assert_close(shown, image)
    torch.testing.assert_close(hidden, image.mean((1, 2))[:, None, None].expand(3, 8, 8))


def test_statuses(small, images, compute):
    one = np.zeros((64, 64), dtype=np.int64)
    (raw,) = Lime(samples=20).explain_segments(small, images[0], [0], "key", one, compute)
    assert quantise(raw, 0.05).status in ("constant_map", "zero_map")
    for segments, status in [(SQUARES, "few_superpixels"), (_more(SQUARES), None)]:
        (raw,) = Lime(samples=20).explain_segments(small, images[0], [0], "key", segments, compute)
        assert raw.status == status
    broken = copy.deepcopy(small)
    with torch.no_grad():
        broken.network[0].weight[0] = torch.nan
    (raw,) = Lime(samples=20).explain_segments(broken, images[0], [0], "key", SQUARES, compute)
    assert quantise(raw, 0.05).status == "nan_map"


def _more(segments: np.ndarray) -> np.ndarray:
    """Halves of 16 squares: 32 superpixels."""
    return segments * 2 + (np.arange(64) % 16 >= 8)


def test_superpixels_are_found_at_a_larger_size_and_cover_the_image(images):
    found = Quickshift().segments(images[0].numpy())
    coarse = Quickshift(size=1).segments(images[0].numpy())
    for segments in (found, coarse):
        assert segments.shape == (64, 64)
        assert sorted(np.unique(segments)) == list(range(segments.max() + 1))
    assert found.max() > coarse.max()


@pytest.mark.parametrize("pattern", ["ham10000/images/*.jpg", "chestxdet/images/*.png"])
def test_real_images_at_96_pixels_have_enough_superpixels_only_at_224(real_data, pattern):
    for path in sorted(real_data.glob(pattern))[:2]:
        small = Image.open(path).convert("RGB").resize((96, 96))
        pixels = (np.asarray(small) / 255).astype(np.float32).transpose(2, 0, 1)
        assert Quickshift(size=1).segments(pixels).max() + 1 < ENOUGH_SUPERPIXELS
        assert Quickshift().segments(pixels).max() + 1 >= ENOUGH_SUPERPIXELS


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_scaling_down_undoes_scaling_up(height, width, times):
    segments = np.arange(height * width).reshape(height, width)
    larger = segments.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_array_equal(scaled_down(larger, (height, width)), segments)
    np.testing.assert_array_equal(numbered(segments * 3 + 5), segments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 0},
        {"seed": -1},
        {"kernel_width": 0.0},
        {"alpha": -1.0},
        {"segmentation_size": 0},
        {"kernel_size": 0.0},
        {"max_dist": float("nan")},
        {"ratio": 1.5},
    ],
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Lime(**wrong)


@given(st.integers(2, 40), st.integers(2, 30), st.integers(1, 9))
def test_orthogonal_designs_begin_with_all_and_do_not_depend_on_rows(samples, superpixels, rows):
    found, alone = (
        np.concatenate(
            list(orthogonal_designs(samples, superpixels, np.random.default_rng(5), size))
        )
        for size in (rows, 1)
    )
    assert len(found) == whole_blocks(samples, superpixels) >= samples
    assert found[0].all()
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(found[1::2], ~found[2::2])
    # Blocks are whole: any two superpixels are visible together in a quarter of the rows.
    together = found[1:].T.astype(int) @ found[1:]
    expected = np.full(together.shape, (len(found) - 1) // 4)
    np.fill_diagonal(expected, (len(found) - 1) // 2)
    np.testing.assert_array_equal(together, expected)


@pytest.mark.parametrize("superpixels", [2, 33, 64, 65, 196, 250])
def test_a_block_is_twice_the_next_power_of_two(superpixels):
    block = 2 * 2 ** int(np.ceil(np.log2(superpixels)))
    for samples in (2, 333, 1000):
        rows = whole_blocks(samples, superpixels)
        assert (rows - 1) % block == 0
        assert samples <= rows < samples + block
    assert whole_blocks(1, superpixels) == 1


def test_many_superpixels_are_as_near_the_limit_as_1000_independent_samples():
    """Of a smooth score with products of neighbours in it, at 196 superpixels, by default rows."""
    random = np.random.default_rng(0)
    own, pairs = random.normal(size=196), random.normal(size=195)

    def found(design: str, samples: int, seed: int) -> np.ndarray:
        lime = Lime(samples=samples, design=design, seed=seed)
        ridge = WeightedRidge(196, 1, lime.alpha)
        for visible in lime._designs(196, "key", 64):
            signs = visible * 2.0 - 1
            f = np.tanh((signs @ own + (signs[:, 1:] * signs[:, :-1]) @ pairs) / 14)
            ridge.add(visible * 1.0, f[:, None], proximity(visible, lime.kernel_width))
        weights = np.maximum(ridge.coefficients()[:, 0], 0)
        return weights / weights.max()

    limit = found("independent", 60000, 99)
    distance = {
        design: np.mean(
            [np.sqrt(((found(design, n, seed) - limit) ** 2).mean()) for seed in range(3)]
        )
        for design, n in (("orthogonal", Lime().samples), ("independent", 1000))
    }
    assert distance["orthogonal"] <= distance["independent"]


def test_one_orthogonal_block_finds_what_a_superpixel_does_in_any_company(of_function, compute):
    """Of a score with products of superpixels in it, where independent draws are far off."""
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    centres = [(8 + 16 * row, 8 + 16 * column) for row in range(4) for column in range(4)]
    effects = torch.linspace(-1, 1, 16)
    own = torch.stack([image[0, row, column] for row, column in centres])

    def score(points: torch.Tensor) -> torch.Tensor:
        seen = torch.stack([points[:, 0, row, column] for row, column in centres], dim=1) == own
        signs = seen.float() * 2 - 1
        total = signs @ effects + 3 * signs[:, 0] * signs[:, 5] - 2 * signs[:, 7] * signs[:, 9]
        return torch.stack([total, -total], dim=1)

    def errors(design: str) -> np.ndarray:
        lime = Lime(samples=33, design=design, score="logit", kernel_width=1e6, alpha=0.0)
        weights = lime.weights(of_function(score), image, [0], "key", SQUARES, compute)
        return np.abs(weights[:, 0] - 2 * effects.numpy())

    assert errors("orthogonal").max() < 0.2  # the row that shows all is one too many
    assert errors("independent").max() > 1
