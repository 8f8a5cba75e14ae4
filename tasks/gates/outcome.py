"""What a gate leaves: its result for git, its offenders, and leave to go on, or none.

What follows a gate depends on one small file that says that it was passed, and
no more: a bound that is turned reruns the gate, and nothing else if it still is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_audit.errors import QualityError
from saliency_audit.problem import Severity
from tasks import places
from tasks.artifacts import write_json, write_table
from tasks.gates.rule import SHOWN, Facts, Finding, Rule
from tasks.gates.validation import judge
from tasks.tables.offenders import OFFENDERS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """A gate at its place: ``name`` as in dvc.yaml, its ``dataset``, and its ``audit`` if any."""

    name: str
    dataset: str
    audit: str | None = None

    @property
    def subject(self) -> str:
        """The audit, or the dataset, that it is about."""
        return self.audit or self.dataset

    @property
    def result(self) -> Path:
        """The file of its result."""
        return places.quality(self.dataset, self.name, self.audit)

    @property
    def offenders(self) -> Path:
        """The table of all that breaks a rule."""
        return self.result.with_suffix(".parquet")


def pass_gate(gate: Gate, facts: Sequence[Facts], rules: Sequence[Rule]) -> list[Finding]:
    """Judge rules about facts, write what came of it, and give the findings.

    Raises QualityError where a rule is broken that stops; its result and its offenders are written
    then, too, and the leave to go on is not.
    """
    findings, validations = judge(facts, rules)
    folder = places.gate(gate.name, gate.subject)
    write_json(folder / "validation.json", validations)
    with write_table(OFFENDERS, gate.offenders) as table:
        table.write_all(_rows(findings))
    write_json(gate.result, to_json(gate, findings))
    for finding in _broken(findings, Severity.WARN):
        logger.warning("%s of %s: %s", gate.name, gate.subject, said(finding))
    stopping = _broken(findings, Severity.STOP)
    if stopping:
        raise QualityError(
            f"{gate.name} stops {gate.subject}: {'; '.join(map(said, stopping))}. All rows are in "
            f"{gate.offenders}; `saliency-audit docs` shows them"
        )
    write_json(folder / "passed.json", {"passed": True})
    return findings


def to_json(gate: Gate, findings: Sequence[Finding]) -> dict[str, Any]:
    """Give a gate's result: ``status`` is passed, warned or stopped."""
    status = "passed"
    if _broken(findings, Severity.WARN):
        status = "warned"
    if _broken(findings, Severity.STOP):
        status = "stopped"
    return {
        "gate": gate.name,
        "dataset": gate.dataset,
        "audit": gate.audit,
        "status": status,
        "rules": [finding.to_json() for finding in findings],
    }


def said(finding: Finding) -> str:
    """Say a broken rule in words: what should hold, how many break it, the first, what to do."""
    rule = finding.rule
    names = [_name(offender, rule) for offender in finding.offenders[:SHOWN]]
    first = f": {', '.join(names)}" if names else ""
    more = f" and {finding.broken - len(names)} more" if finding.broken > len(names) else ""
    bound = f", at most {rule.allowed:.3g} of them may" if rule.allowed else ""
    return (
        f"{rule.name}: {rule.meaning} {finding.broken} of {finding.rows} break this{bound}"
        f"{first}{more}; {rule.advice}"
    )


def _name(offender: Mapping[str, Any], rule: Rule) -> str:
    """Name a row by its key, and its values in the rule's columns."""
    key = [str(value) for name, value in offender.items() if name not in rule.columns]
    return "/".join(key) or json.dumps(dict(offender), default=str)


def _broken(findings: Sequence[Finding], severity: Severity) -> list[Finding]:
    return [f for f in findings if not f.met and f.rule.severity is severity]


def _rows(findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    for finding in sorted(findings, key=lambda f: f.rule.name):
        for number, offender in enumerate(finding.offenders):
            yield {
                "rule": finding.rule.name,
                "number": number,
                "severity": finding.rule.severity.value,
                **{name: offender.get(name) for name in ("image_id", "label", "method")},
                "what": json.dumps(dict(offender), ensure_ascii=False),
            }
