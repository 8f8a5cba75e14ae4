"""What is public is the same in ``__all__``, on its page and on the disk; one version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import pytest

import saliency_audit
from tests.unit.docs.pages import HISTORY, ROOT

LIBRARY = ROOT / "saliency_audit"
HEAVY = ("torch", "numpy", "pyarrow", "scipy", "PIL")


def said_public(package):
    """What ``__all__`` of a package names, read from its file."""
    tree = ast.parse((LIBRARY / package / "__init__.py").read_text("utf-8"))
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return names


#: Public by the names that they give, and not by their modules; importing them imports torch.
BY_NAMES = {"testing"}
PACKAGES = ["", *(name for name in said_public("") if (LIBRARY / name).is_dir())]


@pytest.fixture(scope="module")
def listed():
    """The page's table: public modules by package."""
    page = (ROOT / "docs" / "public-api.md").read_text("utf-8")
    rows = re.findall(r"^\| `(saliency_audit[.\w]*)` \| (.+) \|$", page, re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", cells) for name, cells in rows}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_what_a_package_says_is_public(package, listed):
    name = f"saliency_audit.{package}".rstrip(".")
    modules = [n for n in said_public(package) if not (LIBRARY / package / n).is_dir()]
    assert modules == sorted(modules)
    assert listed[name] == modules, "docs/public-api.md and __all__ differ"
    if package in BY_NAMES:
        return
    for module in modules:
        path = LIBRARY / package / f"{module}.py"
        assert path.is_file(), f"__all__ of {name} names {module}, which is not there"
        assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_every_package_is_public_or_not_there(listed):
    folders = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert folders == set(PACKAGES) - {""}
    assert len(listed) == len(PACKAGES)


def test_every_public_function_and_class_has_a_docstring():
    for package in PACKAGES:
        for module in said_public(package):
            path = LIBRARY / package / f"{module}.py"
            if not path.is_file():
                continue
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_the_packages_load_nothing_heavy():
    light = [package for package in PACKAGES if package not in BY_NAMES]
    names = ", ".join(f"saliency_audit.{package}".rstrip(".") for package in light)
    code = f"import {names}, sys\nprint(*(n for n in {HEAVY!r} if n in sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []


def test_the_version_stands_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    dynamic = project["tool"]["setuptools"]["dynamic"]
    assert dynamic == {"version": {"attr": "saliency_audit.__version__"}}
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", saliency_audit.__version__)


def test_the_changelog_has_the_version_and_the_form_of_keep_a_changelog():
    text = HISTORY.read_text("utf-8")
    first, *versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", v) for v in versions]
    assert all(released)
    assert released[0][1] == saliency_audit.__version__
    dates = [found[2] for found in released]
    assert dates == sorted(dates, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= kinds
