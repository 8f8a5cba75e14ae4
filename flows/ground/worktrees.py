"""A revision in a git worktree of its own, to be audited there: the main clone stays untouched.

It shares the main clone's DVC cache, run-cache and store of finished maps, so that nothing is
computed twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.ground.git import GitError, entries, git
from tasks import places
from tasks.params import read_tree
from tasks.supervision import RUN

#: Where worktrees lie in the main clone.
FOLDER = places.LOCAL / "worktrees"


@dataclass(frozen=True)
class Worktree:
    """A checkout of a revision beside the main clone.

    ``base``: the folder that holds it alone; ``path``: the checkout within.
    """

    main: Path
    base: Path
    path: Path

    def call(
        self, *command: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with this Python's programs first on the path."""
        return subprocess.run(
            command,
            cwd=self.path,
            env={**self.environment(), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def dvc(self, *arguments: str, where: Path | None = None) -> str:
        """Run DVC there, or elsewhere; gives what it prints; raises GitError where it refuses."""
        where = where or self.path
        found = subprocess.run(
            ["dvc", *arguments],
            cwd=where,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode != 0:
            raise GitError(f"dvc {' '.join(arguments)} in {where}: {found.stderr.strip()}")
        return found.stdout

    def environment(self) -> dict[str, str]:
        """Give the environment of what runs there; Prefect's database is the main clone's."""
        programs = str(Path(sys.executable).parent)
        path = os.pathsep.join([programs, os.environ["PATH"]])
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", RUN)}
        home = str(self.main / places.LOCAL / "prefect")
        return {"PREFECT_HOME": home, **kept, "PATH": path, **self.searched()}

    def searched(self) -> dict[str, str]:
        """Give PYTHONPATH without the main clone's code, which is of another revision."""
        listed = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        main = self.main.resolve()
        outside = [e for e in listed if e and not Path(e).resolve().is_relative_to(main)]
        return {"PYTHONPATH": os.pathsep.join(outside)} if outside else {}

    def bring_data(self) -> None:
        """Check out what DVC has in its cache: of raw data as of artifacts."""
        # What is not in the cache is fetched from a remote, or computed.
        self.call("dvc", "--wait-for-lock", "checkout", "--quiet")
        tracked = [path for path in entries(self.path, "HEAD") if path.endswith(".dvc")]
        missing = [p for p in tracked if not (self.path / p.removesuffix(".dvc")).exists()]
        if missing:
            found = self.call("dvc", "--wait-for-lock", "pull", *missing)
            if found.returncode != 0:
                raise GitError(
                    f"{', '.join(missing)}: neither in the DVC cache nor in a remote: `dvc pull` "
                    f"says {found.stderr.strip()}"
                )
        self.link_sources()

    def link_sources(self) -> None:
        """Lead each raw source that neither git nor DVC brings to where the main clone has it."""
        for dataset in read_tree(self.path / places.PARAMS)["datasets"].values():
            source = Path(dataset["source"])
            link = Path(os.path.normpath(self.path / source))
            there = self.main / source
            if source.is_absolute() or link.exists() or not there.exists():
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(there.resolve())

    def remove(self) -> None:
        """Remove the checkout; its branch stays."""
        if self.path.exists():
            git(self.main, "worktree", "remove", "--force", str(self.path))
        shutil.rmtree(self.base, ignore_errors=True)
        git(self.main, "worktree", "prune")


def create(main: Path, commit: str, name: str) -> Worktree:
    """Make a worktree of a commit, with no branch; one of that name that was there is removed."""
    main = main.resolve()
    base = main / FOLDER / name
    # As deep as the main clone lies: so that `../shared` can be given a place within.
    worktree = Worktree(main, base, base / main.relative_to(main.anchor))
    worktree.remove()
    worktree.path.parent.mkdir(parents=True)
    git(main, "worktree", "add", "--quiet", "--detach", str(worktree.path), commit)
    _share(worktree)
    return worktree


def _share(worktree: Worktree) -> None:
    """Give a worktree the main clone's DVC settings, cache and map store."""
    local = worktree.main / ".dvc" / "config.local"
    if local.is_file():
        shutil.copyfile(local, worktree.path / ".dvc" / "config.local")
    cache = worktree.dvc("cache", "dir", where=worktree.main).strip()
    worktree.dvc("cache", "dir", "--local", cache)
    store = worktree.main / places.LOCAL / "maps.sqlite"
    (worktree.path / places.LOCAL).mkdir(exist_ok=True)
    # SQLite keeps its journal beside the file that a link leads to.
    (worktree.path / places.LOCAL / store.name).symlink_to(store)


def listed(main: Path) -> list[Worktree]:
    """Give the worktrees that were made here, the oldest first."""
    bases = [base for base in (main.resolve() / FOLDER).glob("*") if base.is_dir()]
    return [
        Worktree(main.resolve(), base, base / main.resolve().relative_to(main.resolve().anchor))
        for base in sorted(bases, key=lambda base: base.stat().st_mtime)
    ]
