"""Pages of the site that are no file of docs/, and links that lead out of it. A hook of mkdocs.

- the README is the first page, CONTRIBUTING, CHANGELOG and SECURITY are pages beside the others;
- ``reference/`` has a page per public package, of what its ``__all__`` names: mkdocstrings fills
  it from docstrings, read from the files without importing them;
- a drawing in Mermaid becomes SVG here (``drawing``): a browser would fetch Mermaid from a host;
- a link to a file of the repository that is no page becomes the file's name.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import drawing

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "saliency_audit"
#: Files of the repository's root that are pages of the site, by their address there.
FROM_ROOT = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(docs/([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of docs/."""
    for address, name in FROM_ROOT.items():
        text = from_root((ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, address, content=text))
    for package in public(LIBRARY / "__init__.py"):
        if (LIBRARY / package).is_dir():
            files.append(
                File.generated(config, f"reference/{package}.md", content=reference(package))
            )
    files.append(File.generated(config, "reference/index.md", content=of_root()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw what is in Mermaid, and take away links to files that are no pages."""
    drawn = FENCE.sub(lambda found: draw(found[1], found[2]) or found[0], markdown)
    return outside_code(drawn, lambda text: without_dead_links(text, page.file.src_uri, files))


def draw(language: str, text: str) -> str | None:
    """Give a drawing as SVG, or None of another language."""
    return drawing.svg(text) + "\n" if language == "mermaid" else None


def outside_code(markdown: str, change: Any) -> str:
    """Change what stands outside of fenced blocks."""
    parts, last = [], 0
    for found in FENCE.finditer(markdown):
        parts += [change(markdown[last : found.start()]), found[0]]
        last = found.end()
    return "".join([*parts, change(markdown[last:])])


def without_dead_links(markdown: str, page: str, files: Files) -> str:
    """Leave the words of a link to a file of the repository that the site does not have."""

    def led(found: re.Match[str]) -> str:
        target = found[2].partition("#")[0]
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        return found[0] if files.get_file_from_path(place) else found[1]

    return LINK.sub(led, markdown)


def from_root(text: str) -> str:
    """Write links of a page of the root as links of a page of docs/."""
    pages = {name: address for address, name in FROM_ROOT.items()}

    def moved(found: re.Match[str]) -> str:
        path, mark, anchor = found[2].partition("#")
        return f"[{found[1]}]({pages.get(path, path.removeprefix('docs/'))}{mark}{anchor})"

    return outside_code(IMAGE.sub(r"![\1](\2)", text), lambda part: LINK.sub(moved, part))


def public(path: Path) -> list[str]:
    """Give what a module's ``__all__`` names."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise ValueError(f"{path} has no __all__")


def reference(package: str) -> str:
    """Give the page of a public package: its docstring, then each public module."""
    name = f"saliency_audit.{package}"
    modules = [n for n in public(LIBRARY / package / "__init__.py") if is_module(package, n)]
    return page_of(name, [f"{name}.{module}" for module in modules] or sources(package))


def is_module(package: str, name: str) -> bool:
    """Say whether a public name of a package is a module of it."""
    return (LIBRARY / package / f"{name}.py").is_file()


def sources(package: str) -> list[str]:
    """Give the modules that a package takes its public names from, where these are no modules."""
    tree = ast.parse((LIBRARY / package / "__init__.py").read_text("utf-8"))
    return [str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)]


def of_root() -> str:
    """Give the page of the public modules that are in no package."""
    names = [name for name in public(LIBRARY / "__init__.py") if not (LIBRARY / name).is_dir()]
    return page_of("saliency_audit", [f"saliency_audit.{name}" for name in names])


def page_of(package: str, modules: list[str]) -> str:
    """Give a page for mkdocstrings."""
    path = ROOT.joinpath(*package.split("."), "__init__.py")
    words = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    parts = [f"# {package}", words.replace("``", "`")]
    for module in modules:
        parts.append(f"## {module.removeprefix(package + '.')}\n\n::: {module}")
    return "\n\n".join(parts) + "\n"
