"""Has a distribution moved since it was accepted? Samples as sketches, and their comparison.

A sample is kept as a sketch: order statistics of numbers, or counts of kinds. Two sketches of
numbers are compared by Kolmogorov and Smirnov's test, two of kinds by the chi-square test of
homogeneity; all p-values are corrected together (Holm 1979). Images of one patient or lesion
resemble each other, so a sample weighs as much as its groups, not as its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saliency_audit.errors import DataError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Interval, NotNegative, OpenShare, Share

Numbers = NDArray[np.float64]

#: Order statistics that a sketch keeps at most, and the significant digits of each.
MOST_KEPT, DIGITS = 257, 9

#: Kinds expected less often than this in either sample are counted together (Cochran 1954).
LEAST_EXPECTED = 5


@dataclass(frozen=True)
class DriftParameters(Checked):
    """When a distribution counts as another one.

    ``alpha``: chance of a false alarm over all statistics, in (0, 1); ``distance``: the least
    Kolmogorov-Smirnov distance that matters, 0 to 1; ``psi``: the least population stability
    index that matters, 0 or more; ``groups``: patients or lesions that a sample needs, 2 or more.

    >>> DriftParameters(alpha=5)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: alpha is 5: give above 0, below 1
    """

    alpha: OpenShare = 0.01
    distance: Share = 0.1
    psi: NotNegative = 0.1
    groups: Annotated[int, Interval(ge=2)] = 20


@dataclass(frozen=True)
class Sketch:
    """A sample of numbers: evenly spaced order statistics, the lowest and the highest among them.

    ``n``: numbers; ``groups``: independent groups that they count as (``effective_groups``);
    ``kept``: rising, all n of them or ``MOST_KEPT``, to 9 significant digits.
    """

    n: int
    groups: float
    kept: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {**asdict(self), "kept": list(self.kept)}

    def quantile(self, share: float) -> float | None:
        """Give the number below which a share of the sample lies, None of an empty sample.

        >>> sketch([1.0, 2.0, 4.0], ["a", "b", "c"]).quantile(0.5)
        2.0
        """
        return float(np.quantile(self.kept, share)) if self.kept else None


@dataclass(frozen=True)
class Counts:
    """A sample of kinds: how often each occurs; ``n`` and ``groups`` as of a ``Sketch``."""

    n: int
    groups: float
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        return {"n": self.n, "groups": self.groups, "counts": dict(self.counts)}


Sample = Sketch | Counts


class Status(StrEnum):
    """Whether a statistic was compared: else it is new, gone, or of too few groups to tell."""

    OK = "ok"
    NEW = "new"
    GONE = "gone"
    TOO_FEW = "too_few"


@dataclass(frozen=True)
class Comparison:
    """One statistic of a reference and of now.

    ``test``: ``ks`` or ``chi_square``; ``effect``: the Kolmogorov-Smirnov distance, or the
    population stability index; ``p`` as it is and ``corrected`` for the number of statistics;
    all None unless ``status`` is ``ok``. ``n_reference``, ``n``: rows, 0 where there is no sample.
    """

    name: str
    status: Status
    n_reference: int
    n: int
    test: str | None = None
    effect: float | None = None
    p: float | None = None
    corrected: float | None = None
    drifted: bool = False


def effective_groups(groups: Sequence[str]) -> float:
    """Independent rows that the rows of groups (n,) count as: (Σm)² / Σm² of their sizes m.

    The variance of a share over rows that are all alike within their group (Kish 1965, §5.4 and
    §8.2); rows that differ within a group say more than that, never less. It is the number of
    groups where these have one size.

    >>> effective_groups(["a", "a", "b", "b"]), effective_groups(["a", "a", "a", "b"])
    (2.0, 1.6)
    >>> effective_groups([])
    0.0
    """
    if not len(groups):
        return 0.0
    sizes = np.unique(np.asarray(groups), return_counts=True)[1]
    return _rounded(float(sizes.sum() ** 2 / np.sum(sizes**2)))


def sketch(values: ArrayLike, groups: Sequence[str]) -> Sketch:
    """Sketch numbers (n,), each of a group (n,); raises DataError where one is not finite.

    >>> sketch([0.5, 0.25], ["a", "b"])
    Sketch(n=2, groups=2.0, kept=(0.25, 0.5))
    """
    numbers = np.sort(np.asarray(values, dtype=np.float64))
    if not np.isfinite(numbers).all():
        raise DataError("a statistic is not finite: leave out the rows that have no value")
    kept = numbers[_ranks(len(numbers), min(len(numbers), MOST_KEPT)) - 1]
    return Sketch(
        len(numbers), effective_groups(groups), tuple(_rounded(value) for value in kept.tolist())
    )


def count(kinds: Sequence[str], groups: Sequence[str]) -> Counts:
    """Count kinds (n,), each of a group (n,).

    >>> count(["nevus", "melanoma", "nevus"], ["a", "b", "c"])
    Counts(n=3, groups=3.0, counts={'melanoma': 1, 'nevus': 2})
    """
    names, counts = np.unique(np.asarray(kinds, dtype=str), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return Counts(len(kinds), effective_groups(groups), found)


def sample_of(raw: Mapping[str, Any]) -> Sample:
    """Give the sample that ``to_json`` wrote; raises DataError where it is none.

    >>> sample_of(count(["nevus"], ["a"]).to_json())
    Counts(n=1, groups=1.0, counts={'nevus': 1})
    """
    try:
        n, groups = int(raw["n"]), float(raw["groups"])
        if "counts" in raw:
            counts = {str(kind): int(number) for kind, number in raw["counts"].items()}
            whole = sum(counts.values()) == n and min(counts.values(), default=0) >= 0
            found: Sample = Counts(n, groups, counts)
        else:
            kept = tuple(float(value) for value in raw["kept"])
            whole = len(kept) == min(n, MOST_KEPT) and list(kept) == sorted(kept)
            found = Sketch(n, groups, kept)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"no sketch of a sample ({error!r}): {_shortened(raw)}") from None
    if not whole or not 0 <= groups <= n:
        raise DataError(f"a sketch's numbers do not belong together: {_shortened(raw)}")
    return found


def _shortened(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _ranks(n: int, kept: int) -> NDArray[np.int64]:
    """Give the ranks, from 1, of evenly spaced order statistics (kept,) of n numbers."""
    steps = np.arange(kept, dtype=np.int64)
    return 1 + (2 * steps * (n - 1) + kept - 1) // max(1, 2 * (kept - 1))


def distance(first: Sketch, second: Sketch) -> float:
    """Give the least Kolmogorov-Smirnov distance that two samples can have, by their sketches.

    Between two kept numbers, a sketch bounds its sample's distribution function from below and
    above: the distance of the bounds never exceeds that of the samples, and is the same where
    both are kept whole.

    >>> distance(sketch([0, 1, 2, 3], list("abcd")), sketch([2, 3, 4, 5], list("abcd")))
    0.5
    """
    points = np.union1d(first.kept, second.kept)
    low_first, high_first = _bounds(first, points)
    low_second, high_second = _bounds(second, points)
    apart = np.maximum(low_first - high_second, low_second - high_first)
    return max(0.0, float(apart.max()))


def _bounds(sample: Sketch, points: Numbers) -> tuple[Numbers, Numbers]:
    """Give the least and the greatest share of a sample that is at or below each point (n,)."""
    # Of the kept that lie at or below a point, the last one's rank is passed, the next one's not.
    below = np.searchsorted(np.asarray(sample.kept), points, side="right")
    ranks = _ranks(sample.n, len(sample.kept))
    passed = np.concatenate([[0], ranks])[below]
    ahead = np.concatenate([ranks, [sample.n + 1]])[below] - 1
    return passed / sample.n, ahead / sample.n


def stability_index(first: ArrayLike, second: ArrayLike) -> float:
    """Give the population stability index Σ (p - q) ln(p / q) of two counts (k,), shares p and q.

    A kind that one sample lacks counts there as half a row, or the index would be infinite.

    >>> round(stability_index([50, 50], [80, 20]), 6)
    0.415888
    """
    shares = []
    for counts in (first, second):
        numbers = np.asarray(counts, dtype=np.float64)
        shares.append(np.where(numbers > 0, numbers, 0.5) / numbers.sum())
    return float(np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1])))


def holm(p: Sequence[float]) -> list[float]:
    """Correct p-values for their number: max over j ≤ i of (m - j + 1) · p_(j), at most 1.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return [float(value) for value in corrected]


