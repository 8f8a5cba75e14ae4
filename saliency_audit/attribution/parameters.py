"""A method's parameters as a schema tells them."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal, Union


def described(wanted: Any) -> str:
    """Name a parameter's type as in a schema.

    >>> described(Literal["positive", "absolute"]), described(str | None), described(int)
    ('positive | absolute', 'str | null', 'int')
    """
    origin = typing.get_origin(wanted)
    if origin is Annotated:
        return described(typing.get_args(wanted)[0])
    if origin is Literal:
        return " | ".join(map(str, typing.get_args(wanted)))
    if origin in (Union, types.UnionType):
        return " | ".join(described(option) for option in typing.get_args(wanted))
    return "null" if wanted is type(None) else str(wanted.__name__)
