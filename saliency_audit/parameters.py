"""The one strict reader of parameters: from plain values to the dataclass that declares them.

A dataclass that is ``Checked`` declares each parameter's type and range. What YAML gives, and what
Python gives, is held to the declaration alike: no boolean or text stands for a number, no number
with a point for a whole one, no NaN or infinity for anything, at any depth. A list stands for a
tuple, a mapping for a dataclass, a text for a member of an enumeration, a whole number for one with
a point. An error names the parameter, its value and what to give.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast

from saliency_audit.errors import ParameterError
from saliency_audit.naming import refuse_unknown
from saliency_audit.ranges import Rule

T = TypeVar("T")

#: Whole numbers stay below this, as the widest integer of a table does.
INTEGERS_END = 2**63
#: Characters of a wrong value that an error shows.
SHOWN = 60

NoneType = type(None)


class Checked:
    """A frozen dataclass of parameters that holds each to its declaration when it is made.

    A subclass that checks how parameters go together calls ``super().__post_init__()`` first.
    """

    def __post_init__(self) -> None:
        """Check every parameter; raises ParameterError."""
        for name in parameter_types(type(self)):
            found = read_parameter(type(self), name, getattr(self, name), name)
            object.__setattr__(self, name, found)


def build(kind: type[T], given: object, key: str = "", *, source: str = "") -> T:
    """Build what a parameter declares, a dataclass or any type, from plain values.

    ``key``: the dotted key at which they stand; ``source``: what errors say first, such as the
    name of a file with a colon. Raises ParameterError for an unknown key at any depth (naming the
    nearest right one), a missing one, a value of another type or out of its range, and what the
    dataclass itself refuses.

    >>> from saliency_audit.attribution.rise import Rise
    >>> build(Rise, {"samples": 100}).samples
    100
    >>> build(Rise, {"sampels": 100}, "method.rise", source="params.yaml: ")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: params.yaml: unknown key method.rise.sampels: did you
    mean samples?
    >>> build(Rise, {"samples": True}, "method.rise", source="params.yaml: ")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: params.yaml: method.rise.samples is True: give a whole
    number, 1 or more
    """
    try:
        return cast("T", read_value(kind, given, key))
    except ParameterError as error:
        raise ParameterError(f"{source}{error}") from None


def read_value(wanted: Any, value: object, key: str) -> Any:
    """Give a value as its declared type has it; raises ParameterError naming the key.

    >>> read_value(tuple[int, int], [3, 4], "size")
    (3, 4)
    """
    if typing.get_origin(wanted) is not Annotated:
        return _of_type(wanted, value, key)
    plain, *rules = typing.get_args(wanted)
    found = _of_type(plain, value, key, wanted)
    for rule in (rule for rule in rules if isinstance(rule, Rule)):
        if not rule.holds(found):
            said = "empty" if found in ((), "", {}) else shown(value)
            raise ParameterError(f"{key} is {said}: give {rule.words}")
    return found


def read_parameter(kind: type[Any], name: str, value: object, key: str) -> Any:
    """Give the value of one parameter of a dataclass; raises ParameterError naming the key.

    A value that equals the default is the default: the same parameters have one digest, whether
    4 or 4.0 was written.
    """
    found = read_value(parameter_types(kind)[name], value, key)
    default = _defaults(kind)[name]
    return default if default is not MISSING and found == default else found


def parameter_types(kind: type[Any]) -> Mapping[str, Any]:
    """Give the declared type of each parameter of a dataclass, with its range."""
    return _types(cast("Any", kind))


@lru_cache(maxsize=256)
def _types(kind: Any) -> Mapping[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def parameter_defaults(kind: type[Any]) -> dict[str, object]:
    """Give the default of each parameter of a dataclass; None where there is none."""
    return {
        name: None if default is MISSING else default for name, default in _defaults(kind).items()
    }


def _defaults(kind: type[Any]) -> Mapping[str, Any]:
    return _kept_defaults(cast("Any", kind))


@lru_cache(maxsize=256)
def _kept_defaults(kind: Any) -> Mapping[str, Any]:
    return {field.name: _default(field) for field in fields(kind) if field.init}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _of_type(wanted: Any, value: object, key: str, declared: Any = None) -> Any:
    """Give a value as a type has it; ``declared``: the type with its range, for what is said."""
    origin = typing.get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _of_union(typing.get_args(wanted), value, key)
    if is_dataclass(wanted):
        return _of_dataclass(cast("type[Any]", wanted), value, key)
    found: Any = _REFUSED
    if origin is Literal:
        found = _of_literal(typing.get_args(wanted), value)
    elif origin is tuple:
        found = _of_tuple(typing.get_args(wanted), value, key)
    elif origin is Mapping and isinstance(value, Mapping):
        return _of_mapping(typing.get_args(wanted)[1], value, key)
    elif wanted is Any:
        return _finite(value, key)
    elif isinstance(wanted, type) and issubclass(wanted, Enum):
        found = _of_enum(wanted, value)
    elif wanted in _PLAIN:
        found = _of_plain(wanted, value)
    if found is _REFUSED:
        raise ParameterError(f"{key} is {shown(value)}: give {spoken(declared or wanted)}")
    return found


_REFUSED = object()
_PLAIN = (int, float, bool, str)


def _of_plain(wanted: Any, value: object) -> Any:
    if wanted in (bool, str):
        return value if isinstance(value, wanted) else _REFUSED
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _REFUSED
    if isinstance(value, int):
        return wanted(value) if abs(value) < INTEGERS_END else _REFUSED
    return value if wanted is float and math.isfinite(value) else _REFUSED


def _of_literal(options: Sequence[Any], value: object) -> Any:
    same = [option for option in options if type(option) is type(value) and option == value]
    return same[0] if same else _REFUSED


def _of_enum(wanted: type[Enum], value: object) -> Any:
    known = {str(member.value): member for member in wanted}
    return known.get(value, _REFUSED) if isinstance(value, str) else _REFUSED


def _of_tuple(parts: Sequence[Any], value: object, key: str) -> Any:
    if not isinstance(value, list | tuple):
        return _REFUSED
    each = [parts[0]] * len(value) if parts[1:] == (...,) else list(parts)
    if len(each) != len(value):
        return _REFUSED
    try:
        return tuple(read_value(part, v, key) for part, v in zip(each, value, strict=True))
    except ParameterError:
        return _REFUSED  # said of the list as a whole


def _of_mapping(wanted: Any, value: Mapping[Any, Any], key: str) -> dict[str, Any]:
    for name in value:
        if not isinstance(name, str):
            raise ParameterError(f"{key} has the key {shown(name)}: give a text")
    return {name: read_value(wanted, each, f"{key}.{name}") for name, each in value.items()}


def _of_union(options: Sequence[Any], value: object, key: str) -> Any:
    if value is None and NoneType in options:
        return None
    some = [option for option in options if option is not NoneType]
    for option in some:
        if is_dataclass(option) and isinstance(value, Mapping):
            return _of_dataclass(cast("type[Any]", option), value, key)
    if len(some) == 1:
        try:
            return read_value(some[0], value, key)
        except ParameterError as error:
            raise ParameterError(f"{error}, or null") from None
    for option in some:
        try:
            return read_value(option, value, key)
        except ParameterError:
            continue
    raise ParameterError(f"{key} is {shown(value)}: give {_spoken_union(options)}")


def _of_dataclass(kind: type[Any], value: object, key: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ParameterError(f"{key} is {shown(value)}: give {spoken(kind)}")
    within = f"{key}." if key else ""
    known = parameter_types(kind)
    refuse_unknown(value, known, f"unknown key {within}")
    found = {
        name: read_parameter(kind, name, each, f"{within}{name}") for name, each in value.items()
    }
    for name, default in _defaults(kind).items():
        if default is MISSING and name not in found:
            raise ParameterError(f"{within}{name} is missing: give {spoken(known[name])}")
    try:
        return kind(**found)
    except ParameterError as error:
        # How parameters go together: each alone is as declared.
        raise ParameterError(f"{key}: {error}" if key else str(error)) from None


def _finite(value: object, key: str) -> object:
    """Give a value of any type; raises ParameterError where a number in it is none."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ParameterError(f"{key} is {shown(value)}: give a number that is finite")
    if isinstance(value, Mapping):
        for name, each in value.items():
            _finite(each, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for each in value:
            _finite(each, key)
    return value


def shown(value: object) -> str:
    """Give a wrong value as an error shows it.

    >>> shown((3, 4)), shown("3"), len(shown([0] * 1000))
    ('[3, 4]', "'3'", 60)
    """
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def in_words(parameters: Any) -> str:
    """Give a dataclass of parameters as a list of names and values.

    >>> from saliency_audit.quality.drift import DriftParameters
    >>> in_words(DriftParameters())
    'alpha 0.01, distance 0.1, psi 0.1, groups 20'
    """
    return ", ".join(_flat(asdict(parameters), ""))


def _flat(values: Mapping[str, Any], within: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name.replace('_', ' ')} {_said(value)}"


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_said, value))
    return "none" if value is None else _LITERALS[value] if isinstance(value, bool) else f"{value}"


