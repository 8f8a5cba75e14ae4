"""What is stated of a figure, once: everything that reads figures reads it here.

A figure is a column of a table of measures. Which figures there are is
declared in ``localisation_figures`` and ``certainty_figures``. A new one is its
function, its declaration there, its heading in docs/definitions.md and its
test; then ``python -m tasks.pages`` writes what docs say of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saliency_audit.measures.status import WITHOUT_VALUE, Status


@dataclass(frozen=True)
class Null:
    """Where a figure is null: under each of ``statuses``, and else nowhere.

    ``when``: where it may be null beside that, in words; ``beside``: only under these statuses,
    or under any where that is None.
    """

    statuses: frozenset[Status] = WITHOUT_VALUE
    when: str = ""
    beside: frozenset[Status] | None = frozenset()

    def said(self) -> str:
        """Give the rule in words.

        >>> Null(WITHOUT_VALUE | {Status.EMPTY_MASK}).said()
        'no value, `empty_mask`'
        """
        whole = self.statuses >= WITHOUT_VALUE
        named = sorted(self.statuses - WITHOUT_VALUE if whole else self.statuses)
        words = ["no value"] * whole + [f"`{status}`" for status in named]
        return ", ".join([*words, *([self.when] if self.when else [])])


@dataclass(frozen=True)
class Figure:
    """A figure, as everything that computes, stores, checks, prints or explains it knows it.

    ``key``: its column, and its name in every file; ``title``: above its columns on the page, with
    ``{kept}`` for the kept fraction; ``meaning``: in the data dictionary; ``definition``: its
    heading in docs/definitions.md; ``compute``: its function; ``null``: where it has no value;
    ``low`` to ``high``: its closed range; ``unit``: empty of a share; ``ceiling``: the key of the
    figure that it is never above; ``counterpart``: of a figure with P, the one that it is where M
    stands in place of P; ``controlled``: whether it is compared with that of controls; ``tables``:
    tables of the report that print it, by the names of their files; ``note``: beneath them, in
    sentences.
    """

    key: str
    title: str
    meaning: str
    definition: str
    compute: Callable[..., float | None]
    null: Null = Null()
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    ceiling: str = ""
    counterpart: str = ""
    controlled: bool = False
    tables: tuple[str, ...] = ()
    note: str = ""
