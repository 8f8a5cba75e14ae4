"""Phantoms against what they promise: exact masks, structure inside them, planted shortcuts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from saliency_audit.datasets.phantom_chest import LABELS as FINDINGS
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_groups import group_of
from saliency_audit.datasets.phantom_shortcut import Shortcut
from saliency_audit.datasets.phantom_skin import LABELS as STRUCTURES
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.errors import ParameterError
from saliency_audit.labelling import EVERY_LABEL

SKIN = PhantomSkin(images=30, size=(48, 48))
CHEST = PhantomChest(images=30, size=(48, 48))
BOTH = pytest.mark.parametrize("source", [SKIN, CHEST], ids=["skin", "chest"])


def only(label: int, count: int = 5) -> tuple[float, ...]:
    """Weights under which one label is all but certain."""
    return tuple(1.0 if number == label else 1e-12 for number in range(count))


def share_inside(change: np.ndarray, mask: np.ndarray, reach: int = 2) -> float:
    """Share of a change (H, W) within ``reach`` pixels of a mask."""
    near = mask.copy()
    for _ in range(reach):
        grown = np.pad(near, 1)
        near = grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:] | near
    return float(change[near].sum() / change.sum())


@BOTH
def test_samples_keep_the_contract(source):
    description = source.describe()
    samples = list(source.samples())
    assert [s.image_id for s in samples] == sorted({s.image_id for s in samples})
    assert len(samples) == source.images
    for sample in samples:
        assert sample.pixels.shape == (*source.size, 3) and sample.pixels.dtype == np.uint8
        assert list(sample.labels) == [n for n in description.labels if n in sample.labels]
        assert set(sample.instances) == set(sample.labels)
        assert min(sample.instances.values(), default=1) >= 1
        expected = {EVERY_LABEL} if source is SKIN else set(sample.labels)
        assert set(sample.masks) == expected
        for mask in sample.masks.values():
            assert mask.shape == source.size and mask.dtype == np.bool_
            assert mask.any() and not mask.all()
        assert (sample.width, sample.height) == source.size[::-1]


@BOTH
def test_an_image_depends_on_seed_and_number_alone(source):
    few = list(replace(source, images=12).samples())
    many = list(replace(source, images=25).samples())[:12]
    other = list(replace(source, images=12, seed=1).samples())
    for a, b, c in zip(few, many, other, strict=True):
        assert a.image_id == b.image_id and a.group_id == b.group_id and a.labels == b.labels
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert (a.pixels != c.pixels).any()


def test_progress_counts_images():
    told = []
    list(replace(SKIN, images=3).samples(lambda done, total: told.append((done, total))))
    assert told == [(1, 3), (2, 3), (3, 3)]


@BOTH
def test_groups_are_runs_of_images_of_unequal_number(source):
    groups = defaultdict(list)
    for sample in replace(source, images=200, size=(16, 16)).samples():
        groups[sample.group_id].append(int(sample.image_id.rsplit("-", 1)[1]))
    for numbers in groups.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    sizes = {len(numbers) for numbers in groups.values()}
    assert {1, 2, 3} <= sizes <= {1, 2, 3, 4}


def test_a_lesion_keeps_its_label_in_every_view():
    labels = defaultdict(set)
    for sample in replace(SKIN, images=100, size=(16, 16)).samples():
        labels[sample.group_id].add(sample.labels)
    assert all(len(found) == 1 for found in labels.values())


def test_the_label_of_skin_changes_nothing_outside_of_the_mask():
    """Two phantoms that differ in the label alone: same numbers drawn, other structure."""
    for index in range(8):
        views = [replace(SKIN, weights=only(label)).draw(index) for label in range(5)]
        assert [view.labels for view in views] == [(name,) for name in STRUCTURES]
        mask = views[0].masks[EVERY_LABEL]
        for view in views[1:]:
            np.testing.assert_array_equal(view.masks[EVERY_LABEL], mask)
            np.testing.assert_array_equal(view.pixels[~mask], views[0].pixels[~mask])
            assert (view.pixels[mask] != views[0].pixels[mask]).any()


def test_labels_of_skin_are_as_frequent_as_their_weights():
    source = PhantomSkin(images=600, size=(16, 16), weights=(5, 1, 2, 1, 1))
    first = {s.group_id: s.labels[0] for s in source.samples()}
    found = np.array([list(first.values()).count(name) for name in STRUCTURES]) / len(first)
    expected = np.array(source.weights) / sum(source.weights)
    assert (abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / len(first))).all()


@pytest.mark.parametrize("label", range(1, 5))
def test_a_finding_changes_the_film_where_its_mask_is(label):
    absent = PhantomChest(size=(64, 64), noise=0, prevalence=(0,) * 5)
    present = replace(absent, prevalence=tuple(float(n == label) for n in range(5)))
    for index in (n for n in range(12) if group_of(0, n) == n):
        with_finding, without = present.draw(index), absent.draw(index)
        assert without.labels == () and with_finding.labels == (FINDINGS[label],)
        change = abs(with_finding.pixels.astype(float) - without.pixels)[..., 0]
        mask = with_finding.masks[FINDINGS[label]]
        assert share_inside(change, mask) > 0.8
        assert change[mask].mean() > 3 * change[~mask].mean()


def test_a_large_heart_is_larger_than_any_other():
    large = PhantomChest(size=(64, 64), prevalence=(1, 0, 0, 0, 0))
    areas = [large.draw(n).masks["cardiomegaly"].mean() for n in range(10)]
    assert min(areas) > 0.04
    assert all(large.draw(n).labels == ("cardiomegaly",) for n in range(10))


def test_films_have_none_one_and_several_findings():
    samples = list(replace(CHEST, images=150, size=(32, 32)).samples())
    assert {0, 1, 2} <= {len(sample.labels) for sample in samples}
    assert {sample.strata["view"] for sample in samples} == {"AP", "PA"}
    assert all(18 <= int(sample.strata["age"] or 0) <= 92 for sample in samples)


@BOTH
def test_an_image_looks_the_same_at_every_resolution(source):
    for index in range(6):
        small = replace(source, size=(48, 48), noise=0).draw(index)
        large = replace(source, size=(96, 96), noise=0).draw(index)
        reduced = large.pixels.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
        assert abs(reduced - small.pixels).mean() < 6
        assert small.labels == large.labels
        for label, mask in small.masks.items():
            assert abs(large.masks[label].mean() - mask.mean()) < 0.02


@BOTH
def test_an_image_may_be_wider_than_high(source):
    sample = replace(source, size=(32, 56)).draw(3)
    assert sample.pixels.shape == (32, 56, 3)
    assert (sample.width, sample.height) == (56, 32)


@BOTH
@pytest.mark.parametrize("kind", ["ruler", "marker"])
def test_a_shortcut_lies_outside_of_every_mask_and_changes_nothing_else(source, kind):
    label = source.describe().labels[1]
    planted = replace(source, images=40, shortcut=Shortcut(label, 1.0, 0.0, kind))
    clean = replace(source, images=40)
    for marked, plain in zip(planted.samples(), clean.samples(), strict=True):
        changed = (marked.pixels != plain.pixels).any(axis=2)
        has = label in marked.labels
        assert changed.any() == has
        assert marked.strata["shortcut"] == ("yes" if has else "no")
        assert changed.mean() < 0.2
        for name, mask in marked.masks.items():
            np.testing.assert_array_equal(mask, plain.masks[name])
            assert not (changed & mask).any()


def test_a_shortcut_goes_with_its_label_as_often_as_it_says():
    source = PhantomSkin(
        images=500,
        size=(16, 16),
        weights=(1, 1, 1, 1, 1),
        shortcut=Shortcut("veil", probability=0.8, otherwise=0.1),
    )
    found = [(s.labels == ("veil",), s.strata["shortcut"] == "yes") for s in source.samples()]
    for has, chance in ((True, 0.8), (False, 0.1)):
        marked = [shown for label, shown in found if label is has]
        assert abs(np.mean(marked) - chance) < 4 * np.sqrt(chance * (1 - chance) / len(marked))


def test_noise_and_hair_are_as_told():
    clean = replace(SKIN, noise=0, hairs=0)
    noisy = replace(clean, noise=0.05)
    for index in range(4):
        a, b = clean.draw(index), noisy.draw(index)
        middle = (a.pixels > 60) & (a.pixels < 195)
        spread = (b.pixels.astype(float) - a.pixels)[middle].std() / 255
        assert abs(spread - 0.05) < 0.005
        assert a.strata["hair"] == "none"


@pytest.mark.parametrize(
    ("kind", "wrong", "named"),
    [
        (PhantomSkin, {"images": 0}, "images"),
        (PhantomSkin, {"size": (8, 64)}, "size"),
        (PhantomSkin, {"seed": -1}, "seed"),
        (PhantomSkin, {"noise": 2}, "noise"),
        (PhantomSkin, {"contrast": 0}, "contrast"),
        (PhantomSkin, {"weights": (1, 1)}, "weights"),
        (PhantomSkin, {"weights": (1, 1, 1, 1, 0)}, "weights"),
        (PhantomSkin, {"hairs": -1}, "hairs"),
        (PhantomSkin, {"max_set_aside": 2}, "max_set_aside"),
        (PhantomSkin, {"shortcut": Shortcut("mole")}, "shortcut.label"),
        (PhantomChest, {"prevalence": (1, 1, 1, 1, 2)}, "prevalence"),
        (PhantomChest, {"contrast": 2}, "contrast"),
        (PhantomChest, {"shortcut": Shortcut("veil")}, "shortcut.label"),
        (Shortcut, {"label": "veil", "otherwise": -1}, "otherwise"),
        (Shortcut, {"label": "veil", "kind": "stamp"}, "kind"),
    ],
)
def test_parameters_out_of_range_are_named(kind, wrong, named):
    with pytest.raises(ParameterError, match=f"^{named} is "):
        kind(**wrong)
