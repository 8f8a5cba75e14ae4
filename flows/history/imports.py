"""What is newer of the weights and data that `dvc import` or `dvc import-url` brings."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from flows.ground.git import entries, show
from flows.ground.worktrees import Worktree, create
from saliency_audit.errors import DataError


def imports_of(main: Path, commit: str) -> list[str]:
    """Give the ``.dvc`` files of a commit that say where their data comes from."""
    files = [path for path in entries(main, commit) if path.endswith(".dvc")]
    return [path for path in files if "deps" in (yaml.safe_load(show(main, commit, path)) or {})]


def newest(main: Path, commit: str) -> dict[str, str]:
    """Give the digest of what each import would bring now; asks their sources, brings nothing.

    Raises DataError naming the import whose source does not answer.
    """
    imports = imports_of(main, commit)
    if not imports:
        return {}
    worktree = create(main, commit, f"imports-{os.getpid()}")
    try:
        update(worktree, imports, "--no-download")
        return {path: _digest(worktree.path / path) for path in imports}
    finally:
        worktree.remove()


def update(worktree: Worktree, imports: list[str], *options: str) -> None:
    """Bring imports up to date in a worktree; raises DataError naming the one that cannot be."""
    for path in imports:
        found = worktree.call("dvc", "--wait-for-lock", "update", *options, path)
        if found.returncode != 0:
            said = (found.stderr.strip() or found.stdout.strip()).splitlines()
            raise DataError(f"{path}: `dvc update` failed: {said[-1] if said else 'no output'}")


def _digest(path: Path) -> str:
    """Give what a ``.dvc`` file knows its data by: a digest, or the source's own mark of it."""
    tree = yaml.safe_load(path.read_text("utf-8"))
    marks = [
        value
        for item in (*tree["outs"], *tree["deps"])
        for key, value in sorted(item.items())
        if key in ("md5", "etag", "checksum", "version_id")
    ]
    locks = [dep["repo"]["rev_lock"] for dep in tree["deps"] if "repo" in dep]
    return ",".join(str(mark) for mark in marks or locks)
