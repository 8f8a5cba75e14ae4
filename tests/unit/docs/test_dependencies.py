"""What the code imports is declared in pyproject.toml, and not only brought by something else."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = {"flows", "tasks", "saliency_audit", "benchmarks", "tests"}
#: Which extras each folder may import from.
MAY_IMPORT = {
    "saliency_audit": {"images", "models", "attribution"},
    "tasks": {"pipeline"},
    "flows": {"pipeline"},
    "docs": {"docs"},
    "benchmarks": {"pipeline", "test"},
    "tests": {"pipeline", "test"},
}


def imports(folder):
    """The first name of each module that a folder's files import, with one of these files."""
    found = {}
    beside = {path.stem for path in folder.rglob("*.py")}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            found |= {name.partition(".")[0]: path.name for name in names}
    return {
        name: file
        for name, file in found.items()
        if name not in sys.stdlib_module_names | OURS | beside
    }


@pytest.fixture(scope="module")
def distributions():
    """The distributions that bring each module: read once, as it reads every package's files."""
    return packages_distributions()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def declared(project, extras):
    """The distributions of some extras, and of the extras of this project that these name."""
    lines, waiting = list(project["dependencies"]), list(extras)
    for extra in waiting:
        for line in project["optional-dependencies"][extra]:
            requirement = Requirement(line)
            if requirement.name == project["name"]:
                waiting.extend(requirement.extras - set(waiting))
            else:
                lines.append(line)
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_what_is_imported_is_declared(root, project, distributions, folder):
    names = declared(project, MAY_IMPORT[folder])
    for module, file in imports(root / folder).items():
        of = {canonicalize_name(name) for name in distributions.get(module, [module])}
        assert of & names, f"{folder}/…/{file} imports {module}: declare one of {sorted(of)}"


def test_the_lock_holds_what_is_declared(root, project):
    lock = (root / "requirements.lock").read_text("utf-8").splitlines()
    pinned = {
        canonicalize_name(Requirement(line).name) for line in lock if line and line[0].isalnum()
    }
    missing = declared(project, ["pipeline", "test"]) - pinned
    assert not missing, f"run `make lock`: {missing}"