def compare(
    reference: Mapping[str, Sample], now: Mapping[str, Sample], parameters: DriftParameters
) -> list[Comparison]:
    """Compare the statistics of two profiles, by their names in order.

    A statistic has drifted where its corrected p is below ``alpha`` and its effect is at least
    the least that matters. One that was of numbers and is of kinds, or the reverse, is new.
    """
    found = [
        _compare(name, reference.get(name), now.get(name), parameters)
        for name in sorted({*reference, *now})
    ]
    tested = [own for own in found if own.p is not None]
    corrected = holm([own.p for own in tested if own.p is not None])
    decided = {
        own.name: _decided(own, p, parameters) for own, p in zip(tested, corrected, strict=True)
    }
    return [decided.get(own.name, own) for own in found]


def _compare(
    name: str, reference: Sample | None, now: Sample | None, parameters: DriftParameters
) -> Comparison:
    before, after = reference.n if reference else 0, now.n if now else 0
    if now is None:
        return Comparison(name, Status.GONE, before, after)
    if reference is None or type(reference) is not type(now):
        return Comparison(name, Status.NEW, before, after)
    if min(reference.groups, now.groups) < parameters.groups:
        return Comparison(name, Status.TOO_FEW, before, after)
    if isinstance(reference, Sketch) and isinstance(now, Sketch):
        effect, p = _kolmogorov_smirnov(reference, now)
        return Comparison(name, Status.OK, before, after, "ks", effect, p)
    assert isinstance(reference, Counts)
    assert isinstance(now, Counts)
    effect, p = _homogeneity(reference, now)
    return Comparison(name, Status.OK, before, after, "chi_square", effect, p)


