"""How much of a source may be set aside before it is the wrong source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from saliency_audit.datasets.sample import SetAside
from saliency_audit.errors import DataError

#: How many items an error names.
SHOWN = 3


def check_set_aside(kept: int, items: Sequence[SetAside], bound: float) -> None:
    """Stop where too little of a source is usable.

    ``kept``: usable images; ``items``: what was set aside; ``bound``: largest share of
    set-aside items, 0 to 1. Raises DataError with the counts per reason and the first items.

    >>> check_set_aside(99, [SetAside("a", "a.png", 2, "image_missing", "not there")], 0.01)
    >>> check_set_aside(0, [], 1.0)
    Traceback (most recent call last):
    saliency_audit.errors.DataError: the source holds no image: check its folder
    """
    said = too_much(kept, items, bound)
    if said:
        first = "; ".join(_named(item) for item in items[:SHOWN])
        more = f". The first: {first}; `saliency-audit check` names all" if items else ""
        raise DataError(said + more)


def too_much(kept: int, items: Sequence[SetAside], bound: float) -> str:
    """Say in what ``check_set_aside`` finds too little usable; empty where it does not.

    >>> too_much(1, [SetAside("a", "a.png", 2, "image_missing", "not there")], 0.6)
    ''
    """
    if not kept and not items:
        return "the source holds no image: check its folder"
    share = len(items) / (kept + len(items))
    if kept and share <= bound:
        return ""
    counts = ", ".join(
        f"{reason} {count}" for reason, count in sorted(Counter(i.reason for i in items).items())
    )
    limit = (
        f"more than max_set_aside {bound:g} allows: mend them, or raise it"
        if kept
        else "and no usable image is left: mend them"
    )
    return f"{len(items)} of {kept + len(items)} rows and files are set aside ({counts}), {limit}"


def _named(item: SetAside) -> str:
    place = item.source_file or item.image_id or "?"
    return f"{place}{'' if item.row is None else f' (row {item.row})'}: {item.detail}"
