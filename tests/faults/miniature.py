"""The miniature audit of the trials: where it starts, and what undisturbed runs of it give."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.stages import in_order
from tests.pipeline.conftest import make_checkout

ROOT = Path(__file__).resolve().parents[2]
AUDIT = "phantom_skin-tiny"
#: What decides how a trial goes: its result stands as long as none of this changes.
STAGES = ("tasks", "saliency_audit", "references", "dvc.yaml", ".dvcignore", "params.yaml")
CODE = (*STAGES, "flows", "tests/faults")
#: States that a trial may start from: what is done already, by the last stage of it.
STARTS = {"new": (), "predicted": ("predict",), "explained": ("explain",)}
#: Stages in an order in which each follows what it needs.
ORDER = tuple(stage.name for stage in in_order())
IDENTITY = ("-c", "user.name=trial", "-c", "user.email=trial@localhost")


def kind_of(stage: str) -> str:
    """Give what a stage does, without what it does it for."""
    return stage.split("@", 1)[0]


def code_digest(names: Iterable[str] = CODE) -> str:
    """Give a digest of the code under trial, and of the trials."""
    digest = hashlib.sha256()
    for name in names:
        top = ROOT / name
        files = sorted(top.rglob("*")) if top.is_dir() else [top]
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def described() -> str:
    """Give the revision, and whether the working tree has changes."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of what a trial starts."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    quiet = {"CI": "1", "DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1", "PATH": programs}
    return {**kept, **quiet, **(extra or {})}


def call(
    folder: Path, *command: str, check: bool = True, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    found = subprocess.run(
        command, cwd=folder, env=environment(extra), capture_output=True, text=True, check=False
    )
    if check and found.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} in {folder}: {found.stdout}{found.stderr}")
    return found


def entries(checkout: Path) -> dict[str, Any]:
    """Give what DVC has recorded, by stage, as far as it can be read."""
    try:
        tree = yaml.safe_load((checkout / "dvc.lock").read_text("utf-8", errors="replace"))
        return {name: entry for name, entry in tree["stages"].items() if _is_whole(entry)}
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return {}


def _is_whole(entry: Any) -> bool:
    """Say whether an entry was not cut by what ended its DVC."""
    outs = entry.get("outs") if isinstance(entry, dict) else None
    return bool(outs) and all(
        re.fullmatch(r"[0-9a-f]{32}(\.dir)?", str(out.get("md5"))) for out in outs
    )


@dataclass(frozen=True)
class Miniature:
    """Checkouts to start trials from, and the undisturbed result.

    ``entries``: dvc.lock by stage; ``seconds``: how long an undisturbed run takes from each start;
    ``growth``: bytes that it writes from each.
    """

    folder: Path
    entries: Mapping[str, Any]
    seconds: Mapping[str, float]
    growth: Mapping[str, int]

    def copy(self, start: str, target: Path) -> Path:
        """Give a fresh checkout in a state."""
        shutil.copytree(self.folder / start, target, symlinks=True)
        # No stage's result depends on it: the undisturbed one stands when it changes.
        shutil.rmtree(target / "flows")
        shutil.copytree(self.flows, target / "flows")
        own_settings(target)
        return target

    @property
    def flows(self) -> Path:
        """The flows under trial, as they were when the series began."""
        return self.folder / "flows"

    def take_flows(self) -> None:
        """Take the flows as they are now."""
        shutil.rmtree(self.flows, ignore_errors=True)
        shutil.copytree(ROOT / "flows", self.flows)


def own_settings(checkout: Path) -> None:
    """Keep all that DVC writes within the checkout."""
    (checkout / ".dvc" / "config.local").write_text(
        f"[core]\n    site_cache_dir = {checkout / '.dvc' / 'tmp' / 'site'}\n"
    )


#: A stage that does next to nothing, under all that guards a real one.
TOY = """
import sys, time
from pathlib import Path
import yaml
from tasks.stage import Context, Stage

def run(context: Context, name: str) -> None:
    for done in range(4):
        context.progress(done, 4)
        time.sleep(0.2)
    path = Path(f"data/toy/{name}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{name} {yaml.safe_load(Path('params.yaml').read_text())['measures']}")

STAGE = Stage("toy", ("name",), ("measures",), run)
if __name__ == "__main__":
    STAGE.main()
"""
#: What each toy stage reads.
TOYS = {
    "draw": "data/code/index.txt",
    "left": "data/toy/draw.txt",
    "right": "data/toy/draw.txt",
    "last": "data/toy/left.txt",
}


