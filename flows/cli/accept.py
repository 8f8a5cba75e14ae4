"""`saliency-audit accept`: a person says that results are as they should be.

What is accepted is the profile of committed results, from which drift is counted from then on;
one commit holds it and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.execution.graph import Node, plan, read_graph
from flows.ground.console import BUSY, Voice
from flows.ground.git import GitError, commit_of, entries, git, identity, show
from flows.ground.hold import BusyError, alone_in
from saliency_audit.errors import AuditError, DataError, ParameterError
from saliency_audit.naming import refuse_unknown
from tasks import code, params, places
from tasks.artifacts import read_json
from tasks.profiles import REFERENCES, drift_file, profile_of, reference_file, write_profile

#: The stage whose result is accepted.
STAGE = "check_drift"
#: What an audit's results are made of, beside the reports: its revision is to hold all of it.
BEHIND = ("dvc.lock", "dvc.yaml", "params.yaml", "classifiers", "saliency_audit", "tasks")


def command(
    dataset: Annotated[str, typer.Argument(help="Dataset of params.yaml.")],
    why: Annotated[str, typer.Option(help="Why its results are as they should be.")],
    who: Annotated[str | None, typer.Option(help="Who says so; default: git's user.name.")] = None,
) -> None:
    """Accept a dataset's results as they are: from now on, drift is counted from them.

    Writes the profile of reports/<dataset>/drift.json, HEAD's revision, who and why into
    references/<dataset>/profile.json and commits that file alone. The results must be up to date
    and committed. Then only the comparison runs anew. Exit codes: 0 accepted, or it was already,
    2 nothing that could be accepted, 3 git refused, 6 a run is in progress.

    Example: saliency-audit accept phantom_skin --why "first audit, report read"
    """
    sys.exit(accept(Path.cwd(), dataset, why, who))


def accept(root: Path, dataset: str, why: str, who: str | None) -> int:
    """Accept the profile of a dataset's audit and commit it; gives the exit code."""
    console = Voice()
    try:
        with alone_in(root, console):
            said = accept_profile(root, dataset, why, who)
    except BusyError as error:
        console.error(error)
        return BUSY
    except AuditError as error:
        return console.complain(error)
    console.say(said)
    return 0


def accept_profile(root: Path, dataset: str, why: str, who: str | None) -> str:
    """Write and commit the profile that a person accepts; says what was done.

    Raises ParameterError where there is nothing to accept, or nobody who does.
    """
    refuse_unknown([dataset], _datasets(root), "params.yaml: unknown dataset ")
    by, reason = _who(root, who), " ".join(why.split())
    if not reason:
        raise ParameterError("--why is empty: say why these results are as they should be")
    _refuse_stale(root, dataset)
    _refuse_uncommitted(root, dataset)
    revision = commit_of(root, "HEAD")
    path = drift_file(dataset)
    profile = read_json(root / path)["profile"]
    profile_of(profile, path)
    former = _committed(root, revision, dataset)
    if former.get("profile") == profile:
        return (
            f"the profile of {dataset} is accepted already, as of {former.get('revision')} by "
            f"{former.get('who')}: {former.get('why')}"
        )
    content = {"status": "accepted", "revision": revision, "who": by, "why": reason}
    write_profile(root / reference_file(dataset), {**content, "profile": profile})
    _commit(root, dataset, reason)
    return (
        f"accepted the profile of {dataset} as of {revision}, committed as "
        f"{reference_file(dataset)}: the next `saliency-audit run` compares with it"
    )


def _datasets(root: Path) -> list[str]:
    return list(params.read_tree(root / places.PARAMS)["datasets"])


def _who(root: Path, given: str | None) -> str:
    """Give the name of the person who accepts."""
    name = " ".join((given or "").split())
    if not name and given is None:
        try:
            name = git(root, "config", "user.name").strip()
        except GitError:
            name = ""
    if not name:
        raise ParameterError("nobody is named who accepts: say --who NAME, or set git's user.name")
    return name


def _refuse_stale(root: Path, dataset: str) -> None:
    """Raise ParameterError unless the profile is that of this checkout.

    What was accepted changes the comparison, not the profile.
    """
    name = f"{STAGE}@{dataset}"
    graph = read_graph(root)
    if name not in graph:
        raise ParameterError(f"dvc.yaml has no stage {name}: restore it from git")
    own = [why for why in graph[name].stale if not why.startswith(f"{REFERENCES}:")]
    needed = _ancestors(graph, name) - {code.STAGE.name}
    stale = [other for other in plan(graph) if other in needed]
    if own or stale or not (root / drift_file(dataset)).is_file():
        what = stale[0] if stale else name
        reasons = graph[what].stale or ("what it needs is stale",)
        raise ParameterError(
            f"{drift_file(dataset)} is not of this checkout ({what}: {reasons[0]}): run "
            "`saliency-audit run`, look at the report and commit it, then accept"
        )


def _ancestors(graph: Mapping[str, Node], name: str) -> set[str]:
    """Give all stages whose results a stage depends on."""
    found: set[str] = set()
    ahead = list(graph[name].needs)
    while ahead:
        needed = ahead.pop()
        if needed not in found:
            found.add(needed)
            ahead += graph[needed].needs
    return found


def _refuse_uncommitted(root: Path, dataset: str) -> None:
    """Raise ParameterError where HEAD does not hold the results and what they were made of."""
    paths = (*BEHIND, f"{places.REPORTS}/{dataset}")
    found = git(root, "status", "--short", "--untracked-files=normal", "--", *paths).splitlines()
    if found:
        listed = "\n  ".join(found[:20])
        raise ParameterError(
            f"a revision is accepted, and these files are not committed:\n  {listed}\n"
            f"commit them (`git add dvc.lock reports/{dataset} && git commit`), then accept"
        )


def _committed(root: Path, revision: str, dataset: str) -> dict[str, Any]:
    """Give what a commit holds as accepted; nothing where it is no JSON, which is written anew."""
    path = reference_file(dataset).as_posix()
    if path not in entries(root, revision, [path]):
        return {}
    try:
        found = json.loads(show(root, revision, path))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _commit(root: Path, dataset: str, why: str) -> None:
    """Commit the reference alone, whatever else is staged."""
    path = reference_file(dataset).as_posix()
    git(root, "add", "--", path)
    message = f"Accept the profile of {dataset}: {why}"
    try:
        git(root, *identity(root), "commit", "--quiet", "--only", "-m", message, "--", path)
    except GitError as error:
        raise DataError(
            f"{path} is written and not committed ({error}): mend that and accept again"
        ) from None
