"""The hint that goes with a name nobody knows: the nearest name that somebody does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def hint(name: str, known: Iterable[str], *, shown: int = 8) -> str:
    """Say which known name ``name`` may have meant, or, where none is near, what is known.

    >>> hint("resnet81", ["cnn", "resnet18"])
    'did you mean resnet18?'
    >>> hint("x", ["cnn", "resnet18"])
    'known are cnn, resnet18'
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"known are {', '.join(names[:shown])}{more}"
