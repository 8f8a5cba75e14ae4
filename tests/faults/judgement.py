"""What must hold after a fault, whatever it was; each check gives the problems that it found."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from .miniature import cached, entries, objects

#: The variable by which everything that a trial starts is known.
MARK = "SALIENCY_TRIAL"
#: Seconds that what was started may take to end after its run.
PATIENCE = 20.0


def corrupt(checkout: Path, undisturbed: Mapping[str, Any], whole: bool) -> Iterator[str]:
    """Say which artifact is taken for a good one, and is none.

    What dvc.lock records must be what an undisturbed run gives, and each object of the cache that
    it names what its name says. ``whole``: all stages are recorded, and the files are there.
    """
    found = entries(checkout)
    for name, entry in found.items():
        if name in undisturbed and entry != undisturbed[name]:
            what = _differs(entry, undisturbed[name])
            yield f"{name} is recorded otherwise than undisturbed: {what}"
    kept = {name: entry for name, entry in found.items() if name in undisturbed}
    for path in sorted(objects(checkout, kept)):
        if not path.is_file():
            if _is_cached(kept, path):
                yield f"{path.relative_to(checkout)} is recorded, and is not in the cache"
        elif _md5(path) != (path.parent.name + path.name).removesuffix(".dir"):
            yield f"{path.relative_to(checkout)} is not what its name says"
    if not whole:
        return
    yield from (f"{name} is not recorded" for name in sorted(set(undisturbed) - set(found)))
    for path in sorted((checkout / ".dvc" / "cache" / "files").rglob("*")):
        # DVC believes an object that it has made read-only, without reading it again.
        believed = path.is_file() and path.stat().st_mode & 0o222 == 0
        if believed and _md5(path) != (path.parent.name + path.name).removesuffix(".dir"):
            yield f"{path.relative_to(checkout)} is protected, and not what its name says"
    for entry in kept.values():
        for out in entry["outs"]:
            yield from _workspace(checkout, out)


def _differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return ", ".join(sorted(k for k in {*one, *other} if one.get(k) != other.get(k)))


def _is_cached(stages: Mapping[str, Any], path: Path) -> bool:
    # Metrics are in git, not in the cache.
    md5 = path.parent.name + path.name
    for entry in stages.values():
        for out in entry["outs"]:
            if out["md5"] == md5:
                place = out["path"]
                return not place.endswith(("summary.md", "tables", "metrics.json"))
    return True


def _workspace(checkout: Path, out: Mapping[str, Any]) -> Iterator[str]:
    path = checkout / out["path"]
    if not out["md5"].endswith(".dir"):
        if not path.is_file() or _md5(path) != out["md5"]:
            yield f"{out['path']} in the workspace is not what is recorded"
        return
    here = {
        str(file.relative_to(path)): _md5(file)
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    listing = cached(checkout, out["md5"])
    if listing.is_file():
        there = {item["relpath"]: item["md5"] for item in json.loads(listing.read_text())}
        if here != there:
            yield f"{out['path']} in the workspace is not what is recorded"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def executions(checkouts: Iterable[Path], logs: Iterable[Path] = ()) -> Counter[str]:
    """Count how often DVC ran each stage, by what it said in the logs of runs."""
    counted: Counter[str] = Counter()
    files = [f for c in checkouts for f in (c / ".saliency" / "logs").rglob("*.log")]
    for file in [*files, *logs]:
        for line in file.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("Running stage '"):
                counted[line.split("'")[1]] += 1
    return counted


def repeated(recorded: Iterable[str], before: Counter[str], after: Counter[str]) -> Iterator[str]:
    """Say which stages ran again between two counts, though DVC had recorded them."""
    for name in sorted(recorded):
        if after[name] > before[name]:
            yield f"{name} was recorded, and was run again"


def members(mark: str) -> list[psutil.Process]:
    """Give all processes of a trial that live."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.pid != os.getpid() and process.environ().get(MARK) == mark
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def left_behind(mark: str, patience: float = PATIENCE) -> list[str]:
    """Say which processes of a trial are still there after a while, and end them."""
    until = time.monotonic() + patience
    while (found := members(mark)) and time.monotonic() < until:
        time.sleep(0.3)
    problems = []
    for process in found:
        try:
            problems.append(f"process {process.pid} was left behind: {_command(process)}")
            process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    return problems


def _command(process: psutil.Process) -> str:
    return " ".join(process.cmdline())[:160]
