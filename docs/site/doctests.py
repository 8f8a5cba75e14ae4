"""Examples in docstrings become blocks of code. An extension of griffe."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: Lines that begin at a prompt, up to the next blank one.
EXAMPLE = re.compile(r"(?:^|(?<=\n\n))(>>> .*?)(?=\n\n|\Z)", re.DOTALL)


class Doctests(griffe.Extension):
    """Puts a fence around each example of a docstring that is not under a heading of its own."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\1\n```", obj.docstring.value)
