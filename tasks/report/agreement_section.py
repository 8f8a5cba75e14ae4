"""The page's section on agreement: how many methods share a cell, beside chance (XAIMed §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from saliency_audit.statistics.means import Mean
from tasks.report.chart import Bar, bar_chart
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.numerals import counted, names, score
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Chart, Heat, Part, Section
from tasks.summary.agreement import OfSet

#: The sets of methods that vote, and what a set is called that is no preset.
SETS = {"paper": "the chosen methods", "all": "all methods"}
#: What presets of the chosen methods are called.
PRESETS = {"xaimed": "XAIMed's methods"}
#: Why no figure has a value.
WHY = {
    "too_few_methods": "fewer than three methods can vote",
    "no_rows": "no explained prediction of the test split counts",
}
TITLE = "Where the methods agree"
#: Columns of the table that have no value where no agreement is claimed.
FIGURES = (
    *("shared", "shared_chance", "shared_difference"),
    *("k", "share", "chance", "difference", "right", "wrong"),
)


def agreement_section(inputs: Inputs) -> Section:
    """Say whether methods agree more than independent maps would."""
    lead = (
        "Each map is cut in a grid, and each method votes for the three cells of highest mean "
        "saliency. Where most methods vote for one cell, XAIMed draws the physician's eye there. "
        "Methods that share a flaw agree, too; and maps that know nothing of each other agree "
        "more often than one would think, so chance stands beside every figure."
    )
    if not any(True for _ in _sets(inputs)):
        none = Caution("No explained prediction of the test split counts: no values.")
        return Section("agreement", TITLE, lead, [none])
    parts: list[Part] = [_table(inputs)]
    for audit in inputs.audits:
        parts += [*_distribution(audit), *_mean_votes(audit), _pairs(audit)]
    return Section("agreement", TITLE, lead, parts)


def _sets(inputs: Inputs) -> Iterator[tuple[AuditSummary, str, OfSet]]:
    for audit in inputs.audits:
        for name in SETS:
            found = audit.numbers.agreement.sets.get(name)
            if found is not None and found.status != "no_rows":
                yield audit, name, found


def title_of(audit: AuditSummary, name: str) -> str:
    """Say what a set of methods is called."""
    preset = audit.numbers.parameters.agreement_preset
    return PRESETS.get(preset or "", SETS[name]) if name == "paper" else SETS[name]


def k_of_n(found: OfSet) -> str:
    """Say how many of how many methods are to share a cell, most of all but one."""
    known = sorted(found.near_unanimous.needed.items(), key=lambda item: -int(item[0]))
    return " or ".join(f"{k} of {n}" for n, k in known)


def members(audit: AuditSummary, name: str) -> list[str]:
    """Give the methods of a set, spelled."""
    known = audit.numbers.parameters
    methods = known.agreement_methods if name == "paper" else known.methods
    return [spell(method) for method in methods]


def _table(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit, name, found in _sets(inputs):
        unanimous = found.near_unanimous
        claimed = found.status == "ok"
        rows.append(
            {
                "model": audit.model,
                "set": title_of(audit, name),
                "voters": found.n,
                "k": k_of_n(found) or None,
                "n": found.rows,
                "why": dict.fromkeys(FIGURES, WHY.get(found.status, "")),
                "share": unanimous.share.mean,
                "chance": unanimous.chance.mean,
                "difference": unanimous.difference if claimed else None,
                "shared": found.shared.mean,
                "shared_chance": found.shared.chance if claimed else None,
                "shared_difference": found.shared.difference if claimed else None,
                "right": found.highest_mean_correct if claimed else None,
                "wrong": found.highest_mean_incorrect if claimed else None,
            }
        )
    voted = "k of n methods, or more, share a top cell"
    shared = "Top cells that two methods share, of three"
    return PrintedTable(
        "agreement",
        "Agreement of the methods",
        (
            Column("model", "Model"),
            Column("set", "Methods"),
            Column("voters", "n", Kind.COUNT),
            Column("n", "predictions", Kind.COUNT),
            Column("shared", "observed", Kind.SCORE, shared),
            Column("shared_chance", "chance", Kind.SCORE, shared),
            Column("shared_difference", "difference", Kind.DIFFERENCE, shared),
            Column("k", "k of n", Kind.TEXT, voted),
            Column("share", "observed", Kind.SHARE, voted),
            Column("chance", "chance", Kind.SHARE, voted),
            Column("difference", "difference", Kind.DIFFERENCE, voted),
            Column("right", "right", Kind.MEAN, "Votes of the most agreed cell", "-"),
            Column("wrong", "wrong", Kind.MEAN, "Votes of the most agreed cell", "-"),
        ),
        rows,
        (
            "Chance: what methods would give that vote for three cells each, independently and at "
            "random. Differences with their 95 % bootstrap interval over patients or lesions. Maps "
            "without values do not vote: n is of those that do. Of fewer than three methods no "
            "agreement is claimed, and predictions with fewer votes are left out.",
            *sorted({_unclaimed(audit, name, own) for audit, name, own in _sets(inputs)} - {""}),
            *sorted({_voters(audit, name) for audit, name, _ in _sets(inputs)}),
        ),
        heads=2,
    )


def _voters(audit: AuditSummary, name: str) -> str:
    title = title_of(audit, name)
    said = names(members(audit, name)) or "none"
    return f"{title[0].upper()}{title[1:]}, of {audit.model}: {said}."


def _unclaimed(audit: AuditSummary, name: str, found: OfSet) -> str:
    if found.status == "ok":
        return ""
    return f"{audit.model}, {title_of(audit, name)}: {WHY[found.status]} (n {found.n}): no values."


def _distribution(audit: AuditSummary) -> Iterator[Chart]:
    found = audit.numbers.agreement.sets.get("paper")
    for n, votes in found.highest.items() if found else ():
        rows = sum(item.rows for item in votes)
        bars = [
            Bar(f"{item.votes} of {n}", item.rows / rows, item.chance)
            for item in votes
            if item.votes
        ]
        title = f"{audit.model}: votes of the most agreed cell, of {n} methods"
        voters = names(members(audit, "paper"))
        yield Chart(
            bar_chart(title, bars, "methods that share the cell", "share of predictions"),
            f"{title} ({voters}; {counted(rows, 'prediction')}). Bars: observed. Black lines: "
            "chance.",
        )


def _mean_votes(audit: AuditSummary) -> Iterator[Heat]:
    grid = audit.numbers.agreement.grid
    for name in SETS:
        title, found = title_of(audit, name), audit.numbers.agreement.sets.get(name)
        voters = len(members(audit, name))
        if not found or not found.rows or not voters:
            continue
        votes = [own or 0.0 for own in found.mean_votes]
        rows = [
            [(f"{own:.2f}", own / voters) for own in votes[grid * r : grid * (r + 1)]]
            for r in range(grid)
        ]
        yield Heat(
            f"{audit.model}: mean votes per cell of the image, {title} "
            f"(of {voters}, n {found.rows})",
            rows,
        )


def _pairs(audit: AuditSummary) -> PrintedTable:
    pairs = audit.numbers.agreement.pairs
    rows = []
    for first in audit.methods:
        row: dict[str, Any] = {
            "method": spell(first),
            "why": {f"shared_{first}": "the method itself"},
        }
        for second in audit.methods:
            row[f"shared_{second}"] = _shared(pairs.shared, first, second)
        rows.append(row)
    counts = {own.n for row in pairs.shared.values() for own in row.values()}
    return PrintedTable(
        f"agreement_pairs_{audit.audit}",
        f"{audit.model}: how many of their three top cells two methods share",
        (
            Column("method", "Method"),
            *(Column(f"shared_{m}", spell(m), Kind.MEAN) for m in audit.methods),
        ),
        [{**row, "n": max(counts, default=0)} for row in rows],
        (f"0 to 3; independent methods share {score(pairs.chance)} on average.",),
    )


def _shared(shared: dict[str, dict[str, Mean]], first: str, second: str) -> Mean | None:
    """Give the figure of two methods, whichever of them comes first."""
    found = shared.get(first, {}).get(second)
    return found or shared.get(second, {}).get(first)
