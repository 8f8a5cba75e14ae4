"""Every number that a person may turn has a range, also where a subclass states it anew."""

from __future__ import annotations

import importlib
import pkgutil
import typing
from dataclasses import is_dataclass

import saliency_audit
import tasks
from saliency_audit.attribution.registry import METHODS
from saliency_audit.parameters import Checked, parameter_types
from tasks.params import named


def modules(package):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def without_range(declared):
    """Numbers in a type that no ``Annotated`` stands around; one of each of a union or tuple."""
    if typing.get_origin(declared) is typing.Annotated or declared is bool:
        return False
    return declared in (int, float) or any(map(without_range, typing.get_args(declared)))


def test_every_number_has_a_range():
    kinds = {
        value
        for package in (saliency_audit, tasks)
        for module in modules(package)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Checked) and is_dataclass(value)
    }
    assert kinds >= {named(path) for path in METHODS.values()}
    found = [
        f"{kind.__name__}.{name}"
        for kind in kinds
        for name, declared in parameter_types(kind).items()
        if without_range(declared)
    ]
    assert not found, f"declare the range of {', '.join(sorted(found))} (saliency_audit/ranges.py)"
