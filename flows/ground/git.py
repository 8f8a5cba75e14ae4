"""What the flows ask of git: revisions, files of a revision, worktrees, branches of audits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from saliency_audit.errors import AuditError, ParameterError

#: What a run itself writes: no reason to say that a clone has changes.
WRITTEN = ("dvc.lock", "reports/")


class GitError(AuditError):
    """Git refused."""


def git(root: Path, *arguments: str) -> str:
    """Run git in a checkout; gives what it prints; raises GitError with what it complains of."""
    found = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        what = found.stderr.strip() or found.stdout.strip()
        raise GitError(f"git {arguments[0]} in {root}: {what}")
    return found.stdout


def commit_of(root: Path, revision: str) -> str:
    """Give the commit that a revision names; raises ParameterError where there is none."""
    try:
        return git(
            root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        ).strip()
    except GitError:
        raise ParameterError(
            f"{revision}: no such revision in {root}: `git log` and `git branch` list them"
        ) from None


def entries(root: Path, commit: str, paths: Iterable[str] = ()) -> dict[str, str]:
    """Give the files of a commit, all or those under ``paths``, with their digests in git."""
    listed = git(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    found = {}
    for line in filter(None, listed.split("\0")):
        what, path = line.split("\t", 1)
        found[path] = what.split()[2]
    return found


def show(root: Path, commit: str, path: str) -> str:
    """Give a file of a commit as text."""
    return git(root, "show", f"{commit}:{path}")


def changes(root: Path) -> list[str]:
    """Give what is not committed, a line per file, as ``git status --short`` does."""
    return git(root, "status", "--short", "--untracked-files=normal").splitlines()


def refuse_dirty(root: Path, what: str) -> None:
    """Raise GitError with the list of what is not committed; ``what`` would leave it out."""
    found = changes(root)
    if found:
        listed = "\n  ".join(found[:20])
        more = f"\n  and {len(found) - 20} more" if len(found) > 20 else ""
        raise GitError(
            f"{what} works on committed revisions, and these files are not committed:\n  "
            f"{listed}{more}\ncommit them, or `git stash` them"
        )


def identity(root: Path) -> list[str]:
    """Give the options under which to commit: the person's own name, else the program's."""
    try:
        git(root, "config", "user.email")
    except GitError:
        return ["-c", "user.name=saliency-audit", "-c", "user.email=saliency-audit@localhost"]
    return []
