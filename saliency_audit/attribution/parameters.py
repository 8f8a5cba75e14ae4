"""A method's parameters: from plain values to its dataclass, and to what they should be."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Literal, TypeVar, Union

from saliency_audit.errors import ParameterError
from saliency_audit.naming import refuse_unknown

T = TypeVar("T")


def build(kind: type[T], given: Mapping[str, object]) -> T:
    """Build the dataclass of a method's parameters from plain values, checking names and types.

    Raises ParameterError naming an unknown key and the nearest right one, or a value of the wrong
    type; the dataclass itself checks ranges.

    >>> from saliency_audit.attribution.rise import Rise
    >>> build(Rise, {"samples": 100}).samples
    100
    >>> build(Rise, {"sampels": 100})
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: unknown parameter sampels: did you mean samples?
    """
    known = parameter_types(kind)
    refuse_unknown(given, known, "unknown parameter ")
    values = {key: checked(key, value, known[key]) for key, value in given.items()}
    return kind(**values)


def parameter_types(kind: type[Any]) -> dict[str, Any]:
    """Give the type of each parameter that a dataclass declares."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def parameter_defaults(kind: type[Any]) -> dict[str, object]:
    """Give the default of each parameter that a dataclass declares."""
    return {
        field.name: None if field.default is MISSING else field.default
        for field in fields(kind)
        if field.init
    }


def checked(key: str, value: object, wanted: Any) -> object:
    """Give a value that is of the wanted type, whole numbers as floats where floats are wanted.

    Raises ParameterError naming the parameter otherwise.
    """
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        options = typing.get_args(wanted)
        if value is None and type(None) in options:
            return None
        return checked(key, value, next(o for o in options if o is not type(None)))
    if origin is Literal:
        options = typing.get_args(wanted)
        if value not in options:
            raise ParameterError(f"{key} is {value!r}: give one of {', '.join(map(str, options))}")
        return value
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ParameterError(f"{key} is {value!r}: give a mapping of names to values")
        return dict(value)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ParameterError(f"{key} is {value!r}: give {_spoken(wanted)}")
    return value


def described(wanted: Any) -> str:
    """Name a parameter's type as in a schema.

    >>> described(Literal["positive", "absolute"]), described(str | None), described(int)
    ('positive | absolute', 'str | null', 'int')
    """
    origin = typing.get_origin(wanted)
    if origin is Literal:
        return " | ".join(map(str, typing.get_args(wanted)))
    if origin in (Union, types.UnionType):
        return " | ".join(described(option) for option in typing.get_args(wanted))
    return "null" if wanted is type(None) else str(wanted.__name__)


def _spoken(wanted: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return words.get(wanted, str(wanted))
