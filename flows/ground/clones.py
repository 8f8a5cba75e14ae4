"""A revision in a clean clone of its own: nothing that was computed before is at hand there.

It has neither the main clone's DVC cache nor its run-cache, finished maps or checkpoints; raw data
alone are brought.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from flows.ground.git import entries, git
from flows.ground.worktrees import Worktree

#: Name under which a clone knows the main clone's cache while raw data are brought from it.
SOURCE = "saliency-audit-main-cache"


def clean_clone(main: Path, commit: str, base: Path) -> Worktree:
    """Clone a commit into a folder that holds nothing else, and bring its raw data.

    Raises GitError where git or DVC refuse, naming what could not be brought.
    """
    main = main.resolve()
    # As deep as the main clone lies: so that `../shared` can be given a place within.
    clone = Worktree(main, base, base / main.relative_to(main.anchor))
    clone.path.parent.mkdir(parents=True)
    git(main, "clone", "--quiet", "--no-checkout", str(main), str(clone.path))
    git(clone.path, "checkout", "--quiet", "--detach", commit)
    local = main / ".dvc" / "config.local"
    if local.is_file():
        shutil.copyfile(local, clone.path / ".dvc" / "config.local")
    cache = clone.dvc("cache", "dir", where=main).strip()
    clone.dvc("cache", "dir", "--local", str(base / "cache"))
    tracked = [path for path in entries(clone.path, "HEAD") if path.endswith(".dvc")]
    if tracked:
        # A cache is laid out as a remote is.
        clone.dvc("remote", "add", "--local", SOURCE, cache)
        clone.call("dvc", "fetch", "--remote", SOURCE, *tracked)
        clone.dvc("remote", "remove", "--local", SOURCE)
    clone.bring_data()
    return clone
