"""Choosing some images of many: seeded, stratified, and stable when images are added."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence
from fractions import Fraction

from saliency_audit.errors import ParameterError


def choose(
    image_ids: Sequence[str],
    strata: Sequence[Hashable],
    count: int | None,
    seed: int,
    *,
    group_ids: Sequence[str] | None = None,
) -> list[str]:
    """Choose ``count`` images, each stratum in proportion to its size; gives ascending ids.

    ``strata``: one per image; ``count``: None for all, or 1 or more, and at most all are given.
    Shares are rounded by largest remainder (ties to the stratum that comes first in sorted
    order). Within a stratum the order is that of a seeded digest of the id, so that an image
    keeps its rank when others come or go. With ``group_ids``, one per image, the digest is that
    of the group, so that a patient's or lesion's images are chosen together. Raises
    ParameterError for a count below 1.

    >>> choose(["a", "b", "c", "d"], ["x", "x", "y", "y"], 2, seed=0) in (
    ...     ["a", "c"], ["a", "d"], ["b", "c"], ["b", "d"])
    True
    """
    if count is None or count >= len(image_ids):
        return sorted(image_ids)
    if count < 1:
        raise ParameterError(f"{count} images were asked for: give 1 or more")
    members: dict[Hashable, list[str]] = defaultdict(list)
    for image_id, stratum in zip(image_ids, strata, strict=True):
        members[stratum].append(image_id)
    groups = dict(zip(image_ids, group_ids or image_ids, strict=True))
    chosen: list[str] = []
    for stratum, share in _shares({s: len(m) for s, m in members.items()}, count).items():
        ranked = sorted(members[stratum], key=lambda i: (_rank(groups[i], seed), i))
        chosen += ranked[:share]
    return sorted(chosen)


def _rank(image_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{image_id}".encode()).digest()


def _shares(sizes: dict[Hashable, int], count: int) -> dict[Hashable, int]:
    total = sum(sizes.values())
    exact = {s: Fraction(size * count, total) for s, size in sizes.items()}
    shares = {s: int(value) for s, value in exact.items()}
    by_remainder = sorted(exact, key=lambda s: (shares[s] - exact[s], repr(s)))
    for stratum in by_remainder[: count - sum(shares.values())]:
        shares[stratum] += 1
    return shares
