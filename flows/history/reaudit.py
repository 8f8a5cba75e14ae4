"""An audit of a named revision in a worktree of its own, committed on a branch of its own.

The history of audits is git's: a branch ``audit/<date>-<digest>`` for each, whose commit says in
its trailers which code, classifiers and data it is of.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.execution.run_record import TRAILER, machine_of_last_run
from flows.ground.git import GitError, commit_of, entries, git, identity, show
from flows.ground.hold import HeldError, hold
from flows.ground.worktrees import Worktree, create
from flows.history.imports import newest, update
from flows.history.releases import Release, adopt_release
from flows.history.subject import Subject, subject_of
from saliency_audit.errors import AuditError
from tasks import places
from tasks.stage import STOPPED
from tasks.supervision import RUN

BRANCHES = "audit/"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """How an audit ended.

    ``state``: ``unchanged`` (there is one of this subject), ``busy`` (one is in progress),
    ``same`` or ``changed`` (its metrics, against the audit before it), ``stopped`` (by a quality
    gate) or ``failed``. ``changes``: the metrics that differ, as ``report: key: before → after``.
    """

    state: str
    subject: str
    branch: str | None = None
    report: str | None = None
    changes: tuple[str, ...] = ()
    error: str | None = None

    def payload(self) -> dict[str, Any]:
        """Give it as the payload of an event: names, digests and places."""
        return {**asdict(self), "changes": list(self.changes[:50]), "changed": len(self.changes)}


def reaudit(
    main: Path,
    revision: str,
    releases: Sequence[Release] = (),
    sources: Sequence[str] = (),
    push: str | None = None,
    tell: Tell = print,
) -> Finding:
    """Audit a revision, with newer weights where ``releases`` name some.

    ``sources``: where weights may come from; ``push``: a git remote that gets the branch, and a
    DVC remote its artifacts; none by default. The main clone's files stay as they are. Raises
    ParameterError or DataError for a revision or release that cannot be audited.
    """
    commit = commit_of(main, revision)
    models = {release.classifier: release.digest for release in releases}
    subject = subject_of(main, commit, models, newest(main, commit))
    former = branch_of(main, subject.digest)
    if former is not None:
        tell(f"{former} is the audit of this subject: nothing to do")
        return Finding("unchanged", subject.digest, former)
    with _only_one(main, subject.digest) as alone:
        if not alone:
            tell(f"an audit of the subject {subject.digest} is in progress: nothing to do")
            return Finding("busy", subject.digest)
        return _audit(main, commit, subject, releases, sources, push, tell)


def branch_of(main: Path, digest: str) -> str | None:
    """Give the branch that holds the audit of a subject; None where there is none."""
    found = git(main, "branch", "--list", f"{BRANCHES}*-{digest}", "--format=%(refname:short)")
    return found.split()[0] if found.strip() else None


def last_branch(main: Path) -> str | None:
    """Give the branch of the newest audit; None where there is none."""
    found = git(
        main,
        "for-each-ref",
        "--sort=-committerdate",
        "--count=1",
        "--format=%(refname:short)",
        f"refs/heads/{BRANCHES}",
    )
    return found.strip() or None


@contextmanager
def _only_one(main: Path, digest: str) -> Iterator[bool]:
    """Hold a subject; gives whether nobody else does."""
    path = main / places.LOCAL / "audits" / f"{digest}.lock"
    with ExitStack() as held:
        try:
            held.enter_context(hold(path, wait=False))
        except HeldError:
            yield False
            return
        yield True


def _audit(
    main: Path,
    commit: str,
    subject: Subject,
    releases: Sequence[Release],
    sources: Sequence[str],
    push: str | None,
    tell: Tell,
) -> Finding:
    name = f"{datetime.now(UTC):%Y%m%d}-{subject.digest}"
    tell(f"auditing {commit[:12]} in a worktree: {name}")
    worktree = create(main, commit, name)
    try:
        update(worktree, list(subject.imports))
        worktree.bring_data()
        for release in releases:
            adopt_release(worktree.path, release, sources, main)
            tell(f"classifiers/{release.classifier} has the weights {release.digest[:19]}…")
    except AuditError:
        worktree.remove()
        raise
    code, told = run_there(worktree, tell)
    page = worktree.path / places.REPORTS / "index.html"
    report = str(page) if page.is_file() else None
    if code not in (0, STOPPED):
        errors = [s["error"] for s in told.get("stages", {}).values() if s["error"]]
        said = told.get("said") or f"saliency-audit run ended with exit code {code}"
        error = errors[0] if errors else said
        return Finding("failed", subject.digest, None, report, (), error)
    before = last_branch(main)
    changes = tuple(metric_changes(main, before or commit, worktree.path))
    state = "stopped" if code == STOPPED else "changed" if changes else "same"
    branch = f"{BRANCHES}{name}"
    _commit(worktree, branch, commit, subject, state, told)
    tell(f"committed on {branch}: {len(changes)} metrics differ from {before or commit[:12]}")
    if push is not None:
        _push(worktree, push, branch, tell)
    return Finding(state, subject.digest, branch, report, changes)


def run_there(worktree: Worktree, tell: Tell) -> tuple[int, dict[str, Any]]:
    """Run the audit in a worktree; gives its exit code, and what `--json` says."""
    with hold(worktree.base / "alive.lock") as held:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "run", "--wait", "--json"],
            cwd=worktree.path,
            env={**worktree.environment(), RUN: str(held)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            last = ""
            for line in process.stderr:
                last = line.rstrip()
                tell(last)
            said = process.stdout.read()
            code = process.wait()
        except BaseException:
            # It ends its stages when it is asked to end.
            process.terminate()
            process.wait()
            raise
    return code, json.loads(said) if said.strip() else {"said": last}


def metric_changes(main: Path, revision: str, checkout: Path) -> Iterator[str]:
    """Give the metrics that differ between a revision and a checkout."""
    before = metrics_of(main, revision)
    after: dict[str, Any] = {}
    for path in sorted((checkout / places.REPORTS).glob("*/metrics.json")):
        name = str(path.relative_to(checkout))
        after |= _leaves(json.loads(path.read_text("utf-8")), f"{name}:")
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'none')} → {after.get(key, 'none')}"


def metrics_of(main: Path, revision: str) -> dict[str, Any]:
    """Give the metrics that a revision holds, by report and dotted key."""
    found: dict[str, Any] = {}
    for path in sorted(entries(main, commit_of(main, revision), [str(places.REPORTS)])):
        if path.endswith("/metrics.json"):
            found |= _leaves(json.loads(show(main, revision, path)), f"{path}:")
    return found


def _leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        dot = "" if not prefix or prefix.endswith(":") else "."
        found |= _leaves(value, f"{prefix}{dot}{key}")
    return found


def _commit(
    worktree: Worktree,
    branch: str,
    commit: str,
    subject: Subject,
    state: str,
    told: Mapping[str, Any],
) -> None:
    """Commit what an audit wrote, on a branch of its own."""
    path = worktree.path
    # What stages wrote and imports brought; .gitignore leaves out what DVC keeps.
    git(path, "add", "--all")
    stages = [stage["state"] for stage in told["stages"].values()]
    counts = ", ".join(f"{stages.count(s)} {s}" for s in sorted(set(stages)))
    title = f"Audit of {', '.join(subject.data)}: {state}"
    trailers = [
        f"Audit-Subject: {subject.digest}",
        f"Audit-Result: {state}",
        f"Audit-Code: {commit}",
        *[f"Audit-Classifier: {name} {digest}" for name, digest in subject.classifiers.items()],
        *[f"Audit-Data: {name} {digest}" for name, digest in subject.data.items()],
        *[f"Audit-Import: {path} {digest}" for path, digest in subject.imports.items()],
    ]
    machine = machine_of_last_run(path)
    if machine is not None:
        trailers.append(f"{TRAILER}: {machine}")
    body = f"Stages: {counts or 'none'}, {told['up_to_date']} up to date."
    message = "\n\n".join([title, body, "\n".join(trailers)])
    options = identity(path)
    git(path, *options, "commit", "--quiet", "--allow-empty", "--no-verify", "--message", message)
    # Last: a branch says that the audit of its subject is made, also to one that looks meanwhile.
    git(path, "switch", "--quiet", "--create", branch)


def _push(worktree: Worktree, remote: str, branch: str, tell: Tell) -> None:
    """Push a branch and its artifacts; what cannot be pushed is said, and stays committed here."""
    try:
        git(worktree.path, "push", "--quiet", remote, branch)
        if worktree.call("dvc", "remote", "list").stdout.strip():
            found = worktree.call("dvc", "--wait-for-lock", "push", "--run-cache")
            if found.returncode != 0:
                raise GitError(found.stderr.strip())
    except GitError as error:
        tell(f"{branch} is committed here, but was not pushed: {error}")
    else:
        tell(f"pushed {branch} to {remote}")
