"""What columns of numbers look like in this room, and the checks that hold them to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError

#: Numbers (n,), floating.
Numbers = NDArray[np.floating[Any]]

#: Yes or no (n,).
Flags = NDArray[np.bool_]


def check_column(values: NDArray[Any], name: str, length: int) -> None:
    """Raise DataError unless ``values`` is (length,)."""
    if values.shape != (length,):
        raise DataError(f"{name} has shape {values.shape}: give ({length},), a value per row")


def check_flags(values: Flags, name: str, length: int) -> None:
    """Raise DataError unless ``values`` is (length,) of booleans."""
    check_column(values, name, length)
    if values.dtype != np.bool_:
        raise DataError(f"{name} is of type {values.dtype}: give booleans")


def check_finite(values: Numbers, name: str, length: int) -> None:
    """Raise DataError unless ``values`` is (length,) and finite."""
    check_column(values, name, length)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"{name} is NaN or infinite in {bad.size} rows, the first row {bad[0]}: "
            "leave such rows out and count them"
        )


def check_probabilities(values: Numbers, name: str, length: int) -> None:
    """Raise DataError unless ``values`` is (length,) in [0, 1]."""
    check_finite(values, name, length)
    bad = np.flatnonzero((values < 0) | (values > 1))
    if bad.size:
        raise DataError(
            f"{name} is outside [0, 1] in {bad.size} rows, the first row {bad[0]}: "
            "give probabilities"
        )
