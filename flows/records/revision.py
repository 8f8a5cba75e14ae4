"""What a revision recorded of its artifacts: their digests in dvc.lock, and what they held.

An artifact is read from git, where it is committed, else from DVC's cache or remote, and is
believed only if it has the digest that was recorded.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from flows.ground.git import GitError, entries, show
from saliency_audit.errors import DataError


def lock_of(main: Path, commit: str) -> dict[str, Any]:
    """Give what a revision's dvc.lock records, by stage; raises DataError where it has none."""
    try:
        tree = yaml.safe_load(show(main, commit, "dvc.lock"))
    except GitError:
        raise DataError(
            f"{commit[:12]} has no dvc.lock, so nothing is recorded there: run the audit, commit "
            "dvc.lock and reports/, and reproduce that revision"
        ) from None
    except yaml.YAMLError as error:
        said = str(error).splitlines()[0]
        raise DataError(f"dvc.lock of {commit[:12]} cannot be read: {said}") from None
    stages = tree.get("stages") if isinstance(tree, Mapping) else None
    if not isinstance(stages, dict) or not stages:
        raise DataError(f"dvc.lock of {commit[:12]} records no stage: run the audit and commit it")
    return stages


class RecordedArtifacts:
    """The recorded artifacts of a revision, brought to a folder one by one.

    ``main``: the clone whose cache and remote may hold them; ``folder``: where they are put.
    """

    def __init__(self, main: Path, folder: Path) -> None:
        self._main = main
        self._folder = folder
        self._brought: dict[str, Path | None] = {}
        self._committed: set[str] = set()
        #: Why an artifact could not be read from the remote, the first time.
        self.trouble = ""

    def keep_committed(self, commit: str, checkout: Path, paths: list[str]) -> None:
        """Keep the outputs that git has, from a checkout where none has been written yet."""
        tracked = entries(self._main, commit)
        for path in paths:
            files = [name for name in tracked if name == path or name.startswith(f"{path}/")]
            for name in files:
                target = self._folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(checkout / name, target)
            if files:
                self._committed.add(path)
                self._brought[path] = self._folder / path

    def is_committed(self, path: str) -> bool:
        """Say whether an artifact is in git."""
        return path in self._committed

    def bring(self, out: Mapping[str, Any]) -> Path | None:
        """Give where an output, an entry of dvc.lock, now lies; None where nobody has it."""
        path = str(out["path"])
        if path not in self._brought:
            target = self._folder / path
            whole = self._bring(str(out.get("md5", "")), target)
            self._brought[path] = target if whole else None
            if not whole:
                _remove(target)
        return self._brought[path]

    def _bring(self, digest: str, target: Path) -> bool:
        if not digest.endswith(".dir"):
            return self._fetch(digest, target)
        listing = target.with_name(f"{target.name}.listing")
        if not self._fetch(digest, listing):
            return False
        items = json.loads(listing.read_text("utf-8"))
        listing.unlink()
        target.mkdir(parents=True, exist_ok=True)
        return all(self._fetch(item["md5"], target / item["relpath"]) for item in items)

    def _fetch(self, digest: str, target: Path) -> bool:
        """Copy what has a digest; what is damaged where it lies is passed over."""
        if len(digest.removesuffix(".dir")) != 32:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        for store in self._stores():
            try:
                store.fs.get_file(store.oid_to_path(digest), str(target))
            except FileNotFoundError:
                continue
            except Exception as error:
                # Each kind of remote has errors of its own; without it, less can be compared.
                self.trouble = self.trouble or f"{type(error).__name__}: {error}"
                continue
            if _md5(target) == digest.removesuffix(".dir"):
                return True
            self.trouble = self.trouble or f"{digest} is damaged in {store.path}"
        target.unlink(missing_ok=True)
        return False

    def _stores(self) -> Iterator[Any]:
        """Give DVC's cache and, where there is one, its default remote."""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        with Repo(str(self._main)) as repo:
            yield repo.cache.local
            with suppress(DvcException):
                yield repo.cloud.get_remote_odb()


def put(source: Path, target: Path) -> None:
    """Put a copy of a file or folder in place of what is there."""
    _remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
