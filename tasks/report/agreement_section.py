"""The page's section on agreement: how many methods share a cell, beside chance (XAIMed §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from saliency_audit.statistics.means import Mean
from tasks.report.chart import Bar, bar_chart
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.numerals import names, score
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Chart, Heat, Part, Section
from tasks.summary.agreement import OfSet

SETS = {"paper": "the paper's methods", "all": "all methods"}
TITLE = "Where the methods agree"


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
            if found is not None and found.rows:
                yield audit, name, found


def members(audit: AuditSummary, name: str) -> list[str]:
    """Give the methods of a set, spelled."""
    known = audit.numbers.parameters
    methods = known.agreement_methods if name == "paper" else known.methods
    return [spell(method) for method in methods]


def _table(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit, name, found in _sets(inputs):
        unanimous = found.near_unanimous
        rows.append(
            {
                "model": audit.model,
                "set": f"{SETS[name]} ({len(members(audit, name))})",
                "n": found.rows,
                "share": unanimous.share.mean,
                "chance": unanimous.chance.mean,
                "difference": unanimous.difference,
                "shared": found.shared.mean,
                "shared_chance": found.shared.chance,
                "shared_difference": found.shared.difference,
                "right": found.highest_mean_correct,
                "wrong": found.highest_mean_incorrect,
            }
        )
    voted = "All but one method, or all, share a top cell"
    shared = "Top cells that two methods share, of three"
    return PrintedTable(
        "agreement",
        "Agreement of the methods",
        (
            Column("model", "Model"),
            Column("set", "Methods"),
            Column("n", "n", Kind.COUNT),
            Column("shared", "observed", Kind.SCORE, shared),
            Column("shared_chance", "chance", Kind.SCORE, shared),
            Column("shared_difference", "difference", Kind.DIFFERENCE, shared),
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
            "without values do not vote; predictions with fewer than two votes are left out.",
            *sorted({_voters(audit, name) for audit, name, _ in _sets(inputs)}),
        ),
        heads=2,
    )


def _voters(audit: AuditSummary, name: str) -> str:
    title = SETS[name]
    return f"{title[0].upper()}{title[1:]}: {names(members(audit, name)) or 'none'}."


def _distribution(audit: AuditSummary) -> Iterator[Chart]:
    found = audit.numbers.agreement.sets.get("paper")
    if not found or not found.rows or len(found.highest) < 2:
        return
    bars = [
        Bar(str(item.votes), item.rows / found.rows, item.chance)
        for item in found.highest
        if item.votes
    ]
    title = f"{audit.model}: votes of the most agreed cell"
    voters = names(members(audit, "paper"))
    yield Chart(
        bar_chart(title, bars, "methods that share the cell", "share of predictions"),
        f"{title} ({voters}; n {found.rows}). Bars: observed. Black lines: chance.",
    )


def _mean_votes(audit: AuditSummary) -> Iterator[Heat]:
    grid = audit.numbers.agreement.grid
    for name, title in SETS.items():
        found = audit.numbers.agreement.sets.get(name)
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
