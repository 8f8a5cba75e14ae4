"""Splits against properties, the shares asked for, and scikit-learn's grouped folds."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.datasets.csv_rows import read_csv
from saliency_audit.datasets.splitting import SPLITS, SplitParameters, split_groups
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling

NAMES = ("a", "b", "c")


@st.composite
def datasets(draw):
    """Groups of one to four images with any labels, at least as many as there are splits."""
    groups = draw(st.lists(st.integers(1, 4), min_size=4, max_size=30))
    group_ids = [f"g{n}" for n, size in enumerate(groups) for _ in range(size)]
    chosen = st.lists(st.sampled_from(NAMES), unique=True).map(lambda x: tuple(sorted(x)))
    labels = draw(st.lists(chosen, min_size=len(group_ids), max_size=len(group_ids)))
    return [f"i{n}" for n in range(len(group_ids))], group_ids, labels


def split(data, parameters=SplitParameters(), names=NAMES):  # noqa: B008
    return split_groups(*data, names, parameters, labelling=Labelling.MULTILABEL)


@given(datasets())
def test_no_group_is_in_two_splits_and_no_split_is_empty(data):
    found = split(data)
    places = defaultdict(set)
    for group, name in zip(data[1], found.splits, strict=True):
        places[group].add(name)
    assert all(len(names) == 1 for names in places.values())
    assert set(found.splits) == set(SPLITS)
    assert found.leaking == 0


@given(datasets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(data, random):
    order = list(range(len(data[0])))
    random.shuffle(order)
    shuffled = tuple([column[n] for n in order] for column in data)
    straight = dict(zip(data[0], split(data).splits, strict=True))
    assert dict(zip(shuffled[0], split(shuffled).splits, strict=True)) == straight


@given(datasets())
def test_the_counts_are_those_of_the_rows(data):
    found = split(data)
    for entry in found.labels:
        for name in SPLITS:
            rows = [
                group
                for group, labels, part in zip(data[1], data[2], found.splits, strict=True)
                if part == name and (entry.label in labels or (not entry.label and not labels))
            ]
            assert entry.images[name] == len(rows)
            assert entry.groups[name] == len(set(rows))


def test_shares_are_exact_where_they_can_be():
    ids = [f"i{n}" for n in range(400)]
    labels = [(NAMES[n % 2],) for n in range(400)]
    found = split_groups(ids, ids, labels, NAMES[:2], SplitParameters())
    for entry in found.labels:
        assert entry.images == {"train": 140, "test": 40, "tune": 10, "calibrate": 10}
        assert entry.status == "ok"


def test_other_proportions_and_seeds():
    ids = [f"i{n}" for n in range(200)]
    xaimed = SplitParameters(train=64, validation=16, test=20)
    found = split_groups(ids, ids, [("a",)] * 200, ("a",), xaimed)
    assert [found.splits.count(n) for n in SPLITS] == [128, 40, 16, 16]
    reseeded = SplitParameters(train=64, validation=16, test=20, seed=1)
    other = split_groups(ids, ids, [("a",)] * 200, ("a",), reseeded)
    assert other.splits != found.splits


def ham10000(real_data):
    rows = [row.cells for row in read_csv(real_data / "ham10000/HAM10000_metadata.csv").rows]
    ids = [row["image_id"] for row in rows]
    return ids, [row["lesion_id"] for row in rows], [(row["dx"],) for row in rows]


def largest_miss(labels, splits, shares):
    """Largest distance, in images, of a label's number in a split from the number asked for."""
    labels, splits = np.array([names[0] for names in labels]), np.array(splits)
    return max(
        abs((splits[labels == name] == part).sum() - share * (labels == name).sum())
        for name in set(labels.tolist())
        for part, share in shares.items()
    )


def test_ham10000_is_stratified_at_least_as_well_as_by_scikit_learn(real_data):
    from sklearn.model_selection import StratifiedGroupKFold

    columns = zip(*ham10000(real_data), strict=True)
    # A fourth of the lesions: scikit-learn takes its time.
    ids, groups, labels = zip(*(row for row in columns if int(row[1][4:]) % 4 == 0), strict=True)
    names = sorted({names[0] for names in labels})
    found = split_groups(ids, groups, labels, names, SplitParameters())
    ours = largest_miss(
        labels, found.splits, {"train": 0.7, "test": 0.2, "tune": 0.05, "calibrate": 0.05}
    )
    folds = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=0)
    _, test = next(folds.split(ids, [names[0] for names in labels], groups))
    theirs = np.full(len(ids), "train", dtype="<U5")
    theirs[test] = "test"
    # No split of whole images can be nearer than a rounding.
    assert ours <= max(1.0, largest_miss(labels, theirs, {"train": 0.8, "test": 0.2}))


