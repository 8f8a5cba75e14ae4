"""The graph of stages for a reader: the README's drawing, and the table of docs/architecture.md.

Both are made of dvc.yaml and of what the stages declare.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tasks.stage import Declaration
from tasks.stages import in_order, read_graph, tables_of
from tasks.tables.dictionary import PLACES

#: What dvc.yaml names by a variable, as a reader knows it; ``key`` is a dataset or an audit.
KNOWN = {"item.dataset": "dataset", "item.audit": "audit", "item.method": "method"}
#: Files of a dataset or a classifier that a person brings, by their variable in dvc.yaml.
BROUGHT = {
    "${item.source}": "its source",
    "classifiers/${item.classifier}": "its `classifiers/` folder",
}

HEAD = """| stage | per | what it does | reads | writes | tables |
| --- | --- | --- | --- | --- | --- |
"""


def drawing() -> str:
    """Give the graph as Mermaid draws it, without arrows that follow from others."""
    import networkx

    stages = in_order()
    order = {stage.name: number for number, stage in enumerate(stages)}
    gates = {stage.name for stage in stages if stage.checks}
    whole = networkx.DiGraph(
        (needed, stage.name) for stage in stages for needed in _needs(read_graph(), stage.name)
    )
    arrows = sorted(
        networkx.transitive_reduction(whole).edges,
        key=lambda arrow: (order[arrow[0]], order[arrow[1]]),
    )
    drawn: set[str] = set()
    lines = ["flowchart LR"]
    for start, end in arrows:
        shape = f"{{{{{end}}}}}" if end in gates - drawn else ""
        drawn.add(end)
        lines.append(f"  {start} --> {end}{shape}")
    return "\n".join(lines) + "\n"


def table() -> str:
    """Give the table of stages: what each is run for, does, reads and writes."""
    graph = read_graph()
    return HEAD + "".join(_row(stage, graph) for stage in in_order() if stage.name in graph)


def _row(stage: Declaration, graph: Mapping[str, Any]) -> str:
    own = graph[stage.name]
    reads = [f"`{name}`" for name in _needs(graph, stage.name) if name != "code"]
    key = "audit" if "audit" in stage.arguments else "dataset"
    cells = (
        f"`{stage.name}`",
        stage.per,
        _body(own)["desc"],
        ", ".join([*reads, *_brought(graph, stage.name)]),
        ", ".join(f"`{_readable(place, key)}`" for place in _places(_outputs(own))),
        ", ".join(f"[{name}](data-dictionary.md#{name})" for name in _tables(stage)),
    )
    return f"| {' | '.join(cells)} |\n"


def _places(outs: Sequence[str]) -> list[str]:
    """Give outputs, those that lie in one folder as that folder.

    >>> _places(["data/a.json", "reports/x/one", "reports/x/two"])
    ['data/a.json', 'reports/x']
    """
    folders = [PurePosixPath(out).parent.as_posix() for out in outs]
    shown = (
        folder if folders.count(folder) > 1 else out
        for out, folder in zip(outs, folders, strict=True)
    )
    return list(dict.fromkeys(shown))


def _tables(stage: Declaration) -> list[str]:
    written = set(tables_of(stage))
    return [name for name, places in PLACES.items() if written & set(places)]


def _brought(graph: Mapping[str, Any], name: str) -> Iterator[str]:
    """Give what a stage reads that no stage writes."""
    written = {out for stage in graph.values() for out in _outputs(stage)}
    for path in _body(graph[name]).get("deps", []):
        if not any(_overlap(path, out) for out in written):
            yield BROUGHT.get(path, f"`{path}/`")


def _needs(graph: Mapping[str, Any], name: str) -> list[str]:
    """Give the stages that write what a stage reads, in the order of dvc.yaml."""
    reads = _body(graph[name]).get("deps", [])
    return [
        other
        for other, stage in graph.items()
        if any(_overlap(path, out) for path in reads for out in _outputs(stage))
    ]


def _overlap(one: str, other: str) -> bool:
    """Say whether two paths of dvc.yaml are one, or one holds the other."""
    return all(own == its for own, its in zip(_parts(one), _parts(other), strict=False))


def _parts(path: str) -> tuple[str, ...]:
    """Give the parts of a path, with a star for dataset, audit and method."""
    return PurePosixPath(re.sub(r"\$\{.*?\}", "*", path)).parts


def _readable(path: str, key: str) -> str:
    """Give a path with its variables as a reader knows them.

    >>> _readable("reports/${item.dataset}/quality/${key}", "audit")
    'reports/<dataset>/quality/<audit>'
    """
    return re.sub(r"\$\{(.*?)\}", lambda found: f"<{KNOWN.get(found[1], key)}>", path)


def _body(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    own: Mapping[str, Any] = stage.get("do", stage)
    return own


def _outputs(stage: Mapping[str, Any]) -> list[str]:
    found = [out for kind in ("outs", "plots", "metrics") for out in _body(stage).get(kind, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in found]
