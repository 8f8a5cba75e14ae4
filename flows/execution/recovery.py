"""What a crash, a full disk or a merge leaves behind, mended before a run.

An entry of ``dvc.lock`` is a claim that DVC checks against the files before it believes it. So
entries may be gathered from wherever they are still legible, as long as each is whole: one that git
has merged line by line may say that one side's inputs gave the other side's output, and DVC
believes it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flows.ground.git import GitError, git
from flows.ground.hold import hold, holder, is_held
from tasks import places
from tasks.artifacts import partial

#: A copy of the last dvc.lock that could be read.
COPY = places.LOCAL / "dvc.lock"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?$")
#: What git writes before the first side of a conflict.
CONFLICT = re.compile(r"^<{7}", re.M)
#: Who may know entries that a merge has mixed, the one whose word counts most last.
SIDES = ("HEAD^1", "HEAD^2", "CHERRY_PICK_HEAD", "REBASE_HEAD", "MERGE_HEAD", "HEAD")


def mend(root: Path) -> list[str]:
    """Mend what cannot be read; says, for each file, what was wrong and what was done."""
    if not list(_mended(root, dry=True)):
        return []
    from dvc.repo import Repo

    # A DVC that is at work may have written half of a file: look again when it is done.
    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        return list(_mended(root, dry=False))


def remember(root: Path) -> None:
    """Keep a copy of dvc.lock, if there is one and it can be read."""
    if not (root / "dvc.lock").is_file():
        return  # the first stage of all has failed
    text = (root / "dvc.lock").read_text("utf-8", errors="replace")
    if _is_whole(text):
        with partial(root / COPY) as beside:
            beside.write_text(text, "utf-8")


def await_orphans(root: Path) -> Iterator[str]:
    """Wait for stages that still run here, though their run was killed; says which.

    Those of a killed run end by themselves (tasks/supervision.py); what a ``dvc repro`` by hand
    runs ends when it is done.
    """
    for path in sorted((root / places.LOCAL / "stages").glob("*.lock")):
        if is_held(path):
            yield f"process {holder(path)} still works on {path.stem}: waiting for it"
            with hold(path):
                pass


def _mended(root: Path, dry: bool) -> Iterator[str]:
    yield from _mend_rwlock(root, dry)
    yield from _mend_run_cache(root, dry)
    yield from _mend_lock_file(root, dry)


def _mend_run_cache(root: Path, dry: bool) -> Iterator[str]:
    """Remove folders of DVC's run-cache that hold nothing: DVC makes one before it writes in it.

    Where it was killed between the two, or the disk was full, it would fail on that stage for good.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        folder = Path(repo.stage_cache.cache_dir)
    empty = [path for path in folder.glob("*/*") if path.is_dir() and not any(path.iterdir())]
    for path in empty if not dry else ():
        path.rmdir()
    if empty:
        yield f"{len(empty)} empty entries of DVC's run-cache (a DVC was stopped there): removed"


def _mend_rwlock(root: Path, dry: bool) -> Iterator[str]:
    """Remove DVC's list of who reads and writes what: it is written in place, and kills tear it."""
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(path.read_text("utf-8", errors="replace"))
    except FileNotFoundError:
        return
    except ValueError:
        if not dry:
            path.unlink()
        yield f"{path.relative_to(root)} was torn (a DVC was killed while it wrote): removed"


def _mend_lock_file(root: Path, dry: bool) -> Iterator[str]:
    path = root / "dvc.lock"
    if not path.is_file():
        return
    text = path.read_text("utf-8", errors="replace")
    if _is_whole(text):
        return
    conflict = CONFLICT.search(text) is not None
    copy = root / COPY
    copied = copy.read_text("utf-8") if copy.is_file() else ""
    # HEAD is what this checkout ran: where both sides know a stage, it is more often right.
    sources = [copied, *(_sides(root) if conflict else [_whole_entries(text)])]
    kept = {name: entry for source in sources for name, entry in _entries(source).items()}
    aside = root / places.LOCAL / "failed" / "dvc.lock"
    if not dry:
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, aside)
        _write(path, kept)
    what = "had a merge conflict" if conflict else "could not be read"
    yield (
        f"dvc.lock {what}: the entries of {len(kept)} stages were kept, and DVC checks each; as it "
        f"was, it lies in {aside.relative_to(root)}"
    )


def _sides(root: Path) -> Iterator[str]:
    """Give dvc.lock as each side of a merge has it."""
    for side in SIDES:
        try:
            yield git(root, "show", f"{side}:./dvc.lock")
        except GitError:
            continue


def _write(path: Path, stages: Mapping[str, Any]) -> None:
    import yaml

    with partial(path) as beside:
        tree = {"schema": "2.0", "stages": dict(stages)}
        beside.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")


def _whole_entries(text: str) -> str:
    """Give a torn dvc.lock up to the last entry that another one follows."""
    starts = [found.start() for found in re.finditer(r"^  \S.*:\n", text, re.M)]
    return text[: starts[-1]] if starts else ""


def _is_whole(text: str) -> bool:
    stages = _stages(text)
    return stages is not None and len(_entries(text)) == len(stages)


def _entries(text: str) -> dict[str, Any]:
    """Give the entries that DVC would read, by stage."""
    from dvc.schema import COMPILED_LOCK_FILE_STAGE_SCHEMA
    from voluptuous import Invalid

    found = {}
    for name, entry in (_stages(text) or {}).items():
        try:
            COMPILED_LOCK_FILE_STAGE_SCHEMA(entry)
        except Invalid:
            continue
        if all(_is_digested(item) for key in ("deps", "outs") for item in entry.get(key, [])):
            found[name] = entry
    return found


def _is_digested(item: Mapping[str, Any]) -> bool:
    """Say whether a digest is there as a whole: DVC fails on one that was cut."""
    if "hash" not in item and "md5" not in item:
        return True  # an import, known by an etag or a revision
    digest = item.get(item.get("hash", "md5"))
    return isinstance(digest, str) and (item.get("hash") != "md5" or MD5.match(digest) is not None)


def _stages(text: str) -> dict[str, Any] | None:
    """Give what a dvc.lock says under ``stages``; None where it is none."""
    import yaml

    # The C loader reads a lock in a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        tree = yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        return None
    stages = tree.get("stages") if isinstance(tree, dict) else None
    return stages if isinstance(stages, dict) else None