def test_lesions_with_several_images_are_in_every_split(real_data):
    """Dealing the largest groups first must not leave training with all of them."""
    ids, groups, labels = ham10000(real_data)
    names = sorted({names[0] for names in labels})
    found = split_groups(ids, groups, labels, names, SplitParameters())
    several = {group for group, count in Counter(groups).items() if count > 1}
    parts = dict(zip(groups, found.splits, strict=True))
    for part, share in (("train", 0.7), ("test", 0.2), ("tune", 0.05), ("calibrate", 0.05)):
        number = sum(parts[group] == part for group in several)
        assert abs(number / len(several) - share) < 0.005


def test_splitting_by_image_leaks_groups_and_says_how_many(real_data):
    ids, groups, labels = ham10000(real_data)
    names = sorted({names[0] for names in labels})
    found = split_groups(ids, groups, labels, names, SplitParameters(by="image"))
    places = defaultdict(set)
    for group, part in zip(groups, found.splits, strict=True):
        places[group].add(part)
    leaking = sum(len(parts) > 1 for parts in places.values())
    assert found.leaking == leaking > 0
    assert found.to_json()["leaking_groups"] == leaking
    assert found.to_json()["groups"] == 7470


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_class_with_fewer_groups_than_splits_goes_to_training_first(groups):
    ids = [f"i{n}" for n in range(60)]
    labels = [("b",) if n < groups else ("a",) for n in range(60)]
    for parameters in (SplitParameters(), SplitParameters(train=30, validation=10, test=60)):
        found = split_groups(ids, ids, labels, ("a", "b"), parameters)
        entry = found.labels[1]
        assert entry.status == "few_groups"
        assert entry.groups["train"] >= 1


def test_images_without_a_label_are_stratified_too():
    ids = [f"i{n}" for n in range(200)]
    labels = [() if n % 2 else ("a",) for n in range(200)]
    found = split_groups(ids, ids, labels, ("a",), SplitParameters())
    assert [entry.label for entry in found.labels] == ["a", ""]
    assert found.labels[1].images == found.labels[0].images


def test_one_group_only_is_refused():
    ids = [f"i{n}" for n in range(20)]
    with pytest.raises(DataError, match=r"1 group\(s\) and 4 are needed"):
        split_groups(ids, ["p"] * 20, [("a",)] * 20, ("a",), SplitParameters())


def test_a_label_that_training_lacks_is_an_error_of_classes_and_a_status_of_findings():
    ids = [f"i{n}" for n in range(20)]
    with pytest.raises(DataError, match="training has no image with the label b"):
        split_groups(ids, ids, [("a",)] * 20, ("a", "b"), SplitParameters())
    found = split_groups(ids, ids, [("a",), ()] * 10, ("a", "b"), SplitParameters())
    assert found.labels[1].status == "no_image"
    told = split_groups(
        ids, ids, [("a",)] * 20, ("a", "b"), SplitParameters(), labelling=Labelling.MULTILABEL
    )
    assert told.labels[1].status == "no_image"


def test_a_finding_may_be_missing_from_training_through_its_only_group():
    """One patient brings b; another finding has already sent that patient elsewhere, or not."""
    ids = [f"i{n}" for n in range(12)]
    labels = [("a", "b")] + [("a",)] * 11
    found = split_groups(ids, ids, labels, ("a", "b"), SplitParameters())
    assert found.labels[1].images["train"] == 1


@pytest.mark.parametrize(
    ("ids", "labels", "message"),
    [
        (["i0", "i1", "i2", "i3", "i0"], [("a",)] * 5, "image i0 occurs more than once"),
        (["i0", "i1", "i2", "i3", "i4"], [("x",)] * 5, "unknown label 'x'"),
    ],
)
def test_repeated_images_and_unknown_labels_are_refused(ids, labels, message):
    with pytest.raises(DataError, match=message):
        split_groups(ids, ids, labels, ("a",), SplitParameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"by": "patient"}, "by is 'patient'"),
        ({"train": 0}, "train is 0"),
        ({"train": 80}, "is 110: give percents that add up to 100"),
    ],
)
def test_parameters_out_of_range(wrong, message):
    with pytest.raises(ParameterError, match=message):
        SplitParameters(**wrong)
