"""How long work reports its progress: a callable, so that the library never prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told how far a piece of work is.

    ``done`` and ``total`` count the same unit (images, batches, epochs);
    ``total`` is None while it is not known.
    """

    def __call__(self, done: int, total: int | None) -> None:
        """Report that ``done`` of ``total`` are finished."""


def silent(done: int, total: int | None) -> None:
    """Report to nobody.

    >>> silent(1, 2)
    """
