"""Which part of an audit each image serves: grouped, stratified and seeded."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Count, Seed

#: The parts, in the order in which they are served when all else is equal.
SPLITS = ("train", "test", "tune", "calibrate")
TRAIN = SPLITS.index("train")
#: Statuses of labels that an image must have one of, which nothing can be trained on.
UNTRAINED = ("no_image", "not_in_train")

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SplitParameters(Checked):
    """How images are split.

    ``by``: ``group`` keeps a patient or lesion in one split; ``image`` does not, as in the SegX
    paper; ``train``, ``validation``, ``test``: percent of images, whole numbers of 1 or more that
    add up to 100; half of validation tunes, the other half calibrates; ``seed``: of the order in
    which equal groups are taken.

    >>> SplitParameters(train=70, validation=20, test=20)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: train + validation + test is 110: give percents
    that add up to 100
    """

    by: Literal["group", "image"] = "group"
    train: Count = 70
    validation: Count = 10
    test: Count = 20
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the ranges, and that the percents add up; raises ParameterError."""
        super().__post_init__()
        total = self.train + self.validation + self.test
        if total != 100:
            raise ParameterError(
                f"train + validation + test is {total}: give percents that add up to 100"
            )

    @property
    def words(self) -> str:
        """What share goes where, and what is kept together.

        >>> SplitParameters().words
        '70 % train, 10 % tune and calibrate, 20 % test; whole patients or lesions; seed 0'
        """
        together = "whole patients or lesions" if self.by == "group" else "image by image"
        return (
            f"{self.train} % train, {self.validation} % tune and calibrate, {self.test} % test; "
            f"{together}; seed {self.seed}"
        )

    def shares(self) -> Counts:
        """Share of each of ``SPLITS``, in half percents, so that half of 5 % is exact."""
        return np.array([2 * self.train, 2 * self.test, self.validation, self.validation])


@dataclass(frozen=True)
class LabelSplit:
    """How one label fell: images and groups that have it, by split.

    ``status``, first that applies: ``no_image`` (no image has the label), ``not_in_train``,
    ``few_groups`` (fewer groups than splits, so that some split has none), ``not_in_test``,
    ``ok``.
    """

    label: str
    status: str
    images: dict[str, int]
    groups: dict[str, int]


