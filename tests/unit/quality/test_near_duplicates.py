"""Near duplicates against planted copies, and against images that are known to differ."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saliency_audit.datasets.image_files import read_picture
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.quality.near_duplicates import (
    BLOCK,
    DIFFERENCE,
    near_duplicates,
    tangent_distance,
    thumbnail,
)

IMAGES = 60
BICUBIC = Image.Resampling.BICUBIC


def stored_anew(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file))


def brightened(pixels):
    return np.clip(pixels * 1.1, 0, 255).round().astype(np.uint8)


def rescaled(pixels):
    height, width = pixels.shape[:2]
    small = Image.fromarray(pixels).resize((width * 7 // 10, height * 7 // 10), BICUBIC)
    return np.asarray(small.resize((width, height), BICUBIC))


def noised(pixels):
    grain = np.random.default_rng(3).normal(0, 5, pixels.shape)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def trimmed(pixels):
    height, width = pixels.shape[:2]
    inner = Image.fromarray(pixels).crop((2, 2, width - 2, height - 2))
    return np.asarray(inner.resize((width, height), BICUBIC))


COPIES = [stored_anew, brightened, rescaled, noised]


def thumbnails(images):
    return np.stack([thumbnail(pixels) for pixels in images])


def found(images, difference=DIFFERENCE):
    return [pair[:2] for pair in near_duplicates(thumbnails(images), difference)]


@pytest.fixture(scope="module", params=[PhantomSkin, PhantomChest], ids=["skin", "chest"])
def phantom(request):
    return list(request.param(images=IMAGES, seed=7).samples())


def test_images_of_different_patients_are_no_duplicates(phantom):
    groups = [sample.group_id for sample in phantom]
    pairs = found([sample.pixels for sample in phantom])
    assert [(i, j) for i, j in pairs if groups[i] != groups[j]] == []


@pytest.mark.parametrize("copied", COPIES)
def test_a_planted_copy_is_found_and_nothing_else(phantom, copied):
    firsts = {sample.group_id: sample.pixels for sample in reversed(phantom)}
    images = list(firsts.values())
    pairs = set(found([*images, *map(copied, images)]))
    planted = {(k, k + len(images)) for k in range(len(images))}
    assert pairs <= planted
    assert len(pairs) >= 0.95 * len(planted)


@pytest.fixture(scope="module")
def dermoscopy(real_data):
    files = sorted((real_data / "ham10000" / "images").glob("*.jpg"))[::200]
    return [read_picture(file, (96, 128)).pixels for file in files]


@pytest.mark.parametrize("copied", [*COPIES, trimmed])
def test_a_copy_of_a_photograph_is_found_also_where_its_rim_is_cut_off(dermoscopy, copied):
    count = len(dermoscopy)
    # Dermoscopic images bear the wider bound.
    pairs = set(found([*dermoscopy, *map(copied, dermoscopy)], 0.10))
    planted = {(k, k + count) for k in range(count)}
    assert pairs <= planted
    assert len(pairs) >= 0.95 * len(planted)


def test_ham10000_shows_one_picture_under_two_lesions(real_data):
    names = ("ISIC_0025226", "ISIC_0027994", "ISIC_0030074")
    folder = real_data / "ham10000" / "images"
    assert found([read_picture(folder / f"{n}.jpg", (96, 128)).pixels for n in names]) == [(0, 2)]


def reference(first, second):
    """What least squares leaves of one thumbnail by another and its tangents."""

    def small(field):
        corners = range(0, 32, 2)
        return np.array([field[r : r + 2, c : c + 2].mean() for r in corners for c in corners])

    down, right = np.gradient(first.astype(np.float64))
    place = np.linspace(-31 / 32, 31 / 32, 32)
    fields = [first, right, down, right * place[None, :], down * place[:, None]]
    columns = np.stack([np.ones(256), *map(small, fields)], axis=1)
    y = small(second)
    residual = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return np.linalg.norm(residual) / np.linalg.norm(y - y.mean())


def test_the_distance_is_what_least_squares_leaves():
    pictures = thumbnails(sample.pixels for sample in PhantomSkin(images=8).samples())
    for first in pictures:
        for second in pictures:
            assert tangent_distance(first, second) == pytest.approx(
                reference(first, second), abs=1e-6
            )


@given(seed=st.integers(0, 1000), gain=st.floats(0.5, 1.2), lift=st.integers(0, 10))
def test_brightness_and_contrast_do_not_count(seed, gain, lift):
    pixels = np.random.default_rng(seed).integers(0, 200, (32, 32), dtype=np.uint8)
    changed = (pixels * gain + lift).round().astype(np.uint8)
    assert tangent_distance(pixels, changed) < 0.02


def test_every_pair_is_compared_whatever_block_it_lies_in():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2 * BLOCK + 9, 32, 32), dtype=np.uint8)
    copies = [(0, 2 * BLOCK + 8), (1, 2), (BLOCK - 1, BLOCK), (BLOCK + 1, 2 * BLOCK)]
    for first, second in copies:
        pictures[second] = pictures[first]
    pairs = list(near_duplicates(pictures))
    assert [pair[:2] for pair in pairs] == copies
    assert [pair[2] for pair in pairs] == pytest.approx([0] * 4, abs=1e-6)


def test_pairs_come_in_ascending_order():
    assert [pair[:2] for pair in near_duplicates(np.tile(pattern(), (3, 1, 1)))] == [
        (0, 1),
        (0, 2),
        (1, 2),
    ]


def pattern():
    return np.random.default_rng(1).integers(0, 256, (32, 32), dtype=np.uint8)


def test_a_constant_image_is_like_no_other():
    flat = np.full((32, 32), 9, np.uint8)
    assert list(near_duplicates(np.stack([flat, flat, pattern()]))) == []
    assert tangent_distance(flat, pattern()) is None


def test_an_image_that_varies_along_one_axis_only_has_fewer_tangents():
    stripes = np.tile(np.arange(32, dtype=np.uint8) ** 2 % 97, (32, 1))
    assert tangent_distance(stripes, stripes) == pytest.approx(0, abs=1e-6)
    assert tangent_distance(stripes, stripes.T.copy()) == pytest.approx(1, abs=1e-6)


def test_of_no_images_there_are_no_pairs():
    assert list(near_duplicates(np.zeros((0, 32, 32), np.uint8))) == []


@pytest.mark.parametrize("difference", [0, 1, -0.1, float("nan")])
def test_a_difference_out_of_its_range_is_named(difference):
    with pytest.raises(ParameterError, match="difference is"):
        near_duplicates(np.zeros((2, 32, 32), np.uint8), difference)


def test_other_arrays_are_named():
    with pytest.raises(DataError, match=r"\(2, 16, 16\)"):
        near_duplicates(np.zeros((2, 16, 16), np.uint8))
    with pytest.raises(DataError, match="float64"):
        near_duplicates(np.zeros((2, 32, 32)))
    with pytest.raises(DataError, match=r"\(64, 64\)"):
        thumbnail(np.zeros((64, 64), np.uint8))


def test_pairs_with_others_are_those_of_all_that_lie_in_both():
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 200, (9, 32, 32), dtype=np.uint8)
    pictures[7], pictures[3], pictures[5] = pictures[1] + 9, pictures[2] + 4, pictures[0] + 7
    whole = [pair[:2] for pair in near_duplicates(pictures)]
    assert whole == [(0, 5), (1, 7), (2, 3)]
    across = [
        (one, other + 4) for one, other, _ in near_duplicates(pictures[:4], 0.07, pictures[4:])
    ]
    assert across == [pair for pair in whole if pair[0] < 4 <= pair[1]]
