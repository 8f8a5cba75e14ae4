"""A digest of the code behind a stage: what it does, not how it is written down.

Comments, docstrings and layout leave it as it is; any other change to the
stage's module, or to what that imports from this repository, changes it. It
keys training checkpoints, so that a mere comment does not train again and a
mended loss never continues an old training.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

#: The packages of this repository that a stage may import.
PACKAGES = ("tasks", "saliency_audit")


def import_closure(module: str) -> list[str]:
    """Give the modules of this repository that ``module`` imports, itself included, sorted."""
    import grimp

    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    found = {module, *graph.find_upstream_modules(module)}
    # Importing a module runs its packages' __init__ too.
    packages = {name.rsplit(".", depth)[0] for name in found for depth in range(1, 4)}
    return sorted(found | (packages & graph.modules))


def code_digest(module: str, root: Path, besides: Iterable[str] = ()) -> str:
    """Digest of a module's import closure; ``besides``: modules that it imports by name."""
    names = sorted({name for start in (module, *besides) for name in import_closure(start)})
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\n{meaning(source_file(name, root).read_text('utf-8'))}\n".encode())
    return digest.hexdigest()


def source_file(module: str, root: Path) -> Path:
    """Give the file of a module of this repository."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def meaning(source: str) -> str:
    """Give the syntax tree of a source without comments and docstrings, as text.

    >>> meaning("x = 1  # why") == meaning("x=1")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_words(s)] or [ast.Pass()]
    return ast.dump(tree)


def _is_words(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
