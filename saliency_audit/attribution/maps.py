"""The map that is stored: normalised, rounded to float16, with a status that says what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.method import RawMap
from saliency_audit.errors import DataError
from saliency_audit.measures.status import MethodStatus, Status
from saliency_audit.measures.top_fraction import budget, tie_share

#: A map whose range is this share of its largest value is flat: float64 rounding is left.
ROUNDING = 2.0**-40


@dataclass(frozen=True)
class StoredMap:
    """A saliency map as every measure reads it.

    ``map``: m̂, float16 (H, W) in [0, 1], never -0; zeros where the status is ``nan_map``,
    ``zero_map`` or ``constant_map``. ``offset`` and ``scale``: minimum and range of the raw map
    in units of the score, None for a ``nan_map``. ``status``: ``ok`` or why not. ``tie_share``:
    share in [0, 1] of the top fraction that the order of ties chose, None where the map ranks no
    pixels. ``completeness``: as of the raw map. ``method_status``: ``ok``, or what the method says
    of the map.
    """

    map: NDArray[np.float16]
    offset: float | None
    scale: float | None
    status: str
    tie_share: float | None
    completeness: float | None = None
    method_status: str = str(MethodStatus.OK)


def quantise(raw: RawMap, kept_fraction: float) -> StoredMap:
    """Normalise a raw map to m̂ = (m - min m) / (max m - min m) and round it to float16.

    ``kept_fraction``: share in (0, 1] of the pixels that count as explanation; it decides
    ``sparse_map`` and the tie share. The status is the first that applies of ``nan_map``,
    ``zero_map``, ``constant_map``, ``sparse_map``, ``ok``; what the method says is another fact
    and stands beside it. Raises DataError for a map that is not (H, W) or has a negative value,
    ParameterError for a wrong fraction.

    >>> stored = quantise(RawMap(np.array([[0.0, 1.0], [2.0, 4.0]])), 0.25)
    >>> stored.map.tolist(), stored.offset, stored.scale, stored.status
    ([[0.0, 0.25], [0.5, 1.0]], 0.0, 4.0, 'ok')
    >>> quantise(RawMap(np.zeros((2, 2))), 0.25).status
    'zero_map'
    """
    values = np.asarray(raw.values, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise DataError(f"a saliency map has shape {values.shape}: give (H, W)")
    kept = budget(kept_fraction, *values.shape)
    if not np.isfinite(values).all():
        return _valueless("nan_map", raw, None, None)
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0:
        raise DataError(f"a saliency map holds {lowest}: maps are non-negative")
    if highest - lowest <= ROUNDING * highest:
        status = "zero_map" if highest == 0 else "constant_map"
        return _valueless(status, raw, lowest, 0.0)
    scale = highest - lowest
    stored = ((values - lowest) / scale + 0.0).astype(np.float16)
    sparse = np.count_nonzero(values > 0) < kept
    return StoredMap(
        map=stored,
        offset=lowest,
        scale=scale,
        status=str(Status.SPARSE_MAP if sparse else Status.OK),
        tie_share=tie_share(stored, kept_fraction),
        completeness=raw.completeness,
        method_status=_said(raw),
    )


def _valueless(status: str, raw: RawMap, offset: float | None, scale: float | None) -> StoredMap:
    blank = np.zeros(raw.values.shape, dtype=np.float16)
    return StoredMap(blank, offset, scale, status, None, raw.completeness, _said(raw))


def _said(raw: RawMap) -> str:
    return raw.status or str(MethodStatus.OK)
