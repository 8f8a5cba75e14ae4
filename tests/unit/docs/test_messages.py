"""What the code says to people, and of itself: commands, bounds, and what is in its rooms."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from saliency_audit.statistics import resampling
from tests.unit.docs.pages import ROOT

ROOMS = ("saliency_audit", "tasks", "flows")


@cache
def trees(room):
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted((ROOT / room).rglob("*.py"))
    }


def docstrings(tree):
    """The constants that are docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr):
            yield node.body[0].value


def said(room):
    """Each text of the code that is no docstring, with its place."""
    for path, tree in trees(room).items():
        words = set(map(id, docstrings(tree)))
        for node in ast.walk(tree):
            text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if text and id(node) not in words:
                yield f"{path}:{node.lineno}", node.value


@pytest.mark.parametrize("room", ROOMS)
def test_advice_names_the_command_that_people_type(room):
    wrong = [place for place, text in said(room) if re.search(r"\brun `?dvc repro", text)]
    assert not wrong, f"say `saliency-audit run`: {wrong}"


def test_the_library_tells_nobody_of_dvc():
    wrong = [place for place, text in said("saliency_audit") if re.search(r"\bdvc\b", text, re.I)]
    assert not wrong, f"the library does not know what keeps its files: {wrong}"


#: What a number of patients or predictions below which an interval is marked is called.
BOUNDS = {
    r"fewer than (\d+) patients": resampling.FEW_GROUPS,
    r"or (\d+) patients or lesions": resampling.FEW_GROUPS,
    r"[Ff]ewer than (\d+) groups or": resampling.FEW_GROUPS,
    r"fewer than (\d+) of them or": resampling.FEW_GROUPS,
    r"fewer than (\d+) wrong": resampling.FEW_INCORRECT,
    r"(?:or|and) (\d+) wrong": resampling.FEW_INCORRECT,
    r"none where fewer than (\d+) of": resampling.TOO_FEW_INCORRECT_GROUPS,
    r"fewer than (\d+) patients or lesions with a wrong": resampling.TOO_FEW_INCORRECT_GROUPS,
}


def test_the_report_names_the_bounds_that_statistics_holds_to():
    report = ((place, text) for place, text in said("tasks") if place.startswith("tasks/report/"))
    for place, text in report:
        for pattern, bound in BOUNDS.items():
            if "with a wrong" in text and "with a wrong" not in pattern:
                continue  # the more particular pattern speaks of it
            for number in re.findall(pattern, text):
                assert int(number) == bound, f"{place}: {text!r}"


def test_only_what_is_said_of_faithfulness_is_in_a_stage():
    """The package's docstring and docs/definitions.md say that `sparseness` alone is."""
    used = {
        node.module.split(".")[2]
        for tree in trees("tasks").values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("saliency_audit.faithfulness.")
    }
    assert used == {"sparseness"}, "mend the docstring of the package, and docs/definitions.md"


def bullets(words):
    return re.findall(r"^- ``(\w+)``", words, re.MULTILINE)


def test_the_library_s_docstring_names_its_packages():
    root = ROOT / "saliency_audit"
    words = ast.get_docstring(trees("saliency_audit")["saliency_audit/__init__.py"])
    listed = set(bullets(words))
    assert {path.parent.name for path in root.glob("*/__init__.py")} <= listed
    assert listed <= {path.stem for path in root.iterdir()}


@pytest.mark.parametrize("package", ["measures", "statistics", "faithfulness"])
def test_a_package_that_lists_its_modules_lists_all(package):
    folder = ROOT / "saliency_audit" / package
    tree = trees("saliency_audit")[f"saliency_audit/{package}/__init__.py"]
    listed = set(bullets(ast.get_docstring(tree)))
    public = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert set(public) <= listed
    assert listed <= {path.stem for path in folder.glob("*.py")}
