"""What the quality gates of a checkout found, in a few lines and as a table."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.execution.graph import Node
from tasks import places
from tasks.gates.rule import name_of
from tasks.stages import gates

#: The stages that are gates.
GATES = tuple(gate.name for gate, _ in gates())
#: How many rows that break a rule are named.
NAMED = 5


def gate_results(
    root: Path, graph: Mapping[str, Node], stages: Collection[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Give the results of a checkout's gates, or of some stages; one that never ran has none."""
    folder = root / places.REPORTS
    for path in sorted(folder.glob("*/quality/**/*.json")):
        found = json.loads(path.read_text("utf-8"))
        name = f"{found['gate']}@{found['audit'] or found['dataset']}"
        if name in graph and (stages is None or name in stages):
            yield found


def broken_rules(results: Collection[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give a row for each rule that is broken, as a table shows it."""
    return [
        {
            "gate": result["gate"],
            "of": result["audit"] or result["dataset"],
            "rule": rule["rule"],
            "severity": rule["severity"],
            "broken": f"{rule['broken']} of {rule['rows']}",
            "meaning": rule["meaning"],
            "first": ", ".join(name_of(offender) for offender in rule["offenders"][:NAMED]),
        }
        for result in results
        for rule in result["rules"]
        if rule["status"] == "broken"
    ]


def moved(root: Path, stages: Collection[str]) -> Iterator[str]:
    """Say of each dataset whose check_drift is among some stages what has moved, if anything."""
    for path in sorted((root / places.REPORTS).glob("*/drift.json")):
        dataset = path.parent.name
        if f"check_drift@{dataset}" not in stages:
            continue
        found = json.loads(path.read_text("utf-8"))
        names = [own["name"] for own in found["comparison"] if own["drifted"]]
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield (
                f"{dataset}: moved since it was accepted: {', '.join(names[:NAMED])}{more}; see "
                f"{path.with_suffix('.html')}"
            )


def in_words(results: Collection[Mapping[str, Any]]) -> str:
    """Say in one line how gates stand.

    >>> in_words([{"status": "passed", "rules": [{}, {}]}, {"status": "warned", "rules": [{}]}])
    '3 rules in 2 gates: 1 passed, 1 warned'
    """
    states = [result["status"] for result in results]
    counts = [(states.count(state), state) for state in ("passed", "warned", "stopped")]
    rules = sum(len(result["rules"]) for result in results)
    told = ", ".join(f"{number} {state}" for number, state in counts if number)
    return f"{rules} rules in {len(states)} gates: {told or 'none ran'}"
