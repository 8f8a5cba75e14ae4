"""Where a map stands against the clinician's mask, with all its controls: the rows of Table 3.

One call gives the rows of one image, label and method under one reading of
the masks. What is measured is declared in ``localisation_figures``; here it is
put side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from saliency_audit.errors import DataError
from saliency_audit.measures.area_curve import rank
from saliency_audit.measures.arrays import (
    Mask,
    SaliencyMap,
    area,
    check_mask,
    share,
    stored_patterns,
)
from saliency_audit.measures.controls import Saliency, centred, shuffled
from saliency_audit.measures.explained import Explained, Reading, intersected, refilled, whole
from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from saliency_audit.measures.status import VALUELESS_MAPS, Status
from saliency_audit.measures.top_fraction import budget


@dataclass(frozen=True)
class LocalisationRow:
    """Figures of one saliency under one reading; all in [0, 1], None where undefined.

    ``figures``: by key, those of ``LOCALISATION_FIGURES``; ``truth_area`` and ``predicted_area``:
    shares of the image; ``status``: see ``status``.
    """

    saliency: Saliency
    reading: Reading
    figures: dict[str, float | None]
    truth_area: float | None
    predicted_area: float | None
    status: str


@dataclass(frozen=True)
class _Case:
    """One image, label and method: M (not empty), P, the budget, and why values are special."""

    truth: Mask
    predicted: Mask | None
    kept: int
    map_status: str


def localisation(
    saliency: SaliencyMap | None,
    ground_truth: Mask | None,
    predicted: Mask | None,
    kept_fraction: float,
    key: Sequence[int],
    *,
    map_status: str = Status.OK,
    absent: str = Status.LABEL_ABSENT,
) -> list[LocalisationRow]:
    """Give the twelve rows of one image, label and method: ``Saliency`` by ``Reading``.

    The status of a row is the first that applies: why M is missing, why the map is, ``empty_mask``
    (SegX is 0), ``mask_below_budget`` (of ``segx_refill``), ``empty_explanation``, the map's own.
    ``mask_alone`` has no budget: its explanation is P. Only under ``segx_refill`` is it what that
    reading makes of a map with one value in P: k pixels of P in ``pixel_order``.

    Raises DataError on another map, on masks of another shape, or where all three are None;
    ParameterError where the fraction is out of range.

    Parameters
    ----------
    saliency
        a stored map (H, W), float16 in [0, 1], or None where there is none to read.
    ground_truth
        M (H, W), or None where there is none; ``absent`` then says why.
    predicted
        P (H, W), or None where there is no segmenter.
    kept_fraction
        share of the pixels that T keeps, in (0, 1].
    key
        integers that seed the shuffle, as of ``controls.shuffle_key``.
    map_status
        the map's status. Of one in ``VALUELESS_MAPS`` nothing is read; of a
        ``sparse_map`` only positive pixels are kept.
    """
    read = None if map_status in VALUELESS_MAPS else saliency
    shape = _shape(saliency, ground_truth, predicted)
    kept = budget(kept_fraction, *shape)
    for mask in (ground_truth, predicted):
        if mask is not None:
            check_mask(mask, shape)
    if ground_truth is None or not area(ground_truth):
        reason = absent if ground_truth is None else Status.GROUND_TRUTH_EMPTY
        return [_null(s, r, reason, ground_truth, predicted) for s in Saliency for r in Reading]
    case = _Case(ground_truth, predicted, kept, str(map_status))
    rows: list[LocalisationRow] = []
    for name, candidate in _with_controls(read, key):
        rows.extend(_rows(case, name, candidate))
    return rows + list(_mask_alone(case))


def _shape(*arrays: SaliencyMap | Mask | None) -> tuple[int, int]:
    for array in arrays:
        if array is not None:
            if array.ndim != 2:
                raise DataError(f"a map or mask has shape {array.shape}: give (height, width)")
            return array.shape[0], array.shape[1]
    raise DataError("there is neither a map nor a mask: such a row has nothing to measure")


def _with_controls(
    saliency: SaliencyMap | None, key: Sequence[int]
) -> Iterator[tuple[Saliency, SaliencyMap | None]]:
    if saliency is not None:
        stored_patterns(saliency)
    yield Saliency.MAP, saliency
    yield Saliency.SHUFFLED, None if saliency is None else shuffled(saliency, key)
    yield Saliency.CENTRED, None if saliency is None else centred(saliency)


def _null(
    saliency: Saliency, reading: Reading, status: str, truth: Mask | None, predicted: Mask | None
) -> LocalisationRow:
    figures: dict[str, float | None] = {figure.key: None for figure in LOCALISATION_FIGURES}
    return LocalisationRow(
        saliency, reading, figures, _share(truth), _share(predicted), str(status)
    )


def _share(mask: Mask | None) -> float | None:
    return None if mask is None else share(mask)


def _rows(case: _Case, name: Saliency, saliency: SaliencyMap | None) -> Iterator[LocalisationRow]:
    """Rows of a map or of a control that is one, reading by reading."""
    if saliency is None:
        status = case.map_status if case.map_status != Status.OK else Status.NAN_MAP
        for reading in Reading:
            yield _null(name, reading, status, case.truth, case.predicted)
        return
    ranked = rank(saliency, sparse=case.map_status == Status.SPARSE_MAP)
    yield _row(case, name, whole(ranked, case.kept, case.truth, case.predicted))
    if case.predicted is None:
        yield _null(name, Reading.SEGX, Status.NO_PREDICTED_MASK, case.truth, None)
        yield _null(name, Reading.SEGX_REFILL, Status.NO_PREDICTED_MASK, case.truth, None)
        return
    yield _row(case, name, intersected(ranked, case.kept, case.truth, case.predicted))
    yield _row(case, name, refilled(ranked, case.kept, case.truth, case.predicted))


def _row(case: _Case, saliency: Saliency, found: Explained) -> LocalisationRow:
    return LocalisationRow(
        saliency,
        found.reading,
        {figure.key: figure.compute(found) for figure in LOCALISATION_FIGURES},
        _share(case.truth),
        _share(case.predicted),
        _status(case, saliency, found),
    )


def _status(case: _Case, saliency: Saliency, found: Explained) -> str:
    """Why a value that exists is special."""
    reading = found.reading
    needs_mask = saliency is Saliency.MASK_ALONE or reading is not Reading.ORIGINAL
    marked = 0 if case.predicted is None else area(case.predicted)
    if needs_mask and not marked:
        return str(Status.EMPTY_MASK)
    if reading is Reading.SEGX_REFILL and marked <= case.kept:
        return str(Status.MASK_BELOW_BUDGET)
    if not found.pixels:
        return str(Status.EMPTY_EXPLANATION)
    return str(Status.OK) if saliency is Saliency.MASK_ALONE else case.map_status


def _mask_alone(case: _Case) -> Iterator[LocalisationRow]:
    """Rows of P in place of a map: its indicator, whose explanation is P whatever the budget."""
    name = Saliency.MASK_ALONE
    if case.predicted is None:
        for reading in Reading:
            yield _null(name, reading, Status.NO_PREDICTED_MASK, case.truth, None)
        return
    # Of a sparse map only the positive pixels are kept, so at the full budget all of P is.
    ranked = rank(case.predicted.astype(np.float16), sparse=True)
    size = case.truth.size
    for reading in (Reading.ORIGINAL, Reading.SEGX):
        yield _row(case, name, whole(ranked, size, case.truth, case.predicted, reading))
    yield _row(case, name, refilled(ranked, case.kept, case.truth, case.predicted))