def spoken(wanted: Any) -> str:
    """Say what to give for a declared type.

    >>> from saliency_audit.ranges import Count, Share
    >>> spoken(Count), spoken(tuple[Share, Share]), spoken(Literal["a", "b"] | None)
    ('a whole number, 1 or more', 'a list of 2, each a number, 0 to 1', 'a or b, or null')
    """
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Annotated:
        rules = [rule.words for rule in parts[1:] if isinstance(rule, Rule)]
        return ", ".join([spoken(parts[0]), *rules])
    if origin in (Union, types.UnionType):
        return _spoken_union(parts)
    if origin is Literal:
        return _of_several([_LITERALS.get(part, str(part)) for part in parts])
    if origin is tuple:
        number = "" if parts[1:] == (...,) else f" of {len(parts)}"
        return f"a list{number}, each {spoken(parts[0])}"
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _of_several([str(member.value) for member in wanted])
    return _WORDS.get(wanted, "a mapping of its keys")


def _spoken_union(options: Sequence[Any]) -> str:
    said = [spoken(option) for option in options if option is not NoneType]
    return " or ".join(said) + (", or null" if NoneType in options else "")


def _of_several(options: Sequence[str]) -> str:
    return " or ".join(options) if len(options) < 3 else f"one of {', '.join(options)}"


_LITERALS: Mapping[Any, str] = {True: "true", False: "false"}
_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Any: "any value",
}
