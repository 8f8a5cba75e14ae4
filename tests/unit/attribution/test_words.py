"""A method says all of its parameters: no two that differ in one have the same words."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Annotated, Literal

import pytest

from saliency_audit.attribution.registry import METHODS, REFERENCES, method_from_parameters
from saliency_audit.parameters import parameter_types

#: What must stand beside a parameter for it to be changed.
BESIDE = {
    "visible": {"design": "independent"},
    "score": {"estimator": "centred"},
    "parameters": {"of": "gradcam"},
}


def another(wanted, value):
    """Another value of a parameter."""
    if typing.get_origin(wanted) is Annotated:
        return another(typing.get_args(wanted)[0], value)
    if typing.get_origin(wanted) is Literal:
        return next(option for option in typing.get_args(wanted) if option != value)
    if wanted is int:
        return value + 1
    if typing.get_origin(wanted) is Mapping:
        return {"block": "layer4"}
    return value / 2 if wanted is float else "layer4"


@pytest.mark.parametrize("kind", [*METHODS, *REFERENCES])
def test_another_value_of_any_parameter_is_said(kind):
    given = {} if kind in METHODS else {"class": kind}
    name = kind if kind in METHODS else "mine"
    method = method_from_parameters(name, given)
    for key, wanted in parameter_types(type(method)).items():
        beside = {k: v for k, v in BESIDE.get(key, {}).items() if hasattr(method, k)}
        changed = {**given, **beside, key: another(wanted, getattr(method, key))}
        first = method_from_parameters(name, {**given, **beside})
        assert method_from_parameters(name, changed).words != first.words, key


def test_a_method_of_captum_says_its_class_and_arguments():
    given = {"class": "captum:IntegratedGradients", "arguments": {"n_steps": 7}}
    said = method_from_parameters("mine", given).words
    assert "IntegratedGradients" in said and "n steps 7" in said
