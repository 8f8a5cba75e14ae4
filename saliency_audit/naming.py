"""Names that nobody knows: how they are refused, and the hint that goes with it."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from saliency_audit.errors import ParameterError


def hint(name: str, known: Iterable[str], *, shown: int = 8) -> str:
    """Say which known name ``name`` may have meant, or, where none is near, what is known.

    >>> hint("resnet81", ["cnn", "resnet18"])
    'did you mean resnet18?'
    >>> hint("x", ["cnn", "resnet18"]), hint("x", [])
    ('known are cnn, resnet18', 'there are none')
    """
    names = list(known)
    if not names:
        return "there are none"
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"known are {', '.join(names[:shown])}{more}"


def refuse_unknown(given: Iterable[object], known: Iterable[str], said: str) -> None:
    """Raise ParameterError for the first given name that is not known, with the hint.

    ``said``: what the error says before the name.

    >>> refuse_unknown({"sampels": 1}, ["samples"], "params.yaml: unknown key shap.")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: params.yaml: unknown key shap.sampels: did you
    mean samples?
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise ParameterError(f"{said}{name}: {hint(str(name), names)}")


def refuse_unknown_fields(kind: Any, given: Mapping[Any, Any], said: str) -> None:
    """Raise ParameterError for the first key that a dataclass has no field for, at any depth.

    ``said``: what the error says before the dotted key.
    """
    types = typing.get_type_hints(kind)
    refuse_unknown(given, [field.name for field in fields(kind)], said)
    for name, value in given.items():
        for candidate in (types[name], *typing.get_args(types[name])):
            if is_dataclass(candidate) and isinstance(value, Mapping):
                refuse_unknown_fields(candidate, value, f"{said}{name}.")