@dataclass(frozen=True)
class SplitResult:
    """The split of a dataset.

    ``splits``: per image, ``train``, ``tune``, ``calibrate`` or ``test``; ``groups``: number of
    patients or lesions; ``leaking``: those with images in more than one split (0 by group);
    ``labels``: how each label fell; images without any label are counted under ``""``.
    """

    splits: list[str]
    by: str
    groups: int
    leaking: int
    labels: list[LabelSplit] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file: all but the rows."""
        return {
            "by": self.by,
            "images": {name: self.splits.count(name) for name in SPLITS},
            "groups": self.groups,
            "leaking_groups": self.leaking,
            "labels": [
                {"label": e.label, "status": e.status, "images": e.images, "groups": e.groups}
                for e in self.labels
            ],
        }


def split_groups(
    image_ids: Sequence[str],
    group_ids: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    label_names: Sequence[str],
    parameters: SplitParameters,
    *,
    labelling: Labelling | None = None,
) -> SplitResult:
    """Split images by iterative stratification over groups.

    One entry per image in ``image_ids``, ``group_ids`` and ``labels``; ``label_names``: all
    labels, in order; ``labelling``: found from ``labels`` where it is not given (multi-label
    where an image has no label or more than one). The order of rows does not matter.

    Source: Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data" (2011),
    Algorithm 1: the label with the fewest groups left is dealt out first, each group to the split
    that misses most images with that label. Here a group counts with its number of images,
    larger groups go first and are spread over the splits by size, images without a label are a
    label of their own, a label with fewer groups than splits goes to training first, and no split
    stays empty.

    Raises DataError for fewer groups than splits, an unknown label, a repeated image, and a label
    that training lacks; where images have several labels the last is a status instead.

    >>> ids = [f"image{n}" for n in range(20)]
    >>> found = split_groups(ids, ids, [("a",)] * 20, ["a"], SplitParameters())
    >>> found.splits.count("train")
    14
    """
    if labelling is None:
        several = any(len(names) != 1 for names in labels)
        labelling = Labelling.MULTILABEL if several else Labelling.MULTICLASS
    _check_rows(image_ids, group_ids, labels, label_names)
    keys = list(image_ids) if parameters.by == "image" else list(group_ids)
    members = _by_group(image_ids, keys)
    if len(members) < len(SPLITS):
        raise DataError(
            f"the dataset has {len(members)} {'image' if parameters.by == 'image' else 'group'}(s) "
            f"and {len(SPLITS)} are needed, one each for {', '.join(SPLITS)}: "
            "give more patients or lesions, or check the column that names them"
        )
    names = sorted(members, key=lambda name: _rank(name, parameters.seed))
    presence = _presence(labels, label_names)
    counts = np.stack([presence[members[name]].sum(axis=0) for name in names])
    sizes = np.array([len(members[name]) for name in names])
    chosen = _deal(counts, sizes, parameters.shares())
    splits = [""] * len(image_ids)
    for name, split in zip(names, chosen, strict=True):
        for row in members[name]:
            splits[row] = SPLITS[split]
    found = _label_splits(splits, group_ids, presence, [*label_names, ""])
    if labelling is not Labelling.MULTILABEL:
        _refuse_untrained(found)
    return SplitResult(
        splits, parameters.by, len(set(group_ids)), _leaking(splits, group_ids), found
    )


def _check_rows(
    image_ids: Sequence[str],
    group_ids: Sequence[str],
    labels: Sequence[tuple[str, ...]],
    label_names: Sequence[str],
) -> None:
    if not len(image_ids) == len(group_ids) == len(labels):
        raise ValueError("image_ids, group_ids and labels differ in length")
    if len(set(image_ids)) != len(image_ids):
        seen: set[str] = set()
        twice = next(i for i in image_ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise DataError(f"image {twice} occurs more than once: give every image its own id")
    known = set(label_names)
    for image_id, names in zip(image_ids, labels, strict=True):
        unknown = [name for name in names if name not in known]
        if unknown:
            raise DataError(
                f"image {image_id} has the unknown label {unknown[0]!r}: "
                f"known are {', '.join(label_names)}"
            )


def _by_group(image_ids: Sequence[str], keys: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for row in sorted(range(len(keys)), key=lambda row: image_ids[row]):
        members[keys[row]].append(row)
    return members


def _presence(labels: Sequence[tuple[str, ...]], label_names: Sequence[str]) -> Counts:
    """Label presence, 0 or 1 (images, labels + 1); the last column says that there is none."""
    column = {name: number for number, name in enumerate(label_names)}
    presence = np.zeros((len(labels), len(column) + 1), np.int64)
    for row, names in enumerate(labels):
        presence[row, [column[name] for name in names] or [-1]] = 1
    return presence


def _rank(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _deal(counts: Counts, sizes: Counts, shares: Counts) -> list[int]:
    """Deal groups to splits; gives the number of the split per group.

    ``counts``: images by group and label; ``sizes``: images by group; ``shares``: by split.
    What a split still misses is kept in whole numbers, so that ties are ties.
    """
    whole = int(shares.sum())
    wanted = np.outer(shares, counts.sum(axis=0))  # (splits, labels)
    wanted_all = shares * int(sizes.sum())
    # Of each label, also by how many images of it a group has: otherwise the large groups, which
    # go first, would all go to training.
    alike: dict[tuple[int, int], Counts] = {
        (label, int(count)): shares * int(count) * int((counts[:, label] == count).sum())
        for label in range(counts.shape[1])
        for count in np.unique(counts[:, label])
    }
    chosen = np.full(len(sizes), -1)
    left = np.ones(len(sizes), bool)
    while left.any():
        remaining = (counts[left] > 0).sum(axis=0)
        label = int(np.argmin(np.where(remaining > 0, remaining, np.iinfo(np.int64).max)))
        having = counts[:, label] > 0
        holders = np.flatnonzero(left & having)
        least = int(counts[holders, label].min())
        # Large groups first: small ones can then fill what is left. Stable, so seeded.
        for group in holders[np.lexsort((-sizes[holders], -counts[holders, label]))]:
            count = int(counts[group, label])
            of_size = alike[label, count] if count > least else np.zeros_like(shares)
            few = having.sum() < len(shares) and not (chosen[having] == TRAIN).any()
            split = TRAIN if few else _neediest(of_size, wanted[:, label], wanted_all)
            chosen[group] = split
            wanted[split] -= whole * counts[group]
            wanted_all[split] -= whole * sizes[group]
            for own in np.flatnonzero(counts[group]):
                alike[int(own), int(counts[group, own])][split] -= whole * counts[group, own]
            left[group] = False
    _fill_empty(chosen, counts, sizes, len(shares))
    return [int(split) for split in chosen]


def _neediest(*wanted: Counts) -> int:
    """Find the split that misses most; ties go to what is given later, then to the first."""
    return max(
        range(len(wanted[0])), key=lambda split: (*(int(part[split]) for part in wanted), -split)
    )


def _fill_empty(chosen: Counts, counts: Counts, sizes: Counts, splits: int) -> None:
    """Give each split without a group the smallest one that the richest split can spare."""
    for split in range(splits):
        if not (chosen == split).any():
            richest = int(np.argmax(np.bincount(chosen, minlength=splits)))
            donors = np.flatnonzero(chosen == richest)
            # A group that alone brings a label to its split is the last to leave it.
            holders = (counts[donors] > 0).sum(axis=0)
            alone = ((counts[donors] > 0) & (holders == 1)).any(axis=1)
            chosen[donors[np.lexsort((sizes[donors], alone))[0]]] = split


def _label_splits(
    splits: Sequence[str], group_ids: Sequence[str], presence: Counts, names: Sequence[str]
) -> list[LabelSplit]:
    found = []
    for column, label in enumerate(names):
        rows = [int(row) for row in np.flatnonzero(presence[:, column])]
        images = dict.fromkeys(SPLITS, 0)
        groups: dict[str, set[str]] = {name: set() for name in SPLITS}
        for row in rows:
            images[splits[row]] += 1
            groups[splits[row]].add(group_ids[row])
        if label or rows:
            status = _status(images, len({group_ids[row] for row in rows}))
            numbers = {name: len(members) for name, members in groups.items()}
            found.append(LabelSplit(label, status, images, numbers))
    return found


def _status(images: dict[str, int], groups: int) -> str:
    if not groups:
        return "no_image"
    if not images["train"]:
        return "not_in_train"
    if groups < len(SPLITS):
        return "few_groups"
    return "ok" if images["test"] else "not_in_test"


def _refuse_untrained(found: Sequence[LabelSplit]) -> None:
    bad = [entry.label for entry in found if entry.status in UNTRAINED]
    if bad:
        raise DataError(
            f"training has no image with the label {', '.join(bad)}: "
            "take the label out of the dataset, or add images that have it"
        )


def _leaking(splits: Sequence[str], group_ids: Sequence[str]) -> int:
    places: dict[str, set[str]] = defaultdict(set)
    for split, group in zip(splits, group_ids, strict=True):
        places[group].add(split)
    return sum(len(found) > 1 for found in places.values())
