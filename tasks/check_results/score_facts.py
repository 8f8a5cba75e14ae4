"""Facts of localisation and certainty: figures beside what areas and other figures make of them.

T has k pixels, P and M as many as their areas say, and overlaps are whole numbers of pixels: so
most figures follow from others, and each holds another to account.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from saliency_audit.labelling import EVERY_LABEL, MaskKind
from saliency_audit.measures.certainty_figures import CERTAINTY_FIGURES
from saliency_audit.measures.figure import Figure
from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from saliency_audit.measures.status import WITHOUT_VALUE, Status
from saliency_audit.measures.top_fraction import budget
from tasks import places
from tasks.check_results.columns import (
    BETWEEN,
    Columns,
    Flags,
    Indices,
    Numbers,
    Span,
    find,
    split_keys,
    taken,
)
from tasks.gates.rule import Facts
from tasks.tables.cells import CELLS
from tasks.tables.certainty import CERTAINTY
from tasks.tables.cohort import COHORT
from tasks.tables.localisation import LOCALISATION
from tasks.tables.regions import REGIONS

KEY = ("image_id", "label", "method")
#: Images whose figures are held at a time.
AT_A_TIME = 1000
#: What a row's budget is of: fewer pixels than k are kept of a sparse map.
SHORT = str(Status.SPARSE_MAP)
#: Rows that stand for a map, or a control that is one.
MAPS = ("map", "shuffled", "centred")
#: How far a number of pixels may be from a whole one, by rounding.
PIXEL = 1e-6
#: Statuses of rows that have no figure.
EMPTY = tuple(WITHOUT_VALUE)


@dataclass(frozen=True)
class Sizes:
    """Pixels of an image, and of the explanation T (``kept``)."""

    pixels: int
    kept: int

    @classmethod
    def of(cls, size: Sequence[int], kept_fraction: float) -> Sizes:
        """Give them for images (height, width)."""
        return cls(size[0] * size[1], budget(kept_fraction, size[0], size[1]))


@dataclass(frozen=True)
class Measured:
    """What the figures of an audit are of, and how exact they are to be.

    ``grid``: cells a side; ``tolerance``: how far a figure may be from what others make of it.
    """

    audit: str
    kind: MaskKind
    methods: Sequence[str]
    sizes: Sizes
    grid: int
    tolerance: float

    @property
    def rows(self) -> dict[str, int]:
        """How many rows an image, label and method has in each table."""
        readings = 2 if self.kind is MaskKind.PER_LABEL else 1
        certainties = 3 * (readings + (self.kind is MaskKind.SINGLE))
        return {"localisation": 12 * readings, "certainty": certainties, "cell": self.grid**2}


def score_facts(measured: Measured) -> Facts:
    """Give per explained image, label and method how many figures break what holds of all.

    Columns ``…_rows`` and ``own_…_rows``: rows of a table, and how many there should be; the others
    count figures: ``out_of_range``; ``silent`` (null where its rule says otherwise, or the
    reverse); ``above_ceiling``; ``truth_area`` and ``predicted_area`` (not that of the mask);
    ``overlap`` (an IoU that no whole number of pixels gives); ``segx`` (not |T∩P∩M| over
    |(T∩P)∪M|: SegX reached outside the mask); ``c_iou`` (not what precision and areas give);
    ``with_truth`` (with M in place of P: not the figures with M); ``mean_probability`` (not that of
    the segmenter's mask). Holds the figures of some images at a time.
    """
    cohort = Columns.read(places.cohort(measured.audit), COHORT, ["image_id", "label"])
    areas = _Areas(measured.audit, measured.kind)
    columns: dict[str, list[Any]] = {}
    for span in _spans(cohort):
        for name, values in _of_images(measured, cohort.within(span), areas, span).items():
            columns.setdefault(name, []).extend(values)
    return Facts("scores", KEY, columns)


def _spans(cohort: Columns) -> Iterator[Span]:
    """Give the first and the last of each so many images; one of nothing where there is none."""
    ids = sorted(cohort.table.column("image_id").unique().to_pylist()) or [""]
    for start in range(0, len(ids), AT_A_TIME):
        some = ids[start : start + AT_A_TIME]
        yield some[0], some[-1]


def _of_images(
    measured: Measured, cohort: Columns, areas: _Areas, span: Span
) -> dict[str, list[Any]]:
    audit = measured.audit
    wanted = _wanted(cohort, measured.methods)
    names = LOCALISATION.schema.names
    located = Columns.read(places.apply_segx(audit), LOCALISATION, names, span)
    scored = Columns.read(places.score_segu(audit), CERTAINTY, CERTAINTY.schema.names, span)
    path = places.aggregate_agreement(audit) / "cells.parquet"
    tallies: dict[str, Any] = {
        "localisation_rows": _tally(located, wanted),
        "certainty_rows": _tally(scored, wanted),
        "cell_rows": _tally(Columns.read(path, CELLS, KEY, span), wanted),
    }
    sizes, tolerance = measured.sizes, measured.tolerance
    broken = [
        *((name, located, bad) for name, bad in _located(located, scored, areas, sizes, tolerance)),
        *((name, scored, bad) for name, bad in _scored(scored, areas, sizes, tolerance)),
        ("with_truth", scored, _with_truth(scored, located, tolerance)),
    ]
    for name, rows, bad in broken:
        tallies[name] = tallies.get(name, 0) + _tally(rows.where(bad), wanted)
    return {
        **split_keys(wanted, KEY),
        **{f"own_{name}_rows": [count] * len(wanted) for name, count in measured.rows.items()},
        **{name: counts.tolist() for name, counts in tallies.items()},
    }


def stray_facts(audit: str, methods: Sequence[str]) -> Facts:
    """Give the rows of figures that are of no explained image, label and method."""
    cohort = Columns.read(places.cohort(audit), COHORT, ["image_id", "label"])
    wanted = _wanted(cohort, methods)
    found = []
    for path, table in (
        (places.apply_segx(audit), LOCALISATION),
        (places.score_segu(audit), CERTAINTY),
        (places.aggregate_agreement(audit) / "cells.parquet", CELLS),
    ):
        keys = Columns.read(path, table, KEY).keys(*KEY).unique()
        found.append((table.name, keys, find(keys, wanted) >= 0))
    return Facts(
        "tables",
        ("table", *KEY),
        {
            "table": [name for name, keys, _ in found for _ in range(len(keys))],
            **{
                name: [value for _, keys, _ in found for value in split_keys(keys, KEY)[name]]
                for name in KEY
            },
            "explained": [bool(value) for _, _, known in found for value in known],
        },
    )


def _wanted(cohort: Columns, methods: Sequence[str]) -> pa.Array:
    rows = cohort.keys("image_id", "label").to_pylist()
    keys = [f"{row}{BETWEEN}{method}" for row in rows for method in sorted(methods)]
    return pa.array(keys, pa.string())


def _tally(rows: Columns, wanted: pa.Array) -> Indices:
    found = find(rows.keys(*KEY), wanted)
    return np.bincount(found[found >= 0], minlength=len(wanted)).astype(np.int64)


class _Areas:
    """Areas of the masks of chosen images, in pixels, as the table of regions has them."""

    def __init__(self, audit: str, kind: MaskKind) -> None:
        path = places.predict(audit) / "regions.parquet"
        names = ["image_id", "label", "origin", "area", "mean_probability"]
        rows = Columns.read(path, REGIONS, names)
        self._keys = rows.keys("image_id", "label", "origin")
        self._areas = rows.numbers("area")
        self._probabilities = rows.numbers("mean_probability")
        self._kind = kind

    def of(self, rows: Columns, origin: str) -> Numbers:
        """Give the area (n,) of each row's mask; NaN of a union, which areas do not tell."""
        return self._found(self._areas, rows, origin)

    def probabilities(self, rows: Columns) -> Numbers:
        """Give the segmenter's mean probability (n,) inside each row's mask, NaN of a union."""
        return self._found(self._probabilities, rows, "predicted")

    def _found(self, values: Numbers, rows: Columns, origin: str) -> Numbers:
        names = ["image_id", "label", "origin"]
        labels = rows.table.column("label")
        if self._kind is MaskKind.SINGLE:
            labels = pa.repeat(EVERY_LABEL, len(rows))
        origins = pa.repeat(origin, len(rows))
        named = pa.table([rows.table.column("image_id"), labels, origins], names)
        found = taken(values, find(Columns(named).keys(*names), self._keys))
        return np.where(rows.among("masks", "union"), np.nan, found)


def _located(
    rows: Columns, scored: Columns, areas: _Areas, sizes: Sizes, tolerance: float
) -> Iterator[tuple[str, Flags]]:
    """Give each thing that may be wrong with localisation, and of which rows (n,)."""
    yield "out_of_range", _outside(rows, LOCALISATION_FIGURES)
    maps = rows.among("saliency", *MAPS)
    empty = rows.among("status", *EMPTY)
    yield "silent", maps & _silent(rows, LOCALISATION_FIGURES)
    yield "above_ceiling", _above(rows, LOCALISATION_FIGURES, tolerance)
    truth = rows.numbers("truth_area") * sizes.pixels
    yield "truth_area", _differ(truth, areas.of(rows, "truth"))
    predicted = rows.numbers("predicted_area") * sizes.pixels
    yield "predicted_area", _differ(predicted, areas.of(rows, "predicted"))
    whole = maps & ~empty & ~rows.among("status", SHORT)
    original = whole & rows.among("reading", "original")
    shared = _shared(rows.numbers("iou"), sizes.kept, truth)
    yield "overlap", original & ~_whole_up_to(shared, np.minimum(sizes.kept, truth))
    yield "segx", whole & rows.among("reading", "segx") & _segx(rows, scored, sizes, tolerance)


def _segx(rows: Columns, scored: Columns, sizes: Sizes, tolerance: float) -> Flags:
    """Say of which rows (n,) the IoU is not that of T∩P with M, by the other tables."""
    key = (*KEY, "masks", "saliency")
    keys = rows.keys(*key)
    first = rows.where(rows.among("reading", "original"))
    place = find(keys, first.keys(*key))
    truth = rows.numbers("truth_area") * sizes.pixels
    shared = _shared(taken(first.numbers("iou"), place), sizes.kept, truth)
    left = shared * (1 - np.nan_to_num(rows.numbers("evidence_lost")))
    precision = taken(scored.numbers("precision"), find(keys, scored.keys(*key)))
    inside = np.nan_to_num(precision) * sizes.kept
    with np.errstate(divide="ignore", invalid="ignore"):  # of rows that the caller leaves out
        found = left / (inside + truth - left)
    bad: Flags = np.abs(found - rows.numbers("iou")) > tolerance
    return bad | (left > inside + PIXEL)


def _scored(
    rows: Columns, areas: _Areas, sizes: Sizes, tolerance: float
) -> Iterator[tuple[str, Flags]]:
    """Give each thing that may be wrong with certainty, and of which rows (n,)."""
    yield "out_of_range", _outside(rows, CERTAINTY_FIGURES)
    empty = rows.among("status", *EMPTY)
    yield "silent", _silent(rows, CERTAINTY_FIGURES)
    iou, ceiling = rows.numbers("c_iou"), rows.numbers("c_iou_ceiling")
    yield "above_ceiling", _above(rows, CERTAINTY_FIGURES, tolerance)
    predicted = rows.numbers("predicted_area") * sizes.pixels
    other = rows.among("masks", "truth")
    yield "predicted_area", ~other & _differ(predicted, areas.of(rows, "predicted"))
    yield "truth_area", other & _differ(predicted, areas.of(rows, "truth"))
    mean = rows.numbers("mean_mask_probability")
    yield "mean_probability", ~other & (np.abs(mean - areas.probabilities(rows)) > tolerance)
    whole = ~empty & ~rows.among("status", SHORT, str(Status.EMPTY_MASK))
    inside = rows.numbers("precision") * sizes.kept
    least, most = np.minimum(sizes.kept, predicted), np.maximum(sizes.kept, predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = inside / (sizes.kept + predicted - inside)
        above = least / most
        share = iou / above
    wrong = np.abs(found - iou) > tolerance
    wrong |= np.abs(above - ceiling) > tolerance
    wrong |= np.abs(share - rows.numbers("c_iou_over_ceiling")) > tolerance
    yield "c_iou", whole & (wrong | ~_whole_up_to(inside, least))


def _with_truth(rows: Columns, located: Columns, tolerance: float) -> Flags:
    """Say of which rows (n,) that have M in place of P the figures are not those with M."""
    key = (*KEY, "saliency")
    original = located.where(located.among("reading", "original"))
    place = find(rows.keys(*key), original.keys(*key))
    bad = np.zeros(len(rows), bool)
    for figure in CERTAINTY_FIGURES:
        if figure.counterpart:
            own = taken(original.numbers(figure.counterpart), place)
            bad |= np.abs(rows.numbers(figure.key) - own) > tolerance
    return rows.among("masks", "truth") & bad


def _shared(iou: Numbers, kept: int, area: Numbers) -> Numbers:
    """Pixels that two regions share, of their IoU and their sizes."""
    return iou * (kept + area) / (1 + iou)


def _whole_up_to(pixels: Numbers, most: Numbers) -> Flags:
    """Say which numbers (n,) are whole ones from 0 to ``most``."""
    whole: Flags = np.abs(pixels - np.round(pixels)) <= PIXEL
    return whole & (pixels >= -PIXEL) & (pixels <= most + PIXEL)


def _differ(said: Numbers, found: Numbers) -> Flags:
    """Say which areas differ; where only one is known they are not compared."""
    bad: Flags = np.abs(said - found) > PIXEL
    return bad


def _outside(rows: Columns, figures: Sequence[Figure]) -> Flags:
    """Say which rows (n,) have a figure out of its range."""
    outside = np.zeros(len(rows), bool)
    for figure in figures:
        values = rows.numbers(figure.key)
        outside |= (values < figure.low) | (values > figure.high)
    return outside


def _silent(rows: Columns, figures: Sequence[Figure]) -> Flags:
    """Say which rows (n,) have a null that their status does not explain, or lack one."""
    bad = np.zeros(len(rows), bool)
    for figure in figures:
        null, rule = np.isnan(rows.numbers(figure.key)), figure.null
        wanted = rows.among("status", *rule.statuses)
        bad |= wanted & ~null
        if rule.beside is not None:
            bad |= null & ~wanted & ~rows.among("status", *rule.beside)
    return bad


def _above(rows: Columns, figures: Sequence[Figure], tolerance: float) -> Flags:
    """Say which rows (n,) have a figure above its ceiling."""
    bad = np.zeros(len(rows), bool)
    for figure in figures:
        if figure.ceiling:
            bad |= rows.numbers(figure.key) > rows.numbers(figure.ceiling) + tolerance
    return bad
