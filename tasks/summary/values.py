"""Numbers that stand in several parts of a summary and no library module has."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.means import Mean


@dataclass(frozen=True)
class Means(Mean):
    """A mean without nulls; ``with_zeros``: zero and constant maps as 0; ``macro``: over labels.

    Both are None of a figure that is not compared.
    """

    with_zeros: Mean | None = None
    macro: Mean | None = None
