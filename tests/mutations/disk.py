"""Damage on disk: files of a finished audit that are changed behind DVC's back.

A group of its own: it is no producer's mistake, and each file's digest is known. What must notice
is `dvc status`, which names the file; what the stage that reads it next says is told, too.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.conftest import Checkout, make_checkout

from . import base

AUDIT = "phantom_skin-tiny"
DATA = Path("data")


@dataclass(frozen=True)
class Damage:
    """A damage: ``harm`` does it in a checkout; ``next``: the stage that reads the file next."""

    name: str
    meaning: str
    path: str
    harm: Callable[[Path], None]
    next: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What noticed: whether ``dvc status`` names the file, and the next stage's error."""

    damage: str
    named: bool
    error: str
    code: str = ""


def _rewrite(path: Path, content: bytes) -> None:
    """Write as another program would: DVC's own files are read-only, and may be links."""
    path.unlink()
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    _rewrite(path, content[: len(content) // 2])


def _empty(path: Path) -> None:
    _rewrite(path, b"")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in random.Random(0).sample(range(len(content) // 2, len(content)), 3):
        content[place] ^= 255
    _rewrite(path, bytes(content))


def _swap(path: Path) -> None:
    other = path.with_name("rise.parquet" if path.stem == "gradcam" else "gradcam.parquet")
    content = path.read_bytes()
    _rewrite(path, other.read_bytes())
    _rewrite(other, content)


def _keyless(path: Path) -> None:
    content = json.loads(path.read_bytes())
    del content["labels"]
    _rewrite(path, json.dumps(content).encode())


def _edit(path: Path) -> None:
    """Write a table anew with one value changed, as a person with a notebook would."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    values = table.column("iou").to_pylist()
    place = next(n for n, value in enumerate(values) if value)
    values[place] = min(1.0, values[place] + 0.1)
    number = table.schema.get_field_index("iou")
    changed = table.set_column(number, table.schema.field(number), pa.array(values, pa.float64()))
    path.unlink()
    pq.write_table(changed, path)


def _remove(path: Path) -> None:
    path.unlink()


def _rename(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}-old"))


def _one_letter(path: Path) -> None:
    content = path.read_bytes()
    _rewrite(path, content.replace(b'"ok"', b'"OK"', 1) if b'"ok"' in content else content + b" ")


DAMAGES = (
    Damage(
        "truncated-images",
        "The images table lost its second half.",
        "data/ingest/phantom_skin/images.parquet",
        _truncate,
        ("split", "phantom_skin"),
    ),
    Damage(
        "emptied-split",
        "The split is a file of no bytes.",
        "data/split/phantom_skin/split.parquet",
        _empty,
        ("check_inputs", "phantom_skin"),
    ),
    Damage(
        "removed-masks",
        "The masks table is gone.",
        "data/ingest/phantom_skin/masks.parquet",
        _remove,
        ("check_inputs", "phantom_skin"),
    ),
    Damage(
        "flipped-classifier",
        "Three bytes of the classifier's weights are flipped.",
        f"data/train_classifier/{AUDIT}/weights.safetensors",
        _flip,
        ("check_models", AUDIT),
    ),
    Damage(
        "flipped-segmenter",
        "Three bytes of the segmenter's weights are flipped.",
        "data/train_segmenter/phantom_skin/weights.safetensors",
        _flip,
        ("check_models", AUDIT),
    ),
    Damage(
        "keyless-audit",
        "audit.json lost its labels.",
        f"data/predict/{AUDIT}/audit.json",
        _keyless,
        ("check_models", AUDIT),
    ),
    Damage(
        "truncated-predictions",
        "The predictions lost their second half.",
        f"data/predict/{AUDIT}/predictions.parquet",
        _truncate,
        ("cohort", AUDIT),
    ),
    Damage(
        "swapped-maps",
        "The maps of two methods lie under each other's name.",
        f"data/explain/{AUDIT}/gradcam.parquet",
        _swap,
        ("check_maps", AUDIT),
    ),
    Damage(
        "flipped-maps",
        "Three bytes of a method's maps are flipped.",
        f"data/explain/{AUDIT}/rise.parquet",
        _flip,
        ("check_maps", AUDIT),
    ),
    Damage(
        "edited-figure",
        "One IoU was raised by hand.",
        f"data/apply_segx/{AUDIT}.parquet",
        _edit,
        ("check_results", AUDIT),
    ),
    Damage(
        "renamed-folder",
        "The folder of predictions has another name.",
        f"data/predict/{AUDIT}",
        _rename,
        ("cohort", AUDIT),
    ),
    Damage(
        "edited-result",
        "A gate's result in git has one word changed.",
        f"reports/phantom_skin/quality/{AUDIT}/check_maps.json",
        _one_letter,
        ("summarise", AUDIT),
    ),
)


def make(folder: Path) -> Checkout:
    """Make a miniature checkout and run its audit with DVC, once."""
    shutil.rmtree(folder, ignore_errors=True)
    checkout = make_checkout(base.ROOT, folder)
    # All that DVC writes stays within it.
    (folder / ".dvc" / "config.local").write_text(
        f"[core]\n    site_cache_dir = {folder / '.dvc' / 'tmp' / 'site'}\n"
    )
    checkout.repro()
    return checkout


def attempt(damage: Damage, clean: Checkout, work: Path, code: str = "") -> Found:
    """Do a damage to a copy, and ask DVC and the next stage."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(clean.path, work, symlinks=True)
    checkout = Checkout(work)
    damage.harm(work / damage.path)
    status = checkout.call("dvc", "status", "--json", check=False).stdout
    parents = [str(path) for path in (Path(damage.path), *Path(damage.path).parents) if path.parts]
    named = any(f'"{path}"' in status for path in parents[:-1])
    found = checkout.call(
        sys.executable, "-m", f"tasks.{damage.next[0]}", *damage.next[1:], check=False
    )
    lines = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    error = "" if found.returncode == 0 else (lines[0][:150] if lines else "a traceback")
    shutil.rmtree(work)
    return Found(damage.name, named, error, code)
