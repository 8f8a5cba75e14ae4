"""Peak memory of every stage at 500 and at 5,000 phantoms, as a ratio: it should stay near 1.

Run from the root: ``python benchmarks/memory.py [small large]``. Prints a table
and writes ``benchmarks/memory.json``. All images of validation and test are
explained, so that the number of maps grows with the number of images.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DATASET, AUDIT = "phantom_skin", "phantom_skin-small"
STAGES = (
    ("code",),
    ("scope",),
    ("ingest", DATASET),
    ("split", DATASET),
    ("train_classifier", AUDIT),
    ("train_segmenter", DATASET),
    ("predict", AUDIT),
    ("explain", AUDIT, "gradcam"),
    ("explain", AUDIT, "shap"),
    ("explain", AUDIT, "rise"),
    ("cohort", AUDIT),
    ("apply_segx", AUDIT),
    ("score_segu", AUDIT),
    ("aggregate_agreement", AUDIT),
    ("summarise", AUDIT),
    ("report", DATASET),
)


def checkout(folder: Path, images: int) -> None:
    """Make a checkout that audits so many phantoms; samples are few, as memory ignores them."""
    for name in ("tasks", "saliency_audit", "dvc.yaml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    (folder / "classifiers" / "small").mkdir(parents=True)
    (folder / "classifiers/small/model.yaml").write_text("architecture: cnn\ntrain: {epochs: 1}\n")
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["datasets"] = {DATASET: {**tree["datasets"][DATASET], "images": images}}
    tree["audits"] = {AUDIT: {"dataset": DATASET, "classifier": "small"}}
    tree["methods"] = ["gradcam", "shap", "rise"]
    tree["method"]["shap"]["samples"] = 16
    tree["method"]["rise"]["samples"] = 64
    tree["agreement"] = {"preset": None, "methods": ["gradcam", "rise"]}
    tree["segmenter"]["epochs"] = 1
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def peaks(images: int) -> dict[str, float]:
    """Run every stage on so many phantoms; gives the peak resident memory of each, in MiB."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkout(folder, images)
        for stage, *arguments in STAGES:
            command = [sys.executable, "-m", f"tasks.{stage}", *arguments]
            process = subprocess.Popen(command, cwd=folder, env={**os.environ, "CI": "1"})
            _, status, usage = os.wait4(process.pid, 0)
            if status != 0:
                sys.exit(f"{' '.join(command)} failed")
            found["-".join([stage, *arguments[1:]])] = usage.ru_maxrss / 1024
    return found


def main() -> None:
    """Compare two sizes."""
    small, large = (int(value) for value in (sys.argv[1:] or ("500", "5000")))
    few, many = peaks(small), peaks(large)
    print(f"{'stage':28} {small:>8} {large:>8}  ratio")
    for stage, peak in few.items():
        print(f"{stage:28} {peak:8.0f} {many[stage]:8.0f}  {many[stage] / peak:.2f}")
    result = {stage: {"small_mib": few[stage], "large_mib": many[stage]} for stage in few}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
