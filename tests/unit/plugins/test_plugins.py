"""What other distributions register: found by name, imported when asked for, refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from saliency_audit import plugins
from saliency_audit.attribution.registry import (
    METHODS,
    method_digest,
    method_from_parameters,
    method_names,
    parameters_schema,
)
from saliency_audit.datasets.registry import SOURCES, source_class, source_kinds
from saliency_audit.errors import ParameterError
from saliency_audit.models.architectures import build
from tasks.params import build_source
from tests.invented_plugin import FILES


def entry(group, name, value="their_saliency.gradient:TheirGradient"):
    return {group: {name: value}}


def test_a_third_partys_method_is_one_of_the_methods(installed):
    installed()
    assert method_names() == sorted([*METHODS, "their_gradient"])
    assert method_from_parameters("their_gradient", {"gain": 2.0}).gain == 2.0
    assert method_from_parameters("mine", {"class": "their_gradient"}).gain == 1.0
    assert parameters_schema("their_gradient") == {"gain": {"type": "float", "default": 1.0}}
    with pytest.raises(ParameterError, match="unknown key gian: did you mean gain"):
        method_from_parameters("their_gradient", {"gian": 2.0})
    with pytest.raises(ParameterError, match="'their_gradiant': did you mean their_gradient"):
        method_from_parameters("their_gradiant", {})
    with pytest.raises(ParameterError, match="did you mean their_gradient"):
        method_from_parameters("mine", {"class": "their_gradiant"})


def test_a_third_partys_dataset_is_one_of_the_kinds(installed):
    installed()
    assert source_kinds() == sorted([*SOURCES, "their_discs"])
    source = build_source("discs", {"kind": "their_discs", "images": 3})
    assert [sample.image_id[-1] for sample in source.samples()] == ["0", "1", "2"]
    with pytest.raises(ParameterError, match=r"datasets\.discs\.kind: .*did you mean their_discs"):
        build_source("discs", {"kind": "their_disc"})


def test_a_third_partys_architecture_is_built_by_name(installed):
    installed()
    network = build("their_net", 5, (16, 16), seed=1)
    assert network[-1].out_features == 5
    with pytest.raises(ParameterError, match="did you mean their_net"):
        build("their_nett", 5, (16, 16))
    with pytest.raises(ParameterError, match=r"their_net of their-saliency 1\.0 .* no pretrained"):
        build("their_net", 5, (16, 16), pretrained=True)


def test_one_that_cannot_be_imported_is_named_when_it_is_asked_for_alone(installed):
    broken = {**FILES, "their_saliency/gradient.py": "import no_such_library\n"}
    installed(files=broken)
    assert "their_gradient" in method_names()
    assert method_digest("rise", {})
    said = (
        r"method their_gradient of their-saliency 1\.0 \(entry point their_gradient = "
        r"'their_saliency\.gradient:TheirGradient' in saliency_audit\.methods\) cannot be "
        r"imported: ModuleNotFoundError: No module named 'no_such_library'; mend or reinstall"
    )
    with pytest.raises(ParameterError, match=said):
        method_from_parameters("their_gradient", {})


def test_listing_the_names_imports_none_of_them(installed):
    installed()
    method_names(), source_kinds(), plugins.names(plugins.ARCHITECTURES)
    assert "their_saliency" not in sys.modules


@pytest.mark.parametrize(
    ("group", "value", "ask", "said"),
    [
        (plugins.METHODS, "their_saliency.net:TheirNet", method_from_parameters, "is no method"),
        (plugins.METHODS, "their_saliency.gradient:Nobody", method_from_parameters, "imported"),
        (plugins.DATASETS, "their_saliency.net:TheirNet", source_class, "is no source, it lacks"),
    ],
)
def test_what_a_name_stands_for_must_be_of_its_group(installed, group, value, ask, said):
    installed(entries=entry(group, "theirs", value))
    with pytest.raises(ParameterError, match=f"their-saliency.*{said}"):
        ask(*(["theirs", {}] if ask is method_from_parameters else ["theirs"]))


@pytest.mark.parametrize("value", ["their_saliency.gradient:METHOD", "their_saliency:VERSION"])
def test_what_builds_a_network_must_be_callable_with_outputs_and_size(installed, value):
    files = {
        "their_saliency/__init__.py": "VERSION = 1\n",
        "their_saliency/gradient.py": "METHOD = 1",
    }
    installed(entries=entry(plugins.ARCHITECTURES, "theirs", value), files=files)
    with pytest.raises(ParameterError, match="cannot be called with outputs, input_size"):
        build("theirs", 2, (16, 16))


@pytest.mark.parametrize(
    ("group", "name", "ask"),
    [
        (plugins.METHODS, "gradcam", lambda: method_from_parameters("gradcam", {})),
        (plugins.METHODS, "gradcam", lambda: method_from_parameters("x", {"class": "gradcam"})),
        (plugins.DATASETS, "folder", lambda: source_class("folder")),
        (plugins.ARCHITECTURES, "cnn", lambda: build("cnn", 2, (16, 16))),
        (plugins.ARCHITECTURES, "resnet18", lambda: build("resnet18", 2, (64, 64))),
    ],
)
def test_the_name_of_a_built_in_is_refused(installed, group, name, ask):
    installed(entries=entry(group, name))
    said = rf"{name} is registered by saliency-audit itself and by their-saliency 1\.0"
    with pytest.raises(ParameterError, match=said):
        ask()


def test_one_name_of_two_distributions_is_refused_whichever_came_first(installed):
    installed("one")
    installed("two", distribution="another-saliency", version="3.1")
    said = r"registered by another-saliency 3\.1 and by their-saliency 1\.0: which is meant"
    with pytest.raises(ParameterError, match=said):
        method_from_parameters("their_gradient", {})
    assert method_names().count("their_gradient") == 1


def test_what_is_installed_of_this_package_itself_decides_nothing(installed):
    """Its metadata may be of another revision than the checkout that is run."""
    installed(
        distribution="Saliency_Audit",
        version="0.0.9",
        entries=entry(plugins.METHODS, "gradcam") | entry(plugins.DATASETS, "gone", "gone:Gone"),
    )
    assert method_names() == sorted(METHODS)
    assert source_kinds() == sorted(SOURCES)
    assert type(method_from_parameters("gradcam", {})).__module__.startswith("saliency_audit.")


def test_a_digest_names_whose_method_it_is(installed):
    installed()
    theirs = method_digest("their_gradient", {})
    assert theirs == method_digest("their_gradient", {"gain": 1.0})
    installed("other", distribution="a-fork")
    with pytest.raises(ParameterError, match=r"by a-fork .* and by their-saliency"):
        method_digest("their_gradient", {})


def test_looking_for_plugins_loads_nothing_heavy(root):
    code = """
import sys
from saliency_audit.plugins import METHODS, names
names(METHODS)
print(sorted({"torch", "numpy", "pyarrow", "pydantic"} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
