"""The documentation as a site: it builds without a warning and loads nothing from elsewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.docs.pages import ROOT, anchors, name_of

#: What a browser fetches when it opens a page: the element, and the attribute that says from where.
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
    ("use", "href"),
    ("object", "data"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it: a warning fails."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


class Elements(HTMLParser):
    """What a page fetches, the anchors that it has, and the classes of its elements."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.anchors, self.classes = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if (tag, name) in FETCHED:
                self.fetched.add(value)
            elif name == "id":
                self.anchors.add(value)
            elif name == "class":
                self.classes |= set((value or "").split())


@pytest.fixture(scope="module")
def pages(site):
    found = {
        path.relative_to(site).as_posix(): Elements(path.read_text("utf-8"))
        for path in site.rglob("*.html")
    }
    assert len(found) > 30
    return found


def test_no_page_loads_anything_from_elsewhere(site, pages):
    for name, page in pages.items():
        away = [where for where in page.fetched if re.match(r"(\w+:)?//", where)]
        assert not away, f"{name} loads {away}"
        assert "mermaid" not in page.classes, f"{name}: the theme fetches Mermaid from a host"
    for sheet in site.rglob("*.css"):
        away = re.findall(r"(?:url\(|@import )[\"']?(?:\w+:)?//[^)\"']+", sheet.read_text("utf-8"))
        assert not away, f"{sheet.name} loads {away}"


def test_a_heading_has_the_anchor_on_the_site_that_it_has_in_the_repository(pages):
    for path in sorted((ROOT / "docs").glob("*.md")):
        missing = set(anchors(path)) - pages[f"{path.stem}.html"].anchors
        assert not missing, f"{name_of(path)}: {missing}"


def named_public(path):
    (names,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    return names


def test_the_reference_has_every_public_function_and_class(pages):
    kinds = (ast.FunctionDef, ast.ClassDef)
    for package in named_public(ROOT / "saliency_audit" / "__init__.py"):
        folder = ROOT / "saliency_audit" / package
        if not folder.is_dir():
            continue
        shown = pages[f"reference/{package}.html"].anchors
        for module in named_public(folder / "__init__.py"):
            path = folder / f"{module}.py"
            if not path.is_file():  # a function or class: of the module that it comes from
                assert any(anchor.endswith(f".{module}") for anchor in shown), module
                continue
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, kinds) and not node.name.startswith("_"):
                    name = f"saliency_audit.{package}.{module}.{node.name}"
                    assert name in shown, f"{name} is not in the reference"


def test_the_readme_is_the_first_page_and_its_graph_is_drawn(site):
    first = (site / "index.html").read_text("utf-8")
    assert "This project checks, and checks again" in first
    drawing = first.partition('<div class="drawing">')[2].partition("</div>")[0]
    graph = re.search(r"```mermaid\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    stages = set(re.findall(r"^ +(\w+) -->", graph[1], re.MULTILINE))
    assert stages <= set(re.findall(r"<text [^>]*>(\w+)</text>", drawing))
    assert drawing.count('class="arrow"') == graph[1].count("-->")


def test_definitions_are_found_by_search(site):
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    places = {entry["location"] for entry in index["docs"]}
    assert {"definitions.html#iou-ceiling", "public-api.html"} <= places


@pytest.fixture
def address(site):
    """The address of a server of the site on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_reader_searches_in_a_browser_and_nothing_leaves_the_machine(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/index.html")
    page.click("input.md-search__input")
    page.keyboard.type("ceiling")
    page.wait_for_selector(".md-search-result__link[href*='definitions.html']")
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    page.close()


@pytest.mark.parametrize("name", ["index", "definitions", "commands", "reference/measures"])
def test_a_page_is_no_wider_than_a_phone(browser, address, name):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(f"{address}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
