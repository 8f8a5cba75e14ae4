"""The wheel holds the library alone, which needs torch, numpy and pyarrow and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built from a copy so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder / name)
    for name in ("saliency_audit", "tasks", "flows"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def needed(names):
    """The distributions that the given ones need, themselves included."""
    found, waiting = {}, [canonicalize_name(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for line in found[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A folder of packages with torch, numpy, pyarrow and what these need: nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    for distribution in needed(["torch", "numpy", "pyarrow"]).values():
        home = Path(str(distribution.locate_file("")))
        for part in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(home / part)
    return folder


def run_clean(code, *folders):
    """Run code in a process that sees the standard library and the given folders only."""
    paths = [str(folder) for folder in folders]
    start = f"import sys; sys.path[:0] = {paths!r}\n"
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def modules(folder):
    return sorted(
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in (folder / "saliency_audit").rglob("*.py")
    )


def test_the_wheel_holds_the_library_alone(wheel, root):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    written = {
        path.relative_to(root).as_posix() for path in (root / "saliency_audit").rglob("*.py")
    }
    assert set(names) == {*written, "saliency_audit/py.typed"}


def test_the_wheel_asks_for_three_packages(unpacked):
    (information,) = unpacked.glob("*.dist-info")
    requirements = [
        Requirement(line)
        for line in metadata.PathDistribution(information).requires or []
        if "extra" not in line
    ]
    assert {requirement.name for requirement in requirements} == {"torch", "numpy", "pyarrow"}


def test_the_clean_environment_is_one(clean):
    code = "import importlib.util as u; print(*(n for n in NAMES if u.find_spec(n)))"
    names = ("PIL", "scipy", "torchvision", "yaml", "pydantic", "dvc", "prefect", "saliency_audit")
    assert run_clean(f"NAMES = {names!r}\n{code}", clean).split() == []


def test_every_module_can_be_imported_with_these_alone(unpacked, clean):
    code = f"import importlib\nfor name in {modules(unpacked)!r}: importlib.import_module(name)"
    run_clean(code, unpacked, clean)


def test_the_examples_of_the_documentation_run_with_these_alone(root, unpacked, clean):
    page = (root / "docs" / "library.md").read_text("utf-8")
    examples = FENCE.findall(page)
    assert examples
    code = "\n".join(examples) + "\nimport saliency_audit; print(saliency_audit.__file__)"
    assert str(unpacked) in run_clean(code, unpacked, clean).splitlines()[-1]
