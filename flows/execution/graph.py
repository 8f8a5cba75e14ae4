"""DVC's graph of stages, and which of them are not up to date: read in one process.

DVC alone knows that code has changed, not whose: stage ``code`` says that, and
it is asked here before it runs, so that a plan names what a change reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.execution.effort import Efforts
from tasks import code, params, places, scope
from tasks.artifacts import read_json

#: Stages whose files are known before they run, and so what they reach.
FORESEEN = frozenset({code.STAGE.name, scope.STAGE.name})
#: Why a stage is stale that dvc.lock does not know.
NEVER = "never run"


@dataclass(frozen=True)
class Node:
    """A stage: ``needs`` are the stages whose outputs it reads; ``stale`` says why it must run.

    ``stale`` is empty for a stage that is up to date by itself; it may still have to run when
    one that it needs has run. ``passes``: of a model, that it makes, as far as is known;
    ``effort``: those and the ones that wait for it, along the longest way. ``reads`` and
    ``writes``: the paths of its dependencies and outputs. ``kept``: whether DVC's run-cache can
    keep its result, and with it another machine's.
    """

    name: str
    needs: frozenset[str]
    stale: tuple[str, ...]
    effort: int
    meta: Mapping[str, Any]
    description: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    kept: bool = True
    passes: int = 0


def read_graph(root: Path) -> dict[str, Node]:
    """Read the stages of dvc.yaml in an order in which each follows what it needs."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo, repo.lock:
        graph = repo.index.graph
        ordered = list(networkx.topological_sort(graph.reverse(copy=True)))
        own = Efforts(root, params.read_tree(root / places.PARAMS))
        passes = {stage.addressing: own.of(stage.cmd) for stage in ordered}
        efforts = _efforts(passes, ordered, graph)
        reasons = {stage.addressing: _reasons(stage) for stage in ordered}
        changes = _code_changes(root) if reasons[code.STAGE.name] else {}
        if scope.STAGE.name in reasons:
            changes |= _scope_changes(root)
        return {
            stage.addressing: Node(
                name=stage.addressing,
                needs=frozenset(needed.addressing for needed in graph.successors(stage)),
                stale=(
                    *reasons[stage.addressing],
                    *(changes[dep.def_path] for dep in stage.deps if dep.def_path in changes),
                ),
                effort=efforts[stage.addressing],
                meta=stage.meta or {},
                description=stage.desc or "",
                # What it has of params.yaml is no file that it reads.
                reads=tuple(
                    dep.def_path for dep in stage.deps if dep.def_path != str(places.PARAMS)
                ),
                writes=tuple(out.def_path for out in stage.outs),
                kept=_is_kept(stage),
                passes=passes[stage.addressing],
            )
            for stage in ordered
        }


def _is_kept(stage: Any) -> bool:
    """Say whether DVC's run-cache takes the result of a stage, as dvc.stage.cache decides it."""
    if not (stage.cmd and stage.deps and stage.outs) or stage.always_changed:
        return False
    return not any(out.persist or not out.is_in_repo for out in stage.outs) and all(
        item.protocol == "local" and item.def_path for item in (*stage.deps, *stage.outs)
    )


def _efforts(passes: Mapping[str, int], ordered: list[Any], graph: Any) -> dict[str, int]:
    """Give the effort from each stage on, along the longest way through the graph."""
    found: dict[str, int] = {}
    for stage in reversed(ordered):
        following = [found[waiting.addressing] for waiting in graph.predecessors(stage)]
        found[stage.addressing] = passes[stage.addressing] + max(following, default=0)
    return found


def _code_changes(root: Path) -> dict[str, str]:
    """Say what stage ``code`` is about to change in its files, by their names."""
    tree = params.read_tree(root / places.PARAMS)
    changes = {}
    for path, text in code.code_texts(root, tree).items():
        # A file that is not there yet is a reason that DVC gives itself.
        former = (root / path).read_text("utf-8") if (root / path).is_file() else text
        if former != text:
            known = set(former.splitlines())
            names = [line.split()[1] for line in text.splitlines() if line not in known]
            changes[path.as_posix()] = f"code: {', '.join(names) or 'fewer modules'}"
    return changes


def _scope_changes(root: Path) -> dict[str, str]:
    """Say what stage ``scope`` is about to change in its files and folders, by their names."""
    changes: dict[str, str] = {}
    for path, content in scope.files(params.read_tree(root / places.PARAMS)).items():
        former = read_json(root / path) if (root / path).is_file() else content
        if dict(former) != content:
            said = f"what is asked: {path.name}"
            changes |= dict.fromkeys((path.as_posix(), path.parent.as_posix()), said)
    return changes


def _reasons(stage: Any) -> list[str]:
    """Say in words why a stage is not up to date; nothing if it is."""
    reasons: list[str] = []
    if not stage.changed():
        return reasons
    if stage.cmd and not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        # DVC calls whatever it has no record of modified.
        return [NEVER]
    for entry in stage.status(check_updates=False).get(stage.addressing, []):
        if isinstance(entry, str):
            reasons.append(entry)
            continue
        for kind, changes in entry.items():
            reasons += [f"{name}: {what}" for name, what in _flat(changes)] or [kind]
    return reasons or [NEVER]


def _flat(changes: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, what in changes.items():
        if isinstance(what, Mapping):
            found += _flat(what)
        else:
            found.append((name, str(what)))
    return found


def plan(graph: Mapping[str, Node]) -> list[str]:
    """Give the stages that may have to run, in the graph's order: the stale and what follows.

    What follows stage ``code`` is stale by itself where its own code has changed; so is what
    follows ``scope``, where something else is asked of it.
    """
    reached: set[str] = set()
    for name, node in graph.items():
        if node.stale or node.needs & (reached - FORESEEN):
            reached.add(name)
    return [name for name in graph if name in reached]
