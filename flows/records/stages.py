"""What DVC recorded of each stage, in the checkout or in a revision: read from DVC's own index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.ground.git import git
from saliency_audit.errors import DataError

#: How many commits of dvc.lock are read to find the one that recorded a stage.
DEPTH = 100
LOCK = "dvc.lock"


@dataclass(frozen=True)
class RecordedStage:
    """A stage as it was recorded.

    ``needs``: the stages whose outputs it reads; ``reads`` and ``writes``: DVC's digests by path,
    None of what it never ran on; ``parameters``: the values that it ran with, by dotted key.
    """

    name: str
    description: str
    needs: tuple[str, ...]
    reads: Mapping[str, str | None]
    writes: Mapping[str, str | None]
    parameters: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its name in dvc.yaml, without what it is of."""
        return self.name.partition("@")[0]


def read_records(root: Path, commit: str | None = None) -> dict[str, RecordedStage]:
    """Read the stages of the checkout, or of a commit, each after what it needs.

    Raises DataError where DVC cannot read them.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root), rev=commit) as repo:
            graph = repo.index.graph
            ordered = list(networkx.topological_sort(graph.reverse(copy=True)))
            return {
                _name(stage): _record(stage, sorted(_name(s) for s in graph.successors(stage)))
                for stage in ordered
            }
    except DvcException as error:
        where = f"revision {commit[:12]}" if commit else str(root)
        raise DataError(f"{where}: DVC cannot read its stages: {error}") from None


def _name(stage: Any) -> str:
    # A file that `dvc add` tracks is a stage without a name of its own.
    return str(getattr(stage, "name", None) or stage.path_in_repo)


def _record(stage: Any, needs: list[str]) -> RecordedStage:
    from dvc.dependency.param import ParamsDependency

    parameters: dict[str, Any] = {}
    reads: dict[str, str | None] = {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            parameters |= dep.hash_info.value or {}
        else:
            reads[dep.def_path] = dep.hash_info.value
    writes = {out.def_path: out.hash_info.value for out in stage.outs}
    return RecordedStage(_name(stage), stage.desc or "", tuple(needs), reads, writes, parameters)


def digests(records: Iterable[RecordedStage]) -> dict[str, str]:
    """Give the digest of every path that stages read or wrote, as recorded."""
    found: dict[str, str] = {}
    for record in records:
        for path, md5 in (*record.reads.items(), *record.writes.items()):
            if md5 is not None and (path in record.writes or path not in found):
                found[path] = md5
    return found


def recording_commits(root: Path, names: Iterable[str], commit: str | None) -> dict[str, str]:
    """Give, by stage, the commit that first held what dvc.lock says of it now.

    ``commit``: looks from there on back; from what lies in the checkout where None. A stage whose
    record is not committed is left out. Looks back at most ``DEPTH`` commits of dvc.lock.
    """
    text = git(root, "show", f"{commit}:{LOCK}") if commit else _text(root / LOCK)
    now = _stages(text)
    searched = {name: now[name] for name in names if name in now}
    found: dict[str, str] = {}
    listed = git(root, "log", f"--max-count={DEPTH}", "--format=%H", commit or "HEAD", "--", LOCK)
    for older in listed.split():
        then = _stages(git(root, "show", f"{older}:{LOCK}")) if _has_lock(root, older) else {}
        searched = {name: entry for name, entry in searched.items() if then.get(name) == entry}
        if not searched:
            break
        found |= dict.fromkeys(searched, older)
    return found


def _has_lock(root: Path, commit: str) -> bool:
    """Say whether a commit has a dvc.lock: one that takes it away is listed, too."""
    return bool(git(root, "ls-tree", "--name-only", commit, "--", LOCK))


def lock_entries(root: Path) -> dict[str, Any]:
    """Give what dvc.lock holds, by stage; nothing where it is not there or half written."""
    try:
        return _stages(_text(root / LOCK))
    except yaml.YAMLError:
        return {}


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def _stages(text: str) -> dict[str, Any]:
    # The loader in C is ten times as fast, and not everywhere.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tree = yaml.load(text, Loader=loader) or {}
    stages: dict[str, Any] = tree.get("stages", {})
    return stages
