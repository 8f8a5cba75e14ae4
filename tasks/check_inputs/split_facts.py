"""Facts of a split: who is listed, how large each part is, how each label fell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from saliency_audit.datasets.splitting import SPLITS, SplitParameters
from tasks import places
from tasks.artifacts import read_columns
from tasks.gates.rule import Facts
from tasks.tables.split import SPLIT


def listing_facts(dataset: str, images: Facts) -> Facts:
    """Say of each row of the split table whether there is such an image."""
    listed = read_columns(places.split(dataset) / "split.parquet", SPLIT, ["image_id"])
    ids, known = listed.column("image_id").to_pylist(), set(images.columns["image_id"])
    return Facts(
        "split", ("image_id",), {"image_id": ids, "is_image": [name in known for name in ids]}
    )


def size_facts(images: Facts, split: SplitParameters) -> Facts:
    """Give each split's share of the images, and that which was asked for."""
    counts = Counter(images.columns["split"])
    wanted = split.shares() / split.shares().sum()
    return Facts(
        "splits",
        ("split",),
        {
            "split": list(SPLITS),
            "images": [counts[name] for name in SPLITS],
            "share": [counts[name] / max(1, len(images)) for name in SPLITS],
            "wanted": [float(value) for value in wanted],
        },
    )


def label_facts(images: Facts, labels: Sequence[str]) -> Facts:
    """Give per label how probable it is that chance dealt its groups so unevenly.

    Groups with the label, against groups without it, over the splits: Pearson's chi-squared test
    of homogeneity. A split that is stratified is more even than chance; one that is not independent
    of the label is less. Where too few groups are expected for the test (Cochran's rule: some
    expectation below 1, or below 5 in a fifth of the cells), there is no probability.
    """
    columns = images.columns
    first: dict[str, str | None] = {}
    owned: dict[str, set[str]] = {}
    for group, split, names in zip(
        columns["group_id"], columns["split"], columns["labels"], strict=True
    ):
        first.setdefault(group, split)
        owned.setdefault(group, set()).update(json.loads(names))
    tables = [_dealt(first, owned, label) for label in labels]
    return Facts(
        "labels",
        ("label",),
        {
            "label": list(labels),
            "groups": [int(table[0].sum()) for table in tables],
            "probability": [_probability(table) for table in tables],
        },
    )


def _dealt(first: dict[str, str | None], owned: dict[str, set[str]], label: str) -> Any:
    """Count groups (2, splits): those with a label, and those without."""
    table = np.zeros((2, len(SPLITS)), np.int64)
    for group, split in first.items():
        if split in SPLITS:
            table[int(label not in owned[group]), SPLITS.index(split)] += 1
    return table


def _probability(table: Any) -> float | None:
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import expected_freq

    if not table.sum(axis=0).all() or not table.sum(axis=1).all():
        return None
    expected = expected_freq(table)
    if expected.min() < 1 or (expected < 5).mean() > 0.2:
        return None
    return float(chi2_contingency(table, correction=False).pvalue)
