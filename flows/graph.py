"""DVC's graph of stages, and which of them are not up to date: read in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Node:
    """A stage: ``needs`` are the stages whose outputs it reads; ``stale`` says why it must run.

    ``stale`` is empty for a stage that is up to date by itself; it may still have to run when
    one that it needs has run.
    """

    name: str
    needs: frozenset[str]
    stale: tuple[str, ...]
    meta: Mapping[str, Any]
    description: str


def read_graph(root: Path) -> dict[str, Node]:
    """Read the stages of dvc.yaml in an order in which each follows what it needs."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo, repo.lock:
        graph = repo.index.graph
        ordered = list(networkx.topological_sort(graph.reverse(copy=True)))
        return {
            stage.addressing: Node(
                name=stage.addressing,
                needs=frozenset(needed.addressing for needed in graph.successors(stage)),
                stale=tuple(_reasons(stage)),
                meta=stage.meta or {},
                description=stage.desc or "",
            )
            for stage in ordered
        }


def _reasons(stage: Any) -> list[str]:
    """Say in words why a stage is not up to date; nothing if it is."""
    reasons: list[str] = []
    if not stage.changed():
        return reasons
    for entry in stage.status(check_updates=False).get(stage.addressing, []):
        if isinstance(entry, str):
            reasons.append(entry)
            continue
        for kind, changes in entry.items():
            reasons += [f"{name}: {what}" for name, what in _flat(changes)] or [kind]
    return reasons or ["never run"]


def _flat(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, what in changes.items():
        if isinstance(what, Mapping):
            found += _flat(what)
        else:
            found.append((name, str(what)))
    return found


def downstream(graph: Mapping[str, Node], names: set[str]) -> list[str]:
    """Give ``names`` and all that depends on them, in the graph's order."""
    reached = set(names)
    for name, node in graph.items():
        if node.needs & reached:
            reached.add(name)
    return [name for name in graph if name in reached]
