"""Methods by name: what is known, what is refused and with which words, and digests."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from saliency_audit.attribution.registry import (
    METHODS,
    REFERENCES,
    method_digest,
    method_from_parameters,
    parameters_schema,
)
from saliency_audit.errors import ParameterError

CLASSES = [*METHODS, *REFERENCES, "captum:IntegratedGradients", "captum:Occlusion"]


def test_the_literatures_parameters_are_the_defaults():
    rise = method_from_parameters("rise", {})
    assert (rise.grid, rise.visible, rise.score) == (7, 0.5, "probability")
    lime = method_from_parameters("lime", {})
    assert (lime.kernel_size, lime.max_dist, lime.ratio) == (4, 200, 0.2)
    assert (lime.kernel_width, lime.alpha, lime.segmentation_size) == (0.25, 1.0, 224)


def test_params_yaml_holds_methods_that_can_be_built(root):
    tree = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for name in tree["methods"]:
        method_from_parameters(name, tree["method"][name])


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("gradcamm", {}, "unknown method 'gradcamm': did you mean gradcam"),
        ("zzz", {}, "unknown method 'zzz'.*needs its `class`"),
        ("rise", {"sampels": 3}, "unknown key sampels: did you mean samples"),
        ("gradcam", {"seed": 3}, "unknown key seed: known are block"),
        ("rise", {"samples": "3"}, "samples is '3': give a whole number"),
        ("rise", {"samples": 3.0}, "samples is 3.0: give a whole number"),
        ("rise", {"samples": True}, "samples is True: give a whole number"),
        ("rise", {"visible": "half"}, "visible is 'half': give a number"),
        ("rise", {"estimator": "centered"}, "estimator is 'centered': give centred or plain"),
        ("gradcam", {"block": 3}, "block is 3: give a text"),
        ("rise", {"samples": 0}, "samples is 0"),
        ("rise", None, "parameters of rise are None: give a mapping"),
        ("rise", {"class": "lime"}, "rise is a method of its own"),
        ("mine", {"class": 3}, "class is 3: give a text"),
        ("mine", {"class": "lime:LimeImage"}, "did you mean lime:LimeImageExplainer"),
        ("mine", {"class": "captum:IntegratedGradient"}, "did you mean IntegratedGradients"),
        ("mine", {"class": "captum:NoiseTunnel"}, "gives no map: it wraps another method"),
        ("mine", {"class": "captum:NeuronGradient"}, "explains a neuron"),
        ("mine", {"class": "captum:FeaturePermutation"}, "mixes the images of a batch"),
        ("mine", {"class": "captum:Attribution"}, "base of other classes"),
        ("mine", {"class": "captum:LLMAttribution"}, "explains text"),
        (
            "mine",
            {"class": "captum:IntegratedGradients", "arguments": {"n_step": 3}},
            "unknown parameter n_step: did you mean n_steps",
        ),
        (
            "mine",
            {"class": "captum:IntegratedGradients", "arguments": {"n_steps": 0}},
            "n_steps is 0: give a whole number, 1 or more",
        ),
        (
            "mine",
            {"class": "captum:IntegratedGradients", "arguments": {"method": 3}},
            "method is 3: give a value such as 'gausslegendre'",
        ),
        (
            "mine",
            {"class": "captum:IntegratedGradients", "arguments": {"baselines": "black"}},
            "baselines is 'black': give one number",
        ),
        ("mine", {"class": "captum:IntegratedGradients", "arguments": 3}, "arguments is 3"),
        ("mine", {"class": "captum:IntegratedGradients", "n_steps": 3}, "unknown key"),
        ("mine", {"class": "captum:IntegratedGradients", "block": "layer4"}, "leave block out"),
        ("mine", {"class": "captum:Saliency", "class_name": "Lime"}, "stands under `class`"),
        ("mine", {"class": "captum:LRP", "score": "probability"}, "explains score logit alone"),
        ("mine", {"class": "captum:Lime", "patches": 0}, "patches is 0"),
        ("mine", {"class": "captum:Lime", "seed": -1}, "seed is -1"),
    ],
)
def test_what_is_wrong_is_named(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        method_from_parameters(name, parameters)


def test_a_digest_knows_parameters_and_not_how_they_are_written():
    rise = method_digest("rise", {})
    assert len(rise) == 64 and set(rise) <= set("0123456789abcdef")
    assert rise == method_digest("rise", {"seed": 0, "samples": 512, "visible": 0.5})
    assert rise == method_digest("again", {"class": "rise"})
    others = [
        method_digest("rise", {"seed": 1}),
        method_digest("rise_plain", {"class": "rise", "estimator": "plain"}),
        method_digest("lime", {}),
        *(method_digest("x", {"class": kind}) for kind in CLASSES if ":" in kind),
    ]
    assert len({rise, *others}) == len(others) + 1


def test_whole_numbers_stand_for_floats_in_a_digest():
    assert method_digest("lime", {"alpha": 1}) == method_digest("lime", {"alpha": 1.0})


def test_captums_own_defaults_are_in_the_digest():
    kind = {"class": "captum:IntegratedGradients"}
    assert method_digest("x", kind) == method_digest("x", {**kind, "arguments": {"n_steps": 50}})
    assert method_digest("x", kind) != method_digest("x", {**kind, "arguments": {"n_steps": 51}})


@pytest.mark.parametrize("kind", CLASSES)
def test_a_schema_tells_every_parameter_with_a_default_that_works(kind):
    parameters = {} if kind in METHODS else {"class": kind}
    name = kind if kind in METHODS else "x"
    schema = parameters_schema(name, None if kind in METHODS else kind)
    assert all(set(entry) == {"type", "default"} for entry in schema.values())
    defaults = {key: entry["default"] for key, entry in schema.items()}
    built = method_from_parameters(name, {**parameters, **defaults})
    assert built == method_from_parameters(name, parameters)


def test_choosing_a_method_loads_nothing_heavy(root):
    """Parameters are checked at the start of every command: torch alone takes seconds."""
    code = """
import sys
from saliency_audit.attribution.registry import METHODS, method_digest
for name in METHODS:
    method_digest(name, {})
print(sorted({"torch", "skimage", "shap", "lime", "captum", "scipy"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
