"""The pages that are made of declarations, written anew: ``python -m tasks.pages``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tasks import drawing
from tasks.gates import catalogue
from tasks.stages import HERE
from tasks.tables import definitions, dictionary

#: Parts of pages that people write: what stands before and after them, as a pattern.
DRAWING = r"(?<=```mermaid\n).*?(?=```)"
TABLE = r"(?<=<!-- stages: begin -->\n).*?(?=<!-- stages: end -->)"


def pages(root: Path = HERE) -> Mapping[str, str]:
    """Give what each page is to hold, by its path: wholly made, or what is there with its part."""
    return {
        "README.md": _with(root / "README.md", DRAWING, drawing.drawing()),
        "docs/architecture.md": _with(root / "docs" / "architecture.md", TABLE, drawing.table()),
        "docs/data-dictionary.md": dictionary.write(),
        "docs/definitions.md": _figures(root / "docs" / "definitions.md"),
        "docs/rules.md": catalogue.write(),
    }


def _figures(page: Path) -> str:
    return definitions.write(page.read_text("utf-8"))


def _with(page: Path, pattern: str, part: str) -> str:
    return re.sub(pattern, lambda _: part, page.read_text("utf-8"), flags=re.DOTALL)


if __name__ == "__main__":
    for name, content in pages().items():
        (HERE / name).write_text(content, encoding="utf-8")
