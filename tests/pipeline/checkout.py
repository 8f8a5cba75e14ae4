"""A checkout of the code under test, with the parameters of a miniature audit: tiny numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

CODE = (
    "flows",
    "tasks",
    "saliency_audit",
    "dvc.yaml",
    "references",
    ".dvcignore",
    ".gitignore",
    "data/README.md",
)

PARAMS = {
    "datasets": {
        "phantom_skin": {
            "kind": "phantom_skin",
            "source": "saliency_audit/datasets/phantom_skin.py",
            "images": 120,
            "size": [32, 32],
            "seed": 1,
        }
    },
    "audits": {"phantom_skin-tiny": {"dataset": "phantom_skin", "classifier": "tiny", "images": 8}},
    "methods": ["gradcam", "rise"],
    "method": {"gradcam": {}, "rise": {"samples": 64, "seed": 0}},
    "segmenter": {"epochs": 1},
    "agreement": {"preset": None, "grid": 3, "methods": ["gradcam", "rise"]},
    "report": {"gallery": 2, "seed": 0, "replicates": 100},
    "predict": {"background": 8},
}

MODEL = """
architecture: cnn
train:
  epochs: 2
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout with its own git, DVC and cache."""

    path: Path

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there, with the environment's programs first on PATH."""
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "CI": "1",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        found = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )
        if check and found.returncode != 0:
            pytest.fail(
                f"{' '.join(command)} gave {found.returncode}:\n{found.stdout}{found.stderr}"
            )
        return found

    def repro(self, *arguments: str) -> set[str]:
        """Run ``dvc repro`` there; gives the stages whose command ran."""
        output = self.call("dvc", "repro", *arguments).stdout
        return {
            line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")
        }

    def audit(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line there."""
        return self.call(sys.executable, "-m", "flows", *arguments, check=check)

    def params(self) -> dict[str, object]:
        """Read its params.yaml."""
        return yaml.safe_load((self.path / "params.yaml").read_text())

    def write_params(self, tree: dict[str, object]) -> None:
        """Write its params.yaml."""
        (self.path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))

    def lock(self) -> dict[str, object]:
        """Read what DVC recorded of each stage, whatever the order."""
        return yaml.safe_load((self.path / "dvc.lock").read_text())["stages"]

    def outputs(self) -> dict[str, str]:
        """Give the hash of every output, by its path."""
        return {
            out["path"]: out.get("md5", "")
            for stage in self.lock().values()
            for out in stage.get("outs", [])
        }


def make_checkout(root: Path, path: Path) -> Checkout:
    """Make a checkout of the code under test, with miniature parameters."""
    for name in CODE:
        source, target = root / name, path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # Compiled modules come along, with the times by which Python knows them for valid.
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy2(source, target)
    (path / "classifiers" / "tiny").mkdir(parents=True)
    (path / "classifiers" / "tiny" / "model.yaml").write_text(MODEL)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    checkout = Checkout(path)
    checkout.write_params({**tree, **PARAMS})
    checkout.call("git", "init", "-q")
    checkout.call("dvc", "init", "-q")
    checkout.call("dvc", "config", "core.analytics", "false")
    return checkout