def _decided(own: Comparison, corrected: float, parameters: DriftParameters) -> Comparison:
    least = parameters.distance if own.test == "ks" else parameters.psi
    large = own.effect is not None and own.effect >= least
    return Comparison(
        **{**asdict(own), "corrected": corrected, "drifted": corrected < parameters.alpha and large}
    )


def _kolmogorov_smirnov(first: Sketch, second: Sketch) -> tuple[float, float]:
    """Give the distance and its asymptotic p-value, as scipy.stats.ks_2samp computes it."""
    from scipy.stats import kstwo

    apart = distance(first, second)
    pairs = first.groups * second.groups / (first.groups + second.groups)
    return apart, float(np.clip(kstwo.sf(apart, round(pairs)), 0, 1))


def _homogeneity(first: Counts, second: Counts) -> tuple[float, float]:
    """Give the stability index and the p-value of the chi-square test, rare kinds together.

    Counts enter the test divided by their design effect n / groups (Rao and Scott 1981), the
    largest that groups can have. Where fewer than two kinds are common enough, p is 1.
    """
    from scipy.stats import chi2_contingency

    kinds = sorted({*first.counts, *second.counts})
    counts = np.array([[own.counts.get(k, 0) for k in kinds] for own in (first, second)], float)
    shrunk = np.array([[first.groups / first.n], [second.groups / second.n]])
    pooled = _pooled(counts, shrunk)
    index = stability_index(pooled[0], pooled[1])
    if pooled.shape[1] < 2:
        return index, 1.0
    return index, float(chi2_contingency(pooled * shrunk, correction=False).pvalue)


def _pooled(counts: Numbers, shrunk: Numbers) -> Numbers:
    """Add up the rarest kinds until each is expected often enough: (2, k) becomes (2, ≤ k)."""
    counts = counts[:, counts.sum(axis=0) > 0]
    while counts.shape[1] > 1:
        weighed = counts * shrunk
        expected = weighed.sum(axis=0) * weighed.sum(axis=1).min() / weighed.sum()
        rarest = np.argsort(expected, kind="stable")[:2]
        if expected[rarest[0]] >= LEAST_EXPECTED:
            break
        together = counts[:, rarest].sum(axis=1, keepdims=True)
        counts = np.concatenate([np.delete(counts, rarest, axis=1), together], axis=1)
    return counts
