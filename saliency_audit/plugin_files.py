"""The files behind a plugin, as they are on this machine: their digest, and what they import.

Nothing is imported, and no record is trusted alone: the package of the entry
point is looked at where Python would import it from, as that of an editable
install, and what the distribution says of its files is added where it is there.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from saliency_audit.errors import ParameterError
from saliency_audit.plugins import Plugin, distribution_of

#: Folders of metadata that say how and where something was installed.
METADATA = (".dist-info", ".egg-info", ".data")
#: Files that an installer writes for this machine.
WRITTEN = (".pth", ".pyc")


def files(plugin: Plugin) -> dict[str, Path]:
    """Give the files of a plugin's distribution by their names as installed, ascending.

    Its modules and all that lies beside them; neither compiled modules, nor metadata, nor scripts.
    Raises ParameterError where the module of its entry point is nowhere.
    """
    distribution = distribution_of(plugin)
    listed = (distribution.read_text("top_level.txt") or "").split()
    found: dict[str, Path] = {}
    for module in sorted({*listed, plugin.value.partition(":")[0].strip()}):
        found |= _of_module(module)
    if not found:
        raise ParameterError(f"{plugin} has no files that Python finds: reinstall it")
    for file in distribution.files or ():
        path = Path(str(file.locate()))
        if _counts(file) and path.is_file():
            found.setdefault(PurePosixPath(file).as_posix(), path)
    return dict(sorted(found.items()))


def digest(plugin: Plugin) -> str:
    """Give the SHA-256 (hexadecimal) of the names and contents of a plugin's files."""
    whole = hashlib.sha256()
    for name, path in files(plugin).items():
        whole.update(f"{hashlib.sha256(path.read_bytes()).hexdigest()} {name}\n".encode())
    return whole.hexdigest()


def imports(plugin: Plugin, package: str) -> list[str]:
    """Give the dotted names of a package that a plugin's modules import, ascending.

    A name may be a module or what a module holds, as in ``from package import name``.
    """
    found: set[str] = set()
    for path in files(plugin).values():
        if path.suffix == ".py":
            found |= {name for name in _imported(path) if f"{name}.".startswith(f"{package}.")}
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # a template, or what Python could not import either
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _of_module(module: str) -> Mapping[str, Path]:
    """Give the files of the outermost package of a module, or its one file, by name."""
    first, *rest = module.split(".")
    specification = importlib.util.find_spec(first)
    if specification is None:
        return {}
    if specification.submodule_search_locations is None:
        path = Path(specification.origin or "")
        return {path.name: path} if path.is_file() else {}
    # A namespace may be shared with other distributions: only what is below it is this one's.
    roots = [(Path(place), first) for place in specification.submodule_search_locations]
    for name in rest:
        if any((root / "__init__.py").is_file() for root, _ in roots):
            break
        roots = [(root / name, f"{prefix}/{name}") for root, prefix in roots]
    return {name: path for root, prefix in roots for name, path in _within(root, prefix)}


def _within(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    if root.with_suffix(".py").is_file():
        yield f"{prefix}.py", root.with_suffix(".py")
    for path in root.rglob("*") if root.is_dir() else ():
        name = PurePosixPath(prefix) / path.relative_to(root).as_posix()
        if path.is_file() and _counts(name):
            yield name.as_posix(), path


def _counts(name: PurePosixPath) -> bool:
    """Say whether a file, by its name as installed, may decide what a plugin does."""
    return (
        name.suffix not in WRITTEN
        and not name.name.startswith("__editable__")
        and not {"__pycache__", "bin", "Scripts"} & set(name.parts)
        and not any(part.endswith(METADATA) for part in name.parts)
        and not any(part.startswith(".") and part != ".." for part in name.parts)
    )
