"""What a summary holds of agreement: how often methods share a cell, beside chance."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.means import Mean
from saliency_audit.statistics.resampling import Interval


@dataclass(frozen=True)
class Votes:
    """``rows`` whose most agreed cell has exactly so many ``votes``, and their share by chance."""

    votes: int
    rows: int
    chance: float


@dataclass(frozen=True)
class Shared(Mean):
    """Mean number of top cells that two methods share, beside ``chance``."""

    chance: float
    difference: Interval


@dataclass(frozen=True)
class NearUnanimous:
    """Share of rows in which all valid methods but one, or all, share a cell, beside ``chance``.

    ``needed``: votes for that, k, by the number of valid methods, n.
    """

    needed: dict[str, int]
    share: Mean
    chance: Mean
    difference: Interval


@dataclass(frozen=True)
class OfSet:
    """Agreement of a set of methods.

    ``status``: ``ok``, or why no figure has a value: ``too_few_methods`` or ``no_rows``; ``n``:
    methods of the set that explain the audit; ``rows``: those in which three or more can vote,
    which all figures are of, and ``too_few``: the others; ``valid_methods``: rows by how many can;
    ``highest``: by that number, n; ``mean_votes``: by cell, row by row of the image.
    """

    status: str
    n: int
    rows: int
    too_few: int
    valid_methods: dict[str, int]
    highest: dict[str, list[Votes]]
    mean_votes: list[float | None]
    highest_mean: Mean
    highest_mean_correct: Mean
    highest_mean_incorrect: Mean
    shared: Shared
    near_unanimous: NearUnanimous


@dataclass(frozen=True)
class Pairs:
    """Top cells that two methods share, by the first and the second, beside ``chance``."""

    shared: dict[str, dict[str, Mean]]
    chance: float


@dataclass(frozen=True)
class Agreement:
    """Agreement by set of methods and by pair, on a grid of so many cells a side."""

    sets: dict[str, OfSet]
    pairs: Pairs
    grid: int
