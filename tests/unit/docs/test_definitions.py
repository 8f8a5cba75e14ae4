"""A definition names the functions that compute it, and their docstrings say the same of it.

Read from syntax trees: nothing of the library is imported.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.unit.docs.pages import ROOT, flat, sections

PAGE = ROOT / "docs" / "definitions.md"
NAME = re.compile(r"`((?:\w+\.)+\w+)`")
COMPUTED = re.compile(r"Computed by (.*?)\.(?= |$)")
SOURCE = re.compile(r"Source: (.*?)\.(?= Computed by| *$)")
EQUATIONS = re.compile(r"\bEqs? (\d+(?:(?:, | and )\d+)*)")
WORK = re.compile(r"([A-Z]\w+)(?: et al\.| and [A-Z]\w+)? (\d{4})")

#: Functions that compute a part of several definitions.
SHARED = {
    "measures.overlap.iou",
    "measures.overlap.precision",
    "measures.segu.certainty",
}
#: Words of headings that say nothing of what is computed.
EMPTY_WORDS = {"and", "of", "over", "by", "at", "the", "percent", "quality", "plus"}


def definitions():
    """Each heading with the names that it is computed by, and with what it cites."""
    for title, body in sections(PAGE).items():
        text = flat(body)
        computed = COMPUTED.findall(text)
        source = SOURCE.search(text)
        if computed:
            yield title, [name for said in computed for name in NAME.findall(said)], source


DEFINITIONS = list(definitions())


@cache
def tree_of(module):
    path = ROOT / "saliency_audit" / module.replace(".", "/")
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    return ast.parse(file.read_text("utf-8")) if file.is_file() else None


def defined(dotted):
    """The function or class of a name within the library, or None."""
    module, _, name = dotted.rpartition(".")
    tree = tree_of(module)
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [node for node in tree.body if isinstance(node, kinds)] if tree else []
    return next((node for node in found if node.name == name), None)


def docstrings(dotted):
    """What the code says of a name: its own docstring, and its module's."""
    module = dotted.rpartition(".")[0]
    return " ".join(filter(None, map(ast.get_docstring, (defined(dotted), tree_of(module)))))


def test_definitions_name_what_computes_them():
    assert len(DEFINITIONS) >= 40
    for title, names, _ in DEFINITIONS:
        assert names, f"{title}: name the function in backticks, as `measures.overlap.iou`"
        for name in names:
            assert defined(name), f"{title} is computed by {name}, which is not in the library"
            assert ast.get_docstring(defined(name)), f"{name}, of {title}, has no docstring"


def test_a_function_computes_one_definition():
    named: dict[str, list[str]] = {}
    for title, names, _ in DEFINITIONS:
        for name in names:
            named.setdefault(name, []).append(title)
    several = {name: titles for name, titles in named.items() if len(titles) > 1}
    wrong = {name: titles for name, titles in several.items() if name not in SHARED}
    assert not wrong, f"named under a wrong heading, or a part of both (SHARED): {wrong}"


def letters(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())


def stems(title):
    """The words of a heading, without the end by which a plural or a noun differs."""
    words = [word for word in re.findall(r"[A-Za-z-]+", title) if word.lower() not in EMPTY_WORDS]
    return [letters(word)[: max(3, len(letters(word)) - 3)] for word in words]


@pytest.mark.parametrize(("title", "names"), [(t, n) for t, n, _ in DEFINITIONS])
def test_the_code_of_a_definition_speaks_of_its_title(title, names):
    said = letters(" ".join([*names, *map(docstrings, names)]))
    missing = [stem for stem in stems(title) if stem not in said]
    assert not missing, (
        f"{title} is said to be computed by {', '.join(names)}, whose names and docstrings do not "
        f"speak of {missing}: name the right function, or let its docstring say what it computes"
    )


CITING = [(title, names, source[1]) for title, names, source in DEFINITIONS if source]


@pytest.mark.parametrize(("title", "names", "source"), CITING)
def test_the_code_of_a_definition_cites_its_source(title, names, source):
    said = flat(" ".join(map(docstrings, names)))
    equations = {n for group in EQUATIONS.findall(said) for n in re.findall(r"\d+", group)}
    for group in EQUATIONS.findall(source):
        missing = set(re.findall(r"\d+", group)) - equations
        assert not missing, f"{title}: {', '.join(names)} do not cite Eq {', '.join(missing)}"
    for author, year in WORK.findall(source):
        assert re.search(rf"{author}\b[^.]*?(?:et al\.)?[^.]*?\b{year}", said), (
            f"{title}: {', '.join(names)} do not cite {author} {year}"
        )
