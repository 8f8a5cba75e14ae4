"""Profiles of phantoms: other seeds are the same, planted changes are not."""

import contextlib

import numpy as np
import pytest
from scipy import stats

from saliency_audit.datasets.encoding import decode_image, decode_mask, encode_image, pixel_sha256
from saliency_audit.progress import silent
from saliency_audit.quality.drift import DriftParameters, compare
from tasks import ingest, places
from tasks.artifacts import read_rows, write_table
from tasks.check_drift.dataset_profile import IMAGE_STATISTICS, measure, profile_dataset
from tasks.params import Parameters
from tasks.stage import Context
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS

SIZE, COUNT = 32, 300


def profile(folder, light=1.0, **settings):
    """Draw a phantom, its pixels times ``light``, and give its profile."""
    source = {"kind": "phantom_skin", "source": "", "images": COUNT, "size": [SIZE, SIZE]}
    tree = {"datasets": {"skin": {**source, **settings}}}
    with contextlib.chdir(folder):
        ingest.run(Context(Parameters(tree, ["datasets.skin"]), silent), "skin")
        if light != 1:
            lighten(places.ingest("skin") / "images.parquet", light)
        return profile_dataset("skin", silent)


def lighten(path, light):
    rows = list(read_rows(path, IMAGES))
    with write_table(IMAGES, path) as table:
        for row in rows:
            pixels = (decode_image(row["pixels"]) * light).clip(0, 255).astype(np.uint8)
            new = {"pixels": encode_image(pixels), "pixel_sha256": pixel_sha256(pixels)}
            table.write({**row, **new})


def drifted(first, second):
    return {own.name for own in compare(first, second, DriftParameters()) if own.drifted}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return folder, profile(folder, seed=0)


def test_other_seeds_are_the_same_in_20_pairs(tmp_path):
    profiles = [profile(tmp_path, seed=seed) for seed in range(100, 140)]
    pairs = zip(profiles[::2], profiles[1::2], strict=True)
    alarms = sum(bool(drifted(*pair)) for pair in pairs)
    assert alarms <= stats.binom.ppf(0.95, 20, DriftParameters().alpha)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"light": 1.15}, {"images/red", "images/green", "images/blue"}),
        ({"weights": [1.0, 2.0, 2.0, 2.0, 4.0]}, {"labels"}),
        ({"contrast": 0.4}, {"masks/sharpness"}),
        ({"noise": 0.06}, {"images/sharpness"}),
        ({"hairs": 10.0}, {"strata/hair"}),
    ],
)
def test_a_planted_change_is_named(first, tmp_path, changed, named):
    found = drifted(first[1], profile(tmp_path, seed=9, **changed))
    assert named <= found
    if "weights" in changed:
        assert found == {"labels"}


def test_image_statistics_are_their_definitions():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    grey = pixels.astype(float).mean(axis=2) / 255
    steps = [
        abs(grey[i, j] - grey[k, m])
        for i in range(5)
        for j in range(7)
        for k, m in ((i + 1, j), (i, j + 1))
        if k < 5 and m < 7
    ]
    full = [bool(np.isin(pixel, (0, 255)).any()) for pixel in pixels.reshape(-1, 3)]
    expected = [*(pixels[..., c].mean() / 255 for c in range(3)), grey.std()]
    expected += [np.mean(steps), np.mean(full)]
    assert dict(zip(IMAGE_STATISTICS, measure(pixels), strict=True)) == pytest.approx(
        dict(zip(IMAGE_STATISTICS, expected, strict=True))
    )


def test_mask_statistics_are_of_the_masks_of_their_image(first):
    folder, found = first
    place = folder / places.ingest("skin")
    pixels = {
        row["image_id"]: decode_image(row["pixels"])
        for row in read_rows(place / "images.parquet", IMAGES)
    }
    covered, sharpness = [], []
    for row in read_rows(place / "masks.parquet", MASKS):
        mask = decode_mask(row["mask"])
        covered.append(mask.mean())
        grey = np.where(mask, pixels[row["image_id"]].mean(axis=2) / 255, np.nan)
        steps = [np.abs(np.diff(grey, axis=axis)).ravel() for axis in (0, 1)]
        sharpness.append(np.nanmean(np.concatenate(steps)))
    # More values than a sketch keeps: the ends and the middle.
    for name, values in (("coverage", covered), ("sharpness", sharpness)):
        own = found[f"masks/{name}"]
        assert own.n == COUNT
        assert own.kept[0] == pytest.approx(min(values))
        assert own.kept[-1] == pytest.approx(max(values))
        assert own.kept[128] == pytest.approx(np.median(values), rel=0.01)
