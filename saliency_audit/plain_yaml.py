"""A YAML file of parameters, read as a person means it, and as DVC reads it.

PyYAML follows YAML 1.1, in which 1e-4 is a text, and takes the last of two equal keys. DVC
follows YAML 1.2, in which 1e-4 is a number, and refuses the second key. So do we.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Any

from saliency_audit.errors import ParameterError

#: A number with an exponent and without a point, which PyYAML takes for a text.
EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


def read_yaml(path: Path) -> Any:
    """Give the plain values of a YAML file.

    Raises ParameterError naming the file where it is no YAML or says a key twice,
    FileNotFoundError where there is none.
    """
    import yaml

    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def parse_yaml(text: str) -> Any:
    """Give the plain values of a YAML text; raises yaml.YAMLError.

    >>> parse_yaml("{rate: 1e-4, name: '1e-4', noise: 0.5}")
    {'rate': 0.0001, 'name': '1e-4', 'noise': 0.5}
    """
    import yaml

    return yaml.load(text, Loader=_loader())  # a SafeLoader


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader, by YAML 1.2 in the two points above."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            """Give a mapping whose keys are each said once."""
            seen: set[str] = set()
            for key, _ in node.value:
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} stands twice", key.start_mark
                    )
                seen.add(str(key.value))
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))
    return Loader
