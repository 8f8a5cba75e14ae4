"""The page's section on the quality gates: what was asked, what is broken, and where to read on."""

from __future__ import annotations

from typing import Any

from tasks.gates.rule import name_of
from tasks.report.inputs import Inputs
from tasks.report.numerals import counted
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Part, Section, filled

#: How many rows that break a rule are named.
NAMED = 3


def quality_section(inputs: Inputs) -> Section:
    """Say which rules the gates held, which were broken and by which rows."""
    rows = [_row(inputs, gate, rule) for gate in inputs.gates for rule in gate["rules"]]
    warned = [row for row in rows if row["status"] == "broken"]
    parts: list[Part] = [
        Caution(
            f"{counted(len(warned), 'rule is', 'rules are')} broken that warn: "
            f"{'; '.join(_words(row) for row in warned)}."
            if warned
            else ""
        ),
        PrintedTable(
            "quality",
            "Rules that some rows break",
            _columns(short=True),
            [row for row in rows if row["broken"]],
            (
                "A rule may be broken by the share of rows that its bound allows. All rows are in "
                "the Parquet files beside the gates' results, in the folder quality.",
            ),
            heads=2,
        ),
        PrintedTable("rules", "All rules", _columns(short=False), rows, heads=2, folded=True),
    ]
    warns = counted(len(warned), "other warns", "others warn") if warned else "no other warns"
    lead = (
        f"{counted(len(rows), 'rule')} in {counted(len(inputs.gates), 'gate')} were asked, with "
        "Great Expectations, before each step: a rule that stops ended the audit there, so "
        f"none of those is broken here; {warns}. "
        "`saliency-audit docs` writes Great Expectations' own pages of this."
    )
    return Section("quality", "What was checked", lead, filled(parts))


def _columns(*, short: bool) -> list[Column]:
    return [
        Column("gate", "Checked"),
        Column("rule", "Rule"),
        Column("meaning", "What should hold"),
        Column("severity", "If not"),
        Column("broken", "Broken by", Kind.COUNT),
        Column("rows", "Of", Kind.COUNT),
        *([Column("bound", "May be", Kind.SHARE), Column("first", "The first")] if short else []),
    ]


def _row(inputs: Inputs, gate: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    model = next((a.model for a in inputs.audits if a.audit == gate["audit"]), None)
    return {
        "gate": gate["about"] if model is None else f"{gate['about']} ({model})",
        "rule": rule["rule"],
        "meaning": rule["meaning"],
        "severity": {"stop": "stops", "warn": "warns"}.get(rule["severity"], rule["severity"]),
        "broken": rule["broken"],
        "rows": rule["rows"],
        "bound": rule["bound"] or None,
        "status": rule["status"],
        "first": ", ".join(name_of(offender) for offender in rule["offenders"][:NAMED]),
    }


def _words(row: dict[str, Any]) -> str:
    return (
        f"{row['gate']}: {row['meaning'].rstrip('.')}, and {row['broken']} of {row['rows']} do not"
    )
