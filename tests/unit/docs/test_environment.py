"""The table of environment variables in docs/commands.md is what the code reads."""

from __future__ import annotations

import ast
import re

import pytest

ROOMS = ("flows", "tasks", "saliency_audit")
OURS = re.compile(r"(?:SALIENCY|OPENLINEAGE)_[A-Z_]+")
#: Read by the shell and by Python, of whatever program.
NOT_OURS = {"PATH"}
#: No variable: what OpenLineage calls the program that sends an event.
NO_VARIABLE = {"SALIENCY_AUDIT"}
#: Read by CUDA and by the clients of Prefect and OpenLineage.
OF_LIBRARIES = {
    "CUDA_VISIBLE_DEVICES",
    "PREFECT_HOME",
    "OPENLINEAGE_URL",
    "OPENLINEAGE_API_KEY",
    "OPENLINEAGE_CONFIG",
    "OPENLINEAGE_DISABLED",
}


def is_environ(node):
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def keys_read(node):
    """The expressions that a node looks up in ``os.environ``."""
    if isinstance(node, ast.Subscript) and is_environ(node.value):
        return [node.slice] if isinstance(node.ctx, ast.Load) else []
    if isinstance(node, ast.Compare) and any(map(is_environ, node.comparators)):
        return [node.left]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        looked_up = node.func.attr in ("get", "pop") and is_environ(node.func.value)
        return node.args[:1] if looked_up and node.args else []
    return []


def constants(tree):
    """The strings that a module gives names, also several at once."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=True)
            found |= {
                name.id: value.value
                for name, value in pairs
                if isinstance(name, ast.Name) and isinstance(value, ast.Constant)
            }
    return found


def variables_of(tree):
    """Variables of our own that a module writes out, and all that it reads by a known name."""
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and OURS.fullmatch(node.value)
    }
    named = constants(tree)
    for key in (key for node in ast.walk(tree) for key in keys_read(node)):
        if isinstance(key, ast.Constant):
            found.add(key.value)
        elif isinstance(key, ast.Name) and key.id in named:
            found.add(named[key.id])
    return found - {"PYTHONDONTWRITEBYTECODE"}  # taken away, never read


@pytest.fixture(scope="module")
def read(root):
    return {
        variable: path.relative_to(root).as_posix()
        for room in ROOMS
        for path in (root / room).rglob("*.py")
        for variable in variables_of(ast.parse(path.read_text("utf-8")))
        if variable not in NOT_OURS | NO_VARIABLE
    }


@pytest.fixture(scope="module")
def explained(root):
    """The variables in the first column of the page's two tables."""
    page = (root / "docs" / "commands.md").read_text("utf-8")
    section = page.partition("\n## Environment\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    return {variable for row in rows for variable in re.findall(r"`(\w+)`", row)}


def test_every_variable_that_the_code_reads_is_in_the_table(read, explained):
    missing = {variable: path for variable, path in read.items() if variable not in explained}
    assert not missing, f"explain in docs/commands.md, under Environment: {missing}"
    assert read["SALIENCY_MAP_STORE_GIB"], "a variable that is read by the name of a constant"


def test_every_variable_in_the_table_is_read_somewhere(root, read, explained):
    elsewhere = [
        root / "tests" / "conftest.py",
        *(root / "tests").rglob("conftest.py"),
        *(path for path in (root / "deploy").iterdir() if path.is_file()),
        *(root / ".ci").iterdir(),
    ]
    text = "\n".join(path.read_text("utf-8") for path in elsewhere)
    for variable in explained - set(read) - OF_LIBRARIES:
        assert variable in text, f"docs/commands.md explains {variable}, which nothing reads"
