"""Results of trials: kept line by line, so that a stopped series goes on; shown as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """How a trial went: ``outcome`` is passed, failed or skipped.

    ``point``: where the fault struck; ``code``: the digest of what was tried.
    """

    kind: str
    seed: int
    point: str
    outcome: str
    seconds: float
    code: str
    revision: str
    problems: list[str] = field(default_factory=list)


def read(path: Path) -> list[Result]:
    """Give all results that are kept."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(Result(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # a series that was killed leaves half a line
    return found


def add(path: Path, result: Result) -> None:
    """Keep a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def latest(results: Iterable[Result], code: str) -> dict[tuple[str, int], Result]:
    """Give the last result of each trial of some code."""
    return {(r.kind, r.seed): r for r in results if r.code == code}


def table(results: Iterable[Result]) -> str:
    """Give a Markdown table: a row per kind of fault."""
    kinds: dict[str, list[Result]] = {}
    for result in results:
        kinds.setdefault(result.kind, []).append(result)
    lines = [
        "| fault | trials | passed | failed | skipped | seconds each | seeds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, some in kinds.items():
        count = {o: sum(r.outcome == o for r in some) for o in ("passed", "failed", "skipped")}
        mean = sum(r.seconds for r in some) / len(some)
        seeds = _ranges(sorted(r.seed for r in some))
        lines.append(
            f"| `{kind}` | {len(some)} | {count['passed']} | {count['failed']} | "
            f"{count['skipped']} | {mean:.0f} | {seeds} |"
        )
    return "\n".join(lines)


def _ranges(numbers: list[int]) -> str:
    """Give numbers in short.

    >>> _ranges([1, 2, 3, 7])
    '1-3, 7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


def write(path: Path, shown: str, results: list[Result]) -> None:
    """Put the table into a Markdown file, in place of the one that is there."""
    begin, end = "<!-- table: begin -->", "<!-- table: end -->"
    text = path.read_text("utf-8") if path.is_file() else f"# Faults\n\n{begin}\n{end}\n"
    head, rest = text.split(begin, 1)
    minutes = sum(result.seconds for result in results) / 60
    revisions = ", ".join(dict.fromkeys(result.revision for result in results))
    said = f"Revision {revisions}, {len(results)} trials in {minutes:.0f} minutes."
    path.write_text(f"{head}{begin}\n{said}\n\n{shown}\n{end}{rest.split(end, 1)[1]}", "utf-8")
