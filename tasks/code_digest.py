"""A digest of the code behind a stage: what it does, not how it is written down.

Comments, docstrings, layout, and what a module says of itself (``__all__``,
``__version__``) leave it as it is; any other change to a
module, or to what that imports from this repository, changes it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

#: The packages of this repository that a stage may import.
PACKAGES = ("tasks", "saliency_audit")
#: Fields of a syntax tree that say nothing of what the code does, or that some Pythons lack.
PASSED_OVER = ("ctx", "kind", "type_comment", "type_ignores")
#: What a module says of itself to its readers: no stage computes with it.
SAID_OF_ITSELF = ("__all__", "__version__")


class Code:
    """The code of a checkout: its modules, what each imports, and their digests.

    ``root``: the folder that holds the packages.
    """

    def __init__(self, root: Path) -> None:
        import grimp

        self._root = root
        self._graph = grimp.build_graph(
            *PACKAGES, exclude_type_checking_imports=True, cache_dir=None
        )
        self._digest = cache(self._digest_of)

    @property
    def modules(self) -> set[str]:
        """The dotted names of all modules and packages."""
        return set(self._graph.modules)

    def closure(self, modules: Iterable[str]) -> list[str]:
        """Give all modules that some modules import, themselves included, sorted."""
        found = set(modules)
        for module in list(found):
            found |= self._graph.find_upstream_modules(module)
        # Importing a module runs its packages' __init__ too.
        packages = {name.rsplit(".", depth)[0] for name in found for depth in range(1, 4)}
        return sorted(found | (packages & self._graph.modules))

    def within(self, package: str) -> list[str]:
        """Give the modules of a package, itself included, sorted."""
        return sorted(
            name
            for name in self._graph.modules
            if name == package or name.startswith(f"{package}.")
        )

    def lines(self, modules: Iterable[str], files: Iterable[Path] = ()) -> Iterator[str]:
        """Give ``<digest> <module>`` for a closure, and ``<digest> <path>`` for other files.

        ``files``: relative to the root; of them every byte counts.
        """
        for module in self.closure(modules):
            yield f"{self._digest(module)} {module}"
        for file in sorted(files):
            yield f"{short_digest((self._root / file).read_bytes())} {file.as_posix()}"

    def _digest_of(self, module: str) -> str:
        path = self._root.joinpath(*module.split("."))
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return short_digest(meaning(source.read_text("utf-8")).encode())


def short_digest(content: bytes) -> str:
    """Give the first 80 bits of a SHA-256, as 20 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:20]


def meaning(source: str) -> str:
    """Give the syntax tree of a source without comments, docstrings and the like, as text.

    The same for all Pythons that read the source alike.

    >>> meaning("x = 1  # why") == meaning("x=1")
    True
    >>> meaning("x = 1") == meaning("x = 2")
    False
    >>> meaning("__version__ = '1.0'") == meaning("__version__ = '1.1'")
    True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_words(s)] or [ast.Pass()]
    return _text(tree)


def _is_words(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id in SAID_OF_ITSELF for t in statement.targets)
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _text(node: object) -> str:
    """Write a syntax tree down, without what is empty: newer Pythons have more empty fields."""
    if isinstance(node, list):
        return f"[{','.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_text(value)}"
        for name, value in ast.iter_fields(node)
        if name not in PASSED_OVER and value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(fields)})"
