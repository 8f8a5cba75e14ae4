"""The page on drift: what was accepted, what of it has moved, and every statistic compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saliency_audit.quality.drift import (
    Comparison,
    Counts,
    DriftParameters,
    Sample,
    Sketch,
    Status,
)
from tasks.report.chart import Axis, Series, line_chart, spanning
from tasks.report.inputs import spell
from tasks.report.numerals import NOTHING, counted, percent, score
from tasks.report.page import render
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Chart, Facts, Part, Section, filled

TESTS = {"ks": "KS", "chi_square": "PSI"}
STATUSES = {
    Status.NEW: "new: nothing was accepted of it",
    Status.GONE: "gone: it was accepted and is no more",
    Status.TOO_FEW: "too few patients or lesions to tell",
}
IMAGES = {
    "red": "mean red",
    "green": "mean green",
    "blue": "mean blue",
    "contrast": "contrast (deviation of grey)",
    "sharpness": "sharpness (difference of neighbours)",
    "saturated": "share of saturated pixels",
    "width": "width of the source image",
    "height": "height of the source image",
}
MAPS = {
    "status": "status",
    "method_status": "what the method says",
    "gini": "sparseness (Gini index)",
    "top_share": "share held by the top fraction",
    "row": "centre of mass, down",
    "column": "centre of mass, across",
    "spread": "spread around its centre",
}
#: Drawings of drifted statistics, at most: the ones that moved farthest.
DRAWN = 6
#: Between words that stay in one line.
SPACE = "\N{NO-BREAK SPACE}"
#: Kinds named of a distribution, at most.
NAMED = 3


@dataclass(frozen=True)
class Drift:
    """What the page shows: both profiles and their comparison.

    ``origin``: revision, who and why of what was accepted, None where nothing was.
    """

    dataset: str
    before: Mapping[str, Sample]
    now: Mapping[str, Sample]
    found: Sequence[Comparison]
    origin: Mapping[str, str] | None
    parameters: DriftParameters

    @property
    def drifted(self) -> list[Comparison]:
        """The statistics that have drifted."""
        return [own for own in self.found if own.drifted]


def drift_page(drift: Drift) -> str:
    """Give the page as HTML."""
    sections = [_moved(drift), _all(drift)] if drift.origin is not None else [_profile(drift)]
    return render("drift.html.j2", dataset=drift.dataset, answer=_answer(drift), sections=sections)


def describe(name: str) -> tuple[str, str]:
    """Say what a statistic is of, and what it is.

    >>> describe("audits/skin-cnn/maps/gradcam/row"), describe("strata/sex")
    (('skin-cnn', 'Grad-CAM maps: centre of mass, down'), ('Dataset', 'stratum sex'))
    """
    kind, _, rest = name.partition("/")
    if kind == "audits":
        audit, part, own = rest.split("/", 2)
        if part == "maps":
            method, statistic = own.split("/", 1)
            return audit, f"{spell(method)} maps: {MAPS.get(statistic, statistic)}"
        return audit, _of_labels("predicted ", own) if own != "confidence" else (
            "calibrated probability of the likeliest label"
        )
    if kind == "images":
        return "Dataset", IMAGES.get(rest, rest)
    if name == "masks/sharpness":
        return "Dataset", "sharpness within the mask"
    if kind == "masks":
        label = rest.removeprefix("coverage").removeprefix("/")
        return "Dataset", "share of the image that the mask covers" + (label and f", {label}")
    return "Dataset", f"stratum {rest}" if kind == "strata" else _of_labels("", name)


def _of_labels(what: str, name: str) -> str:
    label = name.removeprefix("labels").removeprefix("/")
    return f"{what}label {label}" if label else f"{what}labels"


def _answer(drift: Drift) -> dict[str, Any]:
    """Give the card at the head of the page."""
    tested = sum(own.status is Status.OK for own in drift.found)
    if drift.origin is None:
        said = "Nothing is accepted yet, so nothing is compared."
        basis = (
            "Look through the figures of this audit. If they are as they should be, commit "
            f"reports/{drift.dataset} and dvc.lock and run saliency-audit accept {drift.dataset} "
            "--why …"
        )
    elif not tested:
        said = "It cannot be told: nothing could be compared."
        basis = "What is new, gone or of too few patients or lesions is listed below."
    elif drift.drifted:
        said = f"Yes: {len(drift.drifted)} of {counted(tested, 'statistic')} drifted."
        basis = (
            "Nothing was stopped. Find out why; if the new state is as it should be, run "
            f"saliency-audit accept {drift.dataset} --why …"
        )
    else:
        said = f"No: none of {counted(tested, 'statistic')} drifted."
        basis = "What is new, gone or of too few patients or lesions is listed below."
    question = "Has the audit moved since it was accepted?"
    few = drift.origin is not None and not tested
    opened = drift.origin is None or few
    return {"question": question, "answer": said, "basis": basis, "open": opened, "few": few}


def _moved(drift: Drift) -> Section:
    """Say what was accepted, and show what has moved."""
    origin = drift.origin or {}
    facts = Facts(
        "What was accepted",
        [
            ("Revision", origin.get("revision", "")),
            ("By", origin.get("who", "")),
            ("Why", origin.get("why", "")),
        ],
    )
    named = sorted(drift.drifted, key=lambda own: (-(own.effect or 0), own.name))
    numbers = [own for own in named if isinstance(drift.now[own.name], Sketch)]
    charts = [_chart(drift, own.name) for own in numbers[:DRAWN]]
    kinds = [own.name for own in named if isinstance(drift.now[own.name], Counts)]
    rows = [_row(drift, own) for own in named]
    table = PrintedTable(
        "drifted", "What has drifted", _COLUMNS[:-1], rows, (_rule(drift),), heads=2
    )
    parts: list[Part] = [facts, table, *charts, *(_kinds(drift, name) for name in kinds)]
    lead = (
        "The statistics whose distribution is another one than the accepted, the farthest first."
        if rows
        else "No statistic's distribution is another one than the accepted."
    )
    return Section("drifted", "What has drifted", lead, filled(parts))


def _rule(drift: Drift) -> str:
    own = drift.parameters
    return (
        f"A statistic has drifted where p, corrected for the number of statistics (Holm), is below "
        f"{percent(own.alpha)} and its effect is at least {own.distance:g} (Kolmogorov-Smirnov "
        f"distance, of numbers) or {own.psi:g} (population stability index, of kinds, beside the "
        "chi-square test). A sample weighs as much as its patients or lesions, not as its images."
    )


def _all(drift: Drift) -> Section:
    """List everything that was compared, and what could not be."""
    found = sorted(drift.found, key=lambda own: _dataset_first(own.name))
    compared = [_row(drift, own) for own in found if own.status is Status.OK]
    left = [_row(drift, own) for own in found if own.status is not Status.OK]
    parts: list[Part] = [
        PrintedTable(
            "compared", "Every statistic compared", _COLUMNS, compared, (_rule(drift),), heads=2
        ),
        PrintedTable("uncompared", "What was not compared", _LEFT, left, heads=2),
    ]
    lead = "Numbers as their median, with the range of the middle 90 %; kinds as shares."
    return Section("statistics", "All statistics", lead, filled(parts))


def _profile(drift: Drift) -> Section:
    """List what would be accepted."""
    rows = [
        {**_named(name), "n": own.n, "groups": round(own.groups), "now": _distribution(own)}
        for name, own in sorted(drift.now.items(), key=lambda item: _dataset_first(item[0]))
    ]
    columns = (
        *_NAMED,
        Column("n", "Rows", Kind.COUNT),
        Column("groups", "Patients or lesions they count as", Kind.COUNT),
        Column("now", "Distribution"),
    )
    lead = "Numbers as their median, with the range of the middle 90 %; kinds as shares."
    table = PrintedTable("profile", "What would be accepted", columns, rows, heads=2)
    return Section("statistics", "All statistics", lead, filled([table]))


def _dataset_first(name: str) -> tuple[bool, str]:
    return name.startswith("audits/"), name


_NAMED = (Column("of", "Of"), Column("statistic", "Statistic"))
_COLUMNS = (
    *_NAMED,
    Column("before", "Accepted"),
    Column("now", "Now"),
    Column("n_before", "Accepted", Kind.COUNT, "Rows"),
    Column("n", "Now", Kind.COUNT, "Rows"),
    Column("test", "Effect"),
    Column("effect", "Size", Kind.SCORE),
    Column("p", "Corrected p"),
    Column("drifted", "Drifted"),
)
_LEFT = (
    *_NAMED,
    Column("reason", "Why"),
    Column("n_before", "Accepted", Kind.COUNT, "Rows"),
    Column("n", "Now", Kind.COUNT, "Rows"),
)


def _named(name: str) -> dict[str, str]:
    subject, statistic = describe(name)
    return {"of": subject, "statistic": statistic}


def _row(drift: Drift, own: Comparison) -> dict[str, Any]:
    return {
        **_named(own.name),
        "before": _distribution(drift.before.get(own.name)),
        "now": _distribution(drift.now.get(own.name)),
        "n_before": own.n_reference,
        "n": own.n,
        "test": TESTS.get(own.test or "", ""),
        "effect": own.effect,
        "p": _probability(own.corrected),
        "drifted": "yes" if own.drifted else "no",
        "reason": STATUSES.get(own.status, ""),
    }


def _probability(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else score(p)


def _distribution(sample: Sample | None) -> str:
    """Write a sample in short.

    >>> _distribution(Sketch(3, 3.0, (1.0, 2.0, 4.0))).replace(SPACE, " ")
    '2 [1.1, 3.8]'
    >>> _distribution(Counts(4, 4.0, {"nevus": 3, "melanoma": 1})).replace(SPACE, " ")
    'nevus 75.0 %, melanoma 25.0 %'
    """
    if sample is None or not sample.n:
        return NOTHING
    if isinstance(sample, Sketch):
        low, middle, high = (sample.quantile(share) or 0.0 for share in (0.05, 0.5, 0.95))
        return f"{middle:.3g} [{low:.3g},{SPACE}{high:.3g}]"
    named = sorted(sample.counts.items(), key=lambda item: (-item[1], item[0]))
    words = [
        f"{kind}{SPACE}{100 * number / sample.n:.1f}{SPACE}%" for kind, number in named[:NAMED]
    ]
    more = len(named) - NAMED
    return ", ".join([*words, f"{more} more"] if more > 0 else words)


def _chart(drift: Drift, name: str) -> Chart:
    """Draw both distribution functions of a statistic of numbers."""
    samples = {"accepted": drift.before[name], "now": drift.now[name]}
    kept = {way: own.kept for way, own in samples.items() if isinstance(own, Sketch)}
    title = ": ".join(describe(name))
    across = Axis(title.partition(": ")[2], *spanning(_ends(kept.values())))
    series = [
        Series(way, list(zip(own, np.linspace(0, 1, len(own)).tolist(), strict=True)), place)
        for place, (way, own) in enumerate(kept.items())
    ]
    svg = line_chart(title, series, across, Axis("share of rows below", 0.0, 1.0))
    return Chart(svg, title)


def _ends(kept: Iterable[Sequence[float]]) -> list[float | None]:
    return [value for own in kept for value in (own[0], own[-1])]


def _kinds(drift: Drift, name: str) -> PrintedTable:
    """List the shares of all kinds of a statistic."""
    samples = {"before": drift.before[name], "now": drift.now[name]}
    counts = {way: own for way, own in samples.items() if isinstance(own, Counts)}
    rows = [
        {"kind": kind, **{way: own.counts.get(kind, 0) / own.n for way, own in counts.items()}}
        for kind in sorted({kind for own in counts.values() for kind in own.counts})
    ]
    columns = (
        Column("kind", "Kind"),
        Column("before", "Accepted", Kind.SHARE),
        Column("now", "Now", Kind.SHARE),
    )
    return PrintedTable(name, ": ".join(describe(name)), columns, rows)
