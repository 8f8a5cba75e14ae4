"""The entries of ``dvc.lock``: what DVC recorded of each stage, read, and put in from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml


def entries_of(root: Path, stages: Iterable[str]) -> dict[str, Any]:
    """Give what DVC recorded of some stages; of one that never ran, nothing."""
    try:
        tree = yaml.safe_load((root / "dvc.lock").read_text("utf-8")) or {}
    except FileNotFoundError:
        return {}
    known: Mapping[str, Any] = tree.get("stages", {})
    return {name: known[name] for name in stages if name in known}


def put(root: Path, entries: Mapping[str, Any]) -> None:
    """Put entries in, in place of those of the same stages. DVC believes none without a look."""
    from dvc.repo import Repo

    if not entries:
        return
    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        path = root / "dvc.lock"
        tree = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
        tree = tree or {"schema": "2.0", "stages": {}}
        if all(tree["stages"].get(name) == entry for name, entry in entries.items()):
            return
        tree["stages"].update(entries)
        beside = path.with_name("dvc.lock.partial")
        beside.write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")
        beside.replace(path)