def make_toy(folder: Path, server: Mapping[str, str]) -> Miniature:
    """Make one whose stages do next to nothing, for a sample that takes no time; `new` only."""
    folder = folder.with_name(f"{folder.name}-toy")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkout = make_checkout(ROOT, folder / "new").path
    (checkout / "tasks" / "toy.py").write_text(TOY)
    tree = yaml.safe_load((checkout / "dvc.yaml").read_text())
    body = {
        "cmd": "python -m tasks.toy ${key}",
        "params": ["measures"],
        "deps": ["${item}"],
        "outs": ["data/toy/${key}.txt"],
    }
    stages = {"code": tree["stages"]["code"], "toy": {"foreach": TOYS, "do": body}}
    (checkout / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    call(checkout, "git", "add", "-A")
    call(checkout, "git", *IDENTITY, "commit", "-q", "-m", "toy")
    seconds, growth = run(folder, "new", server)
    made = Miniature(folder, entries(folder / "done"), {"new": seconds}, {"new": growth})
    made.take_flows()
    return made


def make(folder: Path, server: Mapping[str, str]) -> Miniature:
    """Make the miniature, or find the one that was made of the same stages."""
    folder = folder.with_name(f"{folder.name}-{code_digest(STAGES)}")
    known = folder / "undisturbed.json"
    if known.is_file():
        found = json.loads(known.read_text())
        return Miniature(folder, found["entries"], found["seconds"], found["growth"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checkout = make_checkout(ROOT, folder / "new")
    tree = checkout.params()
    tree["datasets"]["phantom_skin"]["images"] = 60
    tree["audits"][AUDIT]["images"] = 4
    tree["method"]["rise"]["samples"] = 32
    tree["report"] = {**tree["report"], "gallery": 1, "replicates": 100}
    checkout.write_params(tree)
    call(folder / "new", "git", "add", "-A")
    call(folder / "new", "git", *IDENTITY, "commit", "-q", "-m", "miniature")
    seconds, growth = {}, {}
    seconds["new"], growth["new"] = run(folder, "new", server)
    result = entries(folder / "done")
    for start, last in STARTS.items():
        if last:
            rewind(folder / "done", folder / start, last[0])
            seconds[start], growth[start] = run(folder, start, server)
            if entries(folder / "tried") != result:
                raise RuntimeError(f"undisturbed runs from {start} give other bytes")
    shutil.rmtree(folder / "tried")
    known.write_text(json.dumps({"entries": result, "seconds": seconds, "growth": growth}))
    return Miniature(folder, result, seconds, growth)


def run(folder: Path, start: str, server: Mapping[str, str]) -> tuple[float, int]:
    """Run the audit undisturbed from a state; gives seconds, and bytes that it writes."""
    target = folder / ("done" if start == "new" else "tried")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / start, target, symlinks=True)
    own_settings(target)
    began = time.monotonic()
    call(target, sys.executable, "-m", "flows", "run", extra=server)
    took = time.monotonic() - began
    if start == "new":
        # The start gets the compiled modules, too: trials take less time.
        for compiled in target.rglob("__pycache__"):
            there = folder / start / compiled.relative_to(target)
            shutil.copytree(compiled, there, dirs_exist_ok=True)
    return took, size_of(target) - size_of(folder / start)


def size_of(folder: Path) -> int:
    """Give the bytes that a folder takes, in pages as a file system counts."""
    return sum(
        -(-path.lstat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file()
    )


def rewind(source: Path, target: Path, last: str) -> None:
    """Copy a checkout and take back all that follows a stage."""
    shutil.copytree(source, target, symlinks=True)
    shutil.rmtree(target / ".saliency")
    shutil.rmtree(target / ".dvc" / "tmp", ignore_errors=True)
    text = yaml.safe_load((target / "dvc.lock").read_text())
    kept = set(ORDER[: ORDER.index(last) + 1])
    for name, entry in list(text["stages"].items()):
        if kind_of(name) not in kept:
            del text["stages"][name]
            for out in entry["outs"]:
                path = target / out["path"]
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    (target / "dvc.lock").write_text(yaml.safe_dump(text, sort_keys=False))
    for recorded in list((target / ".dvc" / "cache" / "runs").rglob("*")):
        if recorded.is_file():
            found = re.search(r"tasks\.(\w+)", recorded.read_text())
            if found is None or found[1] not in kept:
                recorded.unlink()
                recorded.parent.rmdir()
    wanted = objects(target, text["stages"])
    for path in (target / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def cached(checkout: Path, md5: str) -> Path:
    """Give where DVC keeps an object."""
    return checkout / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def objects(checkout: Path, stages: Mapping[str, Any]) -> set[Path]:
    """Give the objects of the cache that entries refer to."""
    found = set()
    for entry in stages.values():
        for out in entry["outs"]:
            path = cached(checkout, out["md5"])
            found.add(path)
            if out["md5"].endswith(".dir") and path.is_file():
                found |= {cached(checkout, item["md5"]) for item in json.loads(path.read_text())}
    return found
