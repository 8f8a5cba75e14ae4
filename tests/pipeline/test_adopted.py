"""A classifier with code from elsewhere, through the real stages: adopted, proven, explained."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch

from saliency_audit.models.reference import write_reference
from saliency_audit.models.trusted import trusted_network
from saliency_audit.models.weights import save_weights

AUDIT = "phantom_skin-theirs"
CODE = """
from torch import nn

class Theirs(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8, {labels})
        self.last = nn.Softmax(dim=1)

    def forward(self, images):
        return self.last(self.head(self.features(images).mean((2, 3))))
"""
MODEL = """
architecture: theirs
mean: [0, 0, 0]
std: [1, 1, 1]
adopt:
  labels: {labels}
  trusted_architecture: architecture.py
  i_trust_this_code: true
  outputs: probabilities
  reference: reference.safetensors
"""


@pytest.fixture(scope="module")
def adopted(warm_checkout, reproduced):
    """A checkout with an adopted classifier beside the miniature's own, after ``dvc repro``."""
    checkout = warm_checkout()
    labels = json.loads((reproduced.path / "data/ingest/phantom_skin/description.json").read_text())
    names = labels["labels"]
    folder = checkout.path / "classifiers" / "theirs"
    folder.mkdir()
    (folder / "architecture.py").write_text(CODE.format(labels=len(names)))
    (folder / "model.yaml").write_text(MODEL.format(labels=json.dumps(names)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = trusted_network(folder / "architecture.py", True).eval()
        images = (torch.rand(6, 3, *labels["size"]) * 255).round() / 255
    save_weights(folder / "weights.safetensors", network.state_dict())
    with torch.no_grad():
        outputs = network(images)
    write_reference(folder / "reference.safetensors", images, outputs, names, "probabilities")
    tree = checkout.params()
    audit = {"dataset": "phantom_skin", "classifier": "theirs", "images": 8}
    # A random network may say anything: that is not what is looked at here.
    models = {**tree["quality"]["models"], "severity": {"not_below_chance": "warn"}}
    maps = {**tree["quality"]["maps"], "zero_map": 1.0, "constant_map": 1.0, "set_aside": 1.0}
    quality = {**tree["quality"], "models": models, "maps": maps}
    checkout.write_params({**tree, "audits": {**tree["audits"], AUDIT: audit}, "quality": quality})
    checkout.repro("report@phantom_skin")
    return checkout


def test_it_is_explained_and_reported(adopted):
    page = (adopted.path / "reports/phantom_skin/index.html").read_text("utf-8")
    assert "proven by 6 of its owner" in page
    for method in ("gradcam", "rise"):
        rows = pq.read_table(adopted.path / f"data/explain/{AUDIT}/{method}.parquet")
        assert rows.num_rows > 0
    metrics = json.loads((adopted.path / "reports/phantom_skin/metrics.json").read_text())
    assert metrics[AUDIT]["adopted_without_proof"] == 0
    assert "adopted_without_proof" not in metrics["phantom_skin-tiny"]


def test_its_folders_are_as_they_were(adopted):
    artifact = {path.name for path in (adopted.path / f"data/train_classifier/{AUDIT}").rglob("*")}
    assert artifact == {
        *("architecture.py", "history.parquet", "model.json", "model.yaml"),
        "weights.safetensors",
    }
    registry = {path.name for path in (adopted.path / "classifiers/theirs").rglob("*")}
    assert not [name for name in registry if "pyc" in name]
