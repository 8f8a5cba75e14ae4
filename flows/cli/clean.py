"""`saliency-audit clean`: what former audits left, removed but for the last ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from flows.ground.console import BUSY, Voice
from flows.ground.git import git
from flows.ground.hold import BusyError, alone_in, is_held
from flows.ground.prefect_client import ask
from flows.ground.worktrees import listed
from flows.history.past_audits import past_audits
from flows.reproduction.rerun import REPRODUCTIONS
from saliency_audit.errors import AuditError
from tasks import places
from tasks.map_store import contents, prune

#: States of Prefect's runs that have ended, and how many runs it gives at once.
ENDED, PAGE = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED"), 200


@dataclass(frozen=True)
class Removal:
    """Something that may go: what it is, and what removes it."""

    what: str
    remove: Callable[[], object]


def command(
    keep: Annotated[int, typer.Option(min=0, help="How many audits to keep, the newest.")],
    maps: Annotated[
        float, typer.Option(min=0, help="GiB of finished maps to keep, the last used first.")
    ] = 2.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only said.")] = False,
) -> None:
    """Remove what former audits left: worktrees, branches, logs, Prefect's runs, maps, DVC's cache.

    Says what it would remove, and removes it with --yes. What this checkout, a branch or a tag
    refers to stays in DVC's cache. Exit code 6 where a run is in progress.
    """
    sys.exit(clean(Path.cwd(), keep, maps, yes))


def clean(root: Path, keep: int, maps_gib: float, really: bool) -> int:
    """Remove what ``keep`` audits do not need, or only say it; gives the exit code."""
    console = Voice()
    try:
        with alone_in(root, console):
            _refuse_audits(root)
            removals = list(_removals(root, keep, maps_gib))
            for removal in removals:
                verb = "removed" if really else "would remove"
                if really:
                    removal.remove()
                console.say(f"{verb} {removal.what}")
            said = _collect(root, really)
            console.say(said)
    except BusyError as error:
        console.error(error)
        return BUSY
    except AuditError as error:
        return console.complain(error)
    if not really:
        console.say("nothing was removed: say --yes to remove it")
    return 0


def _refuse_audits(root: Path) -> None:
    """Raise BusyError where an audit is in progress: its artifacts no branch refers to yet."""
    for path in (root / places.LOCAL / "audits").glob("*.lock"):
        if is_held(path):
            raise BusyError(
                f"an audit of the subject {path.stem} is in progress: wait for it to end"
            )


def _removals(root: Path, keep: int, maps_gib: float) -> Iterator[Removal]:
    audits = past_audits(root)
    kept = {audit.branch.split("/", 1)[1] for audit in audits[:keep]}
    for worktree in listed(root):
        if worktree.base.name not in kept:
            yield Removal(f"worktree {worktree.base.name}", worktree.remove)
    for folder in sorted((root / REPRODUCTIONS).glob("[!.]*")):
        yield Removal(f"reproduction {folder.name}", _folder_remover(folder))
    for audit in audits[keep:]:
        yield Removal(
            f"branch {audit.branch} ({audit.commit[:12]}, {audit.result})",
            _branch_remover(root, audit.branch),
        )
    size = sum(found.size for found in contents()) / 2**30
    if size > maps_gib:
        what = f"{size - maps_gib:.2f} GiB of finished maps, the longest unused first"
        yield Removal(what, lambda: prune(maps_gib))
    logs = [path for path in (root / places.LOCAL / "logs").glob("*") if path.is_dir()]
    for folder in sorted(logs, key=lambda path: path.stat().st_mtime, reverse=True)[keep:]:
        yield Removal(f"logs {folder.name}", _folder_remover(folder))
    yield from _prefect_runs(root, keep)


def _branch_remover(root: Path, branch: str) -> Callable[[], object]:
    return lambda: git(root, "branch", "--quiet", "-D", branch)


def _folder_remover(folder: Path) -> Callable[[], object]:
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def _prefect_runs(root: Path, keep: int) -> Iterator[Removal]:
    """Give the flow runs that have ended, but for the last ones; of a server that has started."""
    from flows.ground.server import use_running

    if use_running(root) is None and not (root / places.LOCAL / "prefect" / "prefect.db").is_file():
        return
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        while True:
            chosen = {
                "flow_runs": {"state": {"type": {"any_": list(ENDED)}}},
                "sort": "END_TIME_DESC",
                "offset": keep,
                "limit": PAGE,
            }
            runs = ask(client, "/flow_runs/filter", chosen)
            for run in runs:
                yield Removal(
                    f"Prefect run {run['name']} ({run['state_name']})",
                    _run_remover(str(run["id"])),
                )
            if len(runs) < PAGE:
                return
            keep += PAGE


def _run_remover(run: str) -> Callable[[], object]:
    def remove() -> None:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            client.delete_flow_run(UUID(run))

    return remove


def _collect(root: Path, really: bool) -> str:
    """Have DVC remove from its cache what neither this checkout nor any branch or tag refers to."""
    scope = ["--workspace", "--all-branches", "--all-tags"]
    command = ["dvc", "--wait-for-lock", "gc", *scope, "--force", *([] if really else ["--dry"])]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (found.stdout + found.stderr).splitlines()]
    said = [line for line in lines if line and not line.startswith("WARNING")]
    return f"DVC cache: {said[-1] if said else 'nothing to remove'}"
