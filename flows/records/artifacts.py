"""The files that DVC recorded: whether what is there still has the digest, and where its bytes are.

A file is read from the checkout where it has the recorded digest, else from DVC's cache: so what
is read is what was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from flows.ground.git import entries

#: How a recorded file stands. CHANGED: the checkout has other bytes than were recorded.
VERIFIED, CHANGED, MISSING = "verified", "changed", "missing"
IN_CACHE, IN_GIT, UNKNOWN = "only in cache", "only in git", "not recorded"
#: DVC's mark of a folder's digest.
FOLDER = ".dir"


@dataclass(frozen=True)
class Artifact:
    """A recorded file or folder: ``md5`` as DVC has it (None before its stage ran), ``state``."""

    path: str
    md5: str | None
    state: str

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"path": self.path, "md5": self.md5, "state": self.state}


@dataclass
class Artifacts:
    """Looks recorded files up, in a checkout and in its DVC cache.

    ``repo``: DVC's of the checkout; ``recorded``: digests by path; ``commit``: the revision that
    they are of, None for the checkout. That the checkout has other files than another revision is
    no change.
    """

    root: Path
    repo: Any
    recorded: Mapping[str, str]
    commit: str | None = None
    _states: dict[str, Artifact] = field(default_factory=dict, repr=False)

    def look(self, path: str) -> Artifact:
        """Say how a file or folder stands; of one within a recorded folder, too."""
        if path not in self._states:
            self._states[path] = self._look(path)
        return self._states[path]

    def _look(self, path: str) -> Artifact:
        md5 = self.md5(path)
        if md5 is None:
            return Artifact(path, None, UNKNOWN)
        if (self.root / path).exists():
            if digest_of(self.repo, self.root / path) == md5:
                return Artifact(path, md5, VERIFIED)
            if self.commit is None:
                return Artifact(path, md5, CHANGED)
        if self._cached(md5):
            return Artifact(path, md5, IN_CACHE)
        return Artifact(path, md5, IN_GIT if self._in_git(path) else MISSING)

    def _in_git(self, path: str) -> bool:
        if self.commit is None or path.startswith(("/", "..")):
            return False
        return bool(entries(self.root, self.commit, [path]))

    def md5(self, path: str) -> str | None:
        """Give the recorded digest of a path; None where nothing is recorded of it."""
        if path in self.recorded:
            return self.recorded[path]
        for folder, md5 in self.recorded.items():
            if path.startswith(f"{folder}/") and md5.endswith(FOLDER):
                return self.within(md5).get(path.removeprefix(f"{folder}/"))
        return None

    def within(self, md5: str) -> dict[str, str]:
        """Give the digests of a recorded folder's files; empty where the cache has no list."""
        place = self._object(md5)
        if not md5.endswith(FOLDER) or not place.is_file():
            return {}
        listed = json.loads(place.read_text("utf-8"))
        return {entry["relpath"]: entry["md5"] for entry in listed}

    def digest_of_parts(self, folder: str, parts: Mapping[str, str]) -> str:
        """Give DVC's digest of a folder of these parts, given by their paths in the checkout."""
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.tree import Tree

        tree: Any = Tree()  # type: ignore[no-untyped-call]
        for path, md5 in parts.items():
            own = {f"{path}/{name}": part for name, part in self.within(md5).items()}
            for place, digest in (own or {path: md5}).items():
                relative = PurePosixPath(place).relative_to(folder).parts
                tree.add(relative, None, HashInfo("md5", digest))
        tree.digest()
        return str(tree.hash_info.value)

    def file(self, path: str) -> Path | None:
        """Give a file with the recorded bytes of a path; None where they are nowhere here."""
        found = self.look(path)
        if found.state == VERIFIED:
            return self.root / path
        if found.md5 is not None and self._cached(found.md5):
            return self._object(found.md5)
        return None

    def _cached(self, md5: str) -> bool:
        own = self._object(md5).is_file()
        return own and all(self._object(part).is_file() for part in self.within(md5).values())

    def _object(self, md5: str) -> Path:
        return Path(self._cache.oid_to_path(md5))

    @cached_property
    def _cache(self) -> Any:
        return self.repo.cache.local


@contextmanager
def opened(
    root: Path, recorded: Mapping[str, str], commit: str | None = None
) -> Iterator[Artifacts]:
    """Open the recorded files of a checkout, or of a commit in it."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        yield Artifacts(root, repo, recorded, commit)


def digest_of(repo: Any, path: Path) -> str:
    """Give DVC's digest of a file or folder; what it has seen unchanged is not read again."""
    from dvc.fs import localfs
    from dvc_data.hashfile.build import build

    _, _, found = build(
        repo.cache.local, str(path.resolve()), localfs, "md5", dry_run=True, ignore=repo.dvcignore
    )
    return str(found.hash_info.value)
