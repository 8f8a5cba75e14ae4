"""The pages of the documentation, as text: blocks of code, prose, headings and links."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: Says what was: commands and names that are gone stay in it, and each version has its "Added".
HISTORY = ROOT / "CHANGELOG.md"
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")} - {HISTORY})
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"\n+```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text and the line where it starts."""

    page: Path
    language: str
    text: str
    line: int
    #: What the page says that it prints: a block of text right after it.
    output: str | None = None

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page, language):
    text = page.read_text("utf-8")
    found_blocks = []
    for found in FENCE.finditer(text):
        if found[1] == language:
            after = OUTPUT.match(text, found.end())
            line = text.count("\n", 0, found.start()) + 2
            found_blocks.append(Block(page, language, found[2], line, after and after[1]))
    return found_blocks


def blocks_of_all_pages(*languages):
    return [block for page in PAGES for name in languages for block in blocks(page, name)]


def prose(page):
    return FENCE.sub("", page.read_text("utf-8"))


def name_of(page):
    return str(page.relative_to(ROOT))


def slug(heading):
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    kept = "".join(
        c for c in text.strip().lower() if unicodedata.category(c)[0] in "LN" or c in " -_"
    )
    return kept.replace(" ", "-")


def headings(page):
    """The headings of a page, each with its level, in their order."""
    return [(len(marks), text) for marks, text in HEADING.findall(prose(page))]


def anchors(page):
    """The anchors of a page, each with how many headings have it: one, or a link is ambiguous."""
    return Counter(slug(text) for _, text in headings(page))


def sections(page):
    """The text under each heading, up to the next heading of any level."""
    text = prose(page)
    found = list(HEADING.finditer(text))
    ends = [following.start() for following in found[1:]] + [len(text)]
    return {heading[2]: text[heading.end() : end] for heading, end in zip(found, ends, strict=True)}


def flat(text):
    """A text whose line breaks are spaces, so that a sentence can be looked for."""
    return " ".join(text.split())
