"""The history of audits: what the branches ``audit/…`` say was audited, and with what result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.ground.git import git
from flows.history.reaudit import BRANCHES


@dataclass(frozen=True)
class PastAudit:
    """One audit that was made: ``classifiers`` by name and digest, ``date`` in ISO 8601."""

    branch: str
    commit: str
    date: str
    result: str
    subject: str
    classifiers: dict[str, str]


def past_audits(main: Path) -> list[PastAudit]:
    """Give all audits that are kept, the newest first."""
    form = "%(refname:short)%00%(objectname)%00%(committerdate:iso-strict)%00%(contents:trailers)"
    listed = git(
        main,
        "for-each-ref",
        "--sort=-committerdate",
        f"--format={form}%01",
        f"refs/heads/{BRANCHES}",
    )
    return [_read(entry) for entry in listed.split("\x01") if entry.strip()]


def _read(entry: str) -> PastAudit:
    branch, commit, date, text = entry.strip("\n").split("\x00", 3)
    trailers = [line.split(": ", 1) for line in text.splitlines() if ": " in line]
    said = dict(trailers)
    named = [value.partition(" ") for key, value in trailers if key == "Audit-Classifier"]
    return PastAudit(
        branch,
        commit,
        date,
        said.get("Audit-Result", "unknown"),
        said.get("Audit-Subject", ""),
        {name: digest for name, _, digest in named},
    )
