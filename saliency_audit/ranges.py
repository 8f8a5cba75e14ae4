"""The check that most numbers among the parameters need: not below the least allowed."""

from __future__ import annotations

from saliency_audit.errors import ParameterError


def check_at_least(least: int, **values: float) -> None:
    """Raise ParameterError naming the first value that is below ``least``, or NaN.

    >>> check_at_least(1, samples=0)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: samples is 0: give 1 or more
    """
    for name, value in values.items():
        if not value >= least:
            raise ParameterError(f"{name} is {value}: give {least} or more")
