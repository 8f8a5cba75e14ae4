"""A miniature audit in a checkout of its own: real stages, real DVC, real Prefect, tiny numbers."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
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
    "agreement": {"grid": 3, "methods": ["gradcam", "rise"]},
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
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (path / "classifiers" / "tiny").mkdir(parents=True)
    (path / "classifiers" / "tiny" / "model.yaml").write_text(MODEL)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    checkout = Checkout(path)
    checkout.write_params({**tree, **PARAMS})
    checkout.call("git", "init", "-q")
    checkout.call("dvc", "init", "-q")
    checkout.call("dvc", "config", "core.analytics", "false")
    return checkout


@pytest.fixture(scope="module")
def new_checkout(root, tmp_path_factory) -> Callable[[], Checkout]:
    """Give fresh miniature checkouts, all of the code as it is now."""
    code = make_checkout(root, tmp_path_factory.mktemp("code"))

    def make() -> Checkout:
        path = tmp_path_factory.mktemp("checkout") / "project"
        shutil.copytree(code.path, path)
        return Checkout(path)

    return make


@pytest.fixture(scope="session")
def reproduced(root, tmp_path_factory, request) -> Checkout:
    """The miniature audit as one ``dvc repro`` made it, once for all tests: to compare, or copy."""
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        base = base.parent  # the workers of pytest-xdist have it in common
    made = base / "reproduced" / "done"
    with (base / "reproduced.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(made.parent, ignore_errors=True)
            make_checkout(root, made.parent / "project").repro()
            made.touch()
    return Checkout(made.parent / "project")


@pytest.fixture(scope="module")
def checkout(new_checkout) -> Checkout:
    """A fresh miniature checkout, one per test module."""
    return new_checkout()
