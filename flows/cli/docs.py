"""``saliency-audit docs``: what the gates found, as Great Expectations' own pages (Data Docs).

They are written from what the gates left, on demand, and are no result: nothing depends on them.
Great Expectations' pages load scripts, styles and a picture that counts readers from the network;
here they are taken out, so that the pages say the same without it, and tell nobody.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.execution.gates import gate_results, in_words
from flows.execution.graph import read_graph
from flows.ground.console import DONE, Voice
from saliency_audit.errors import AuditError, DataError
from tasks import places

#: What a page would load from elsewhere or run, and the invitation beneath it.
FOREIGN = re.compile(
    r"<script\b.*?</script\s*>|<link\b[^>]*>|<footer\b.*?</footer\s*>|<img\b[^>]*>", re.DOTALL
)
PICTURE = re.compile(r"url\('https?://[^']*'\)")
#: Links to pages of a whole Great Expectations project, which this is not.
HOME = re.compile(r'href="[./]*index\.html"')
SUITE = re.compile(r'<a href="[./]*expectations/[^"]*"\s*>(.*?)</a>')
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
table { border-collapse: collapse; margin: .5rem 0; width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left;
  vertical-align: top; }
a { color: #0b57a4; } h1, h2, h3, h4, h5, h6 { font-size: 1.05rem; margin: 1rem 0 .3rem; }
.fa-check-circle::before { color: #176b2c; content: "\\2713"; font-style: normal; }
.fa-times::before { color: #a4120b; content: "\\2717"; font-style: normal; }
.fa-exclamation-triangle::before { color: #8a5a00; content: "!"; font-style: normal; }
.fa-info::before { content: "i"; font-style: normal; }
.card, [data-toggle="collapse"] { display: none; }
ol { list-style: none; padding: 0; }
.passed { color: #176b2c; } .warned { color: #8a5a00; } .stopped { color: #a4120b; }
"""
FOLDER = Path("data_docs")


def command() -> None:
    """Write what the quality gates found as Great Expectations' own pages, and say where.

    reports/data_docs/index.html is made anew from what the gates left; it needs no network. Exit
    codes: 0 written, 3 no gate has run, or what it left is not here.
    """
    sys.exit(write_docs(Path.cwd()))


def write_docs(root: Path) -> int:
    """Write the Data Docs of a checkout and say where they are; gives the exit code."""
    console = Voice()
    try:
        page, told = data_docs(root)
    except AuditError as error:
        return console.complain(error)
    console.say(told)
    console.say(f"data docs: {page}")
    return DONE


def data_docs(root: Path) -> tuple[Path, str]:
    """Write the pages of every gate that ran; gives the first page, and how the gates stand.

    Raises DataError where no gate has run, or what one left cannot be read.
    """
    results = list(gate_results(root, read_graph(root)))
    if not results:
        raise DataError("no quality gate has run here: `saliency-audit run` first")
    folder = root / places.REPORTS / FOLDER
    beside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    rows = [_write_gate(root, beside, result) for result in results]
    _write(beside / "index.html", _index(rows, in_words(results)))
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)
    return folder / "index.html", in_words(results)


def _write_gate(root: Path, folder: Path, result: Mapping[str, Any]) -> str:
    """Write a page for each kind of facts of a gate; gives its row of the first page."""
    gate, subject = result["gate"], result["audit"] or result["dataset"]
    path = root / places.gate(gate, subject) / "validation.json"
    try:
        validations = json.loads(path.read_text("utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): run `dvc pull` or `saliency-audit run`"
        ) from None
    links = []
    for name, validation in validations.items():
        title = f"{gate}, {subject}: {name}"
        _write(folder / gate / subject / f"{name}.html", _page(title, validation))
        asked = validation["statistics"]
        told = f"{asked['successful_expectations']} of {asked['evaluated_expectations']}"
        link = f"{gate}/{subject}/{name}.html"
        links.append(f'<a href="{html.escape(link)}">{html.escape(name)}</a> ({told})')
    cells = (gate, subject, result["status"])
    named = "".join(f'<td class="{html.escape(cells[2])}">{html.escape(c)}</td>' for c in cells)
    return f"<tr>{named}<td>{', '.join(links)}</td></tr>"


def _page(title: str, validation: Mapping[str, Any]) -> str:
    """Give Great Expectations' page of a validation, without what it loads."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    from great_expectations.core.expectation_validation_result import (
        expectationSuiteValidationResultSchema,
    )
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    # Its expectations are known by name once their module is loaded.
    import tasks.gates.expectations  # noqa: F401

    found = expectationSuiteValidationResultSchema.load(
        {**validation, "meta": {}, "suite_name": title}
    )
    document = ValidationResultsPageRenderer().render(found)
    view: Any = DefaultJinjaPageView()
    page = str(view.render(document)).replace(" / __none__", "")
    page = PICTURE.sub("none", FOREIGN.sub("", page))
    page = SUITE.sub(r"\1", HOME.sub('href="../../index.html"', page))
    return page.replace("</head>", f"<style>{STYLE}</style></head>", 1)


def _index(rows: list[str], told: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Data Docs</title>'
        f"<style>{STYLE}</style></head><body><h1>Data Docs</h1><p>{html.escape(told)}. "
        '<a href="../index.html">To the reports</a></p><table><thead><tr><th>Gate</th><th>Of</th>'
        "<th>Status</th><th>Expectations met, by what they are about</th></tr></thead><tbody>"
        f"{''.join(rows)}</tbody></table></body></html>\n"
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
