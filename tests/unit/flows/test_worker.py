"""A worker that could not run what its pool is sent says so instead of starting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.ground.git import git
from flows.workers.worker import refuse_without_cuda
from saliency_audit.errors import ParameterError


@pytest.fixture
def clone(tmp_path):
    """A clone with a stage for the pool `big` that needs a GPU, and one for `small` without."""
    git(tmp_path, "init", "--quiet")
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "init", "--quiet"], cwd=tmp_path, check=True)
    stages = {
        "explain": {"cmd": "true", "meta": {"gpu": 1, "pool": "big"}},
        "report": {"cmd": "true", "meta": {"pool": "small"}},
        "train": {"cmd": "true", "meta": {"gpu": 1}},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return tmp_path


def compute(root, clone, device):
    tree = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    tree["compute"]["device"] = device
    (clone / "params.yaml").write_text(yaml.safe_dump(tree))


def test_a_pool_of_gpu_stages_is_refused_where_pytorch_sees_none(root, clone, monkeypatch):
    # Also on a machine that has one: PyTorch asks the driver no more than once.
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    compute(root, clone, "cuda")
    with pytest.raises(ParameterError, match=r"explain is for the pool big .* sees none here"):
        refuse_without_cuda(clone, "big")


def test_others_are_taken(root, clone, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    compute(root, clone, "cuda")
    refuse_without_cuda(clone, "small")
    compute(root, clone, "cpu")
    refuse_without_cuda(clone, "big")
