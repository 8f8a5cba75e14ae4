"""Figures in prose that are turned, measured or counted elsewhere are the same there.

A page may say "512 masks". Then either ``STATED`` below says where the 512 comes from, and this
test compares, or the sentence goes stale when the parameter is turned.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import yaml

from tests.unit.docs.pages import PAGES, ROOT, flat, name_of, prose

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@cache
def params():
    return yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))


@cache
def benchmark(name):
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text("utf-8"))


def constant(module, name):
    return getattr(importlib.import_module(module), name)


def orthogonal_block():
    """Masks in a block of RISE with its default grid: rows of a Hadamard matrix, and opposites."""
    cells = constant("saliency_audit.attribution.rise", "Rise")().grid ** 2
    return 2 * len(constant("saliency_audit.attribution.orthogonal", "hadamard")(cells + 1))


def xaimed():
    return constant("tasks.audits", "AgreementParameters")()


def chance_of_three():
    votes = len(xaimed().methods)
    return constant("saliency_audit.measures.grid", "chance_of_agreement")(votes, 3)


def ham10000(row, key):
    references = constant("tasks.report.papers", "HAM10000").references
    return getattr(next(found for found in references if row in found.name), key)


@dataclass(frozen=True)
class Stated:
    """A figure that a page states: the words around it, its place marked by (…), and its source.

    ``source`` gives a number or a text; several groups want a tuple. A number is compared with as
    many digits as the page gives it.
    """

    page: str
    words: str
    source: Callable[[], Any]


def of_method(name, key="samples"):
    return lambda: params()["method"][name][key]


def of_params(*path):
    def read():
        found = params()
        for key in path:
            found = found[key]
        return found

    return read


def of(module, name):
    return lambda: constant(module, name)


def of_orchestration(part, key):
    return lambda: benchmark("orchestration")[part][key]


def split_in_percent():
    return tuple(params()["split"][side] for side in ("train", "validation", "test"))


RESAMPLING, THRESHOLDS = "saliency_audit.statistics.resampling", "saliency_audit.models.thresholds"
N = r"(\d[\d.,]*|" + "|".join(WORDS) + ")"

STATED = [
    Stated(
        "definitions", rf"\(`measures.kept_fraction`, {N}\)", of_params("measures", "kept_fraction")
    ),
    Stated("definitions", r"test, (\d+):(\d+):(\d+) by default", split_in_percent),
    Stated(
        "definitions", rf"fewer than {N} groups with the label", of(THRESHOLDS, "FEWEST_GROUPS")
    ),
    Stated("definitions", rf"best F1 less than {N} above", of(THRESHOLDS, "SMALLEST_GAIN")),
    Stated("definitions", rf"Dice, λ = {N}; the paper", of_params("segmenter", "ce_weight")),
    Stated(
        "definitions",
        rf"LIME found fewer than {N} regions",
        of("saliency_audit.attribution.lime", "ENOUGH_SUPERPIXELS"),
    ),
    Stated("definitions", r"cut in (\d).\d cells \(`agreement.preset`\)", lambda: xaimed().grid),
    Stated("definitions", r"cut in \d.(\d) cells \(`agreement.preset`\)", lambda: xaimed().grid),
    Stated("definitions", rf"0 … {N} for the paper's", lambda: len(xaimed().methods)),
    Stated("definitions", rf"for the paper's {N} \(", lambda: len(xaimed().methods)),
    Stated("definitions", rf"top lists in {N} % of images", lambda: 100 * chance_of_three()),
    Stated("definitions", rf"background image, averaged over {N} points", of_method("shap")),
    Stated("definitions", rf"{N} times a random half of them", of_method("lime")),
    Stated("definitions", rf"masks come in blocks of {N} \(`design", orthogonal_block),
    Stated("definitions", rf"The default of {N} such masks", of_method("rise")),
    Stated("definitions", rf"Fewer than {N} groups or", of(RESAMPLING, "FEW_GROUPS")),
    Stated("definitions", rf"groups or {N} incorrect", of(RESAMPLING, "FEW_INCORRECT")),
    Stated(
        "definitions",
        rf"Fewer than {N} groups with an incorrect",
        of(RESAMPLING, "TOO_FEW_INCORRECT_GROUPS"),
    ),
    Stated("definitions", rf"has IoU {N} \(", lambda: float(ham10000("disc", "iou"))),
    Stated("definitions", rf"\({N} after SegX\)", lambda: float(ham10000("disc", "segx"))),
    Stated("definitions", rf"the ceiling is {N};", lambda: float(ham10000("highest", "iou"))),
    Stated("definitions", rf"a random map has {N};", lambda: float(ham10000("random", "iou"))),
    Stated("convergence", rf"{N} orthogonal masks, the default,", of_method("rise")),
    Stated("convergence", rf"masks come in blocks of {N} from", orthogonal_block),
    Stated("convergence", rf"With {N} samples, the default,", of_method("lime")),
    Stated("convergence", rf"{N} of them, the default,", of_method("shap")),
    Stated(
        "convergence",
        rf"with the image itself they are {N} batches",
        lambda: (params()["method"]["shap"]["samples"] + 1) // params()["compute"]["batch"],
    ),
    Stated("convergence", rf"batches of {N}\.", of_params("compute", "batch")),
    Stated("architecture", rf"holds at most {N} GiB", of("tasks.map_store", "DEFAULT_BOUND")),
    Stated("commands", rf"are kept; default {N} \|", of("tasks.map_store", "DEFAULT_BOUND")),
    Stated("architecture", rf"exact\*\*: {N} % for", lambda: 100 * chance_of_three()),
    Stated("orchestration", rf"audit had {N} stages", of_orchestration("default", "stages")),
    Stated("orchestration", rf"default audit \| {N} \|", of_orchestration("default", "no_op_s")),
    Stated(
        "orchestration",
        rf"to do: {N} stages",
        of_orchestration("stages", "stages_up_to_date"),
    ),
    Stated("orchestration", rf"501 stages \| {N} \|", of_orchestration("stages", "no_op_s")),
    Stated(
        "orchestration",
        rf"comes up and goes \| {N} \|",
        of_orchestration("stages", "one_stage_flow_s"),
    ),
    Stated("orchestration", rf"each of {N} stages,", of_orchestration("stages", "stages")),
    Stated(
        "orchestration",
        rf"its own process \| {N} \|",
        of_orchestration("stages", "overhead_per_stage_s"),
    ),
    Stated("orchestration", rf"\| {N} stages of \d", of_orchestration("workers", "stages")),
    Stated("orchestration", rf"stages of {N} s on", of_orchestration("workers", "seconds_of_each")),
    Stated(
        "orchestration", r"and on one \| (\d+), \d", of_orchestration("workers", "two_workers_s")
    ),
    Stated(
        "orchestration", r"and on one \| \d+, (\d+)", of_orchestration("workers", "one_worker_s")
    ),
    Stated("README", rf"test images with {N} methods", lambda: len(params()["methods"])),
]

#: Counts of stages, rules and gates that are no count of this project's: of a part or an example.
OTHER_COUNTS = {
    ("docs/commands.md", "to four stages"),
    ("docs/orchestration.md", "no two stages"),
}


def page_of(name):
    return ROOT / "README.md" if name == "README" else ROOT / "docs" / f"{name}.md"


def number(text):
    text = text.rstrip(".,")
    return float(WORDS.index(text) if text in WORDS else text.replace(",", ""))


def digits(text):
    """How many digits a page gives behind the point."""
    return len(text.rstrip(".,").partition(".")[2])


@pytest.mark.parametrize("stated", STATED, ids=lambda s: f"{s.page}: {s.words}".replace(N, "…"))
def test_a_figure_in_prose_is_that_of_its_source(stated):
    found = re.findall(stated.words, flat(prose(page_of(stated.page))))
    assert len(found) == 1, f"{stated.page} says {stated.words!r} {len(found)} times: mend STATED"
    texts = found[0] if isinstance(found[0], tuple) else (found[0],)
    source = stated.source()
    for text, true in zip(texts, source if isinstance(source, tuple) else (source,), strict=True):
        rounded = round(float(true), digits(text))
        assert number(text) == rounded, f"{stated.page} says {text}, its source {true}"


COUNT = re.compile(rf"(?:\w+ )?{N} (?:stages|rules|gates)\b")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_count_of_stages_rules_and_gates_has_a_source(page):
    """Generated pages are compared as a whole by their own tests."""
    if page.stem in ("rules", "mutations", "data-dictionary"):
        return
    text = flat(prose(page))
    covered = [
        found.span()
        for stated in STATED
        if page_of(stated.page) == page
        for found in re.finditer(stated.words, text)
    ]
    for found in COUNT.finditer(text):
        said_elsewhere = any((name_of(page), found[0]) == other for other in OTHER_COUNTS)
        start, end = found.span(1)
        inside = any(first <= start and end <= last for first, last in covered)
        assert inside or said_elsewhere, (
            f"{name_of(page)} says {found[0]!r}: say in STATED where that comes from, "
            "or in OTHER_COUNTS that it counts something else"
        )


def test_a_parameter_that_an_example_turns_was_what_it_says():
    """In an excerpt of params.yaml, "# was 512" behind a key is the committed value."""
    found = 0
    for page in PAGES:
        for excerpt in re.findall(
            r"^```yaml\n(# params\.yaml\n.*?)^```", page.read_text("utf-8"), re.M | re.S
        ):
            path: list[str] = []
            for line in excerpt.splitlines():
                key = re.match(r"( *)(\w+):", line)
                if key is None:
                    continue
                path[len(key[1]) // 2 :] = [key[2]]
                was = re.search(r"# was (\S+)$", line)
                if was:
                    found += 1
                    assert str(of_params(*path)()) == was[1], f"{name_of(page)}: {line.strip()}"
    assert found


ROW = re.compile(r"^\| ([^|]+) \((\d+)\) \| ((?:\w+, )?\w+) \| (.+) \|$", re.MULTILINE)
AUDITS = {
    "ResNet-18, HAM10000": "ham10000-resnet18",
    "small CNN, HAM10000": "ham10000-cnn",
    "small CNN, phantoms": "phantom_skin-cnn",
}


@pytest.mark.parametrize("method", ["rise", "lime", "shap"])
def test_a_table_of_convergence_is_what_was_measured(method):
    page = page_of("convergence").read_text("utf-8")
    section = page.partition(f"\n## {method.upper()}\n")[2].partition("\n## ")[0]
    columns = re.search(r"design \| (.+) \|$", section, re.MULTILINE)[1].split(" | ")
    rows = ROW.findall(section)
    assert len(rows) >= 4
    for audit, images, design, cells in rows:
        measured = benchmark("convergence")[f"{method}/{AUDITS[audit]}"]
        assert measured["images"] == int(images)
        assert measured["samples"] == [int(column.replace(",", "")) for column in columns]
        curve = measured["designs"][design]
        for cell, error, iou in zip(cells.split(" | "), curve["error"], curve["iou"], strict=True):
            said, overlap = re.fullmatch(r"([\d.]+) \(([\d.]+)\)", cell).groups()
            assert abs(float(said) - error) <= 0.5000001 * 10 ** -digits(said)
            assert abs(float(overlap) - iou) <= 0.0050001


@pytest.mark.parametrize("method", ["rise", "lime"])
def test_a_table_of_quality_is_what_was_measured(method):
    page = page_of("convergence").read_text("utf-8")
    table = page.partition(f"\n| {method.upper()} | seconds per map |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| [\d.]+ \| ([\d.]+) \| ([\d.]+) \|$", table, re.M)
    arms = benchmark("quality")[f"{method}/ham10000-resnet18"]["arms"]
    assert len(rows) == 3
    for name, *said in rows:
        measured = arms[name if name.startswith("ours") else "plain"]
        for text, true in zip(said, measured, strict=True):
            assert abs(float(text) - true) <= 0.5000001 * 10 ** -digits(text), f"{name}: {text}"
