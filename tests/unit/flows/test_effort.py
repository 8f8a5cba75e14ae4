"""The guess at what a stage computes: counted by hand, and of no other stage than ours."""

from __future__ import annotations

import pytest
import yaml

from flows.execution.effort import Efforts


@pytest.fixture
def checkout(tmp_path):
    """Two classifiers, trained for 4 and 3 epochs, and one that is adopted."""
    models = {
        "small": {"architecture": "cnn", "train": {"epochs": 4}},
        "deep": {"architecture": "resnet18", "train": {"epochs": 3}},
        "given": {"architecture": "cnn", "adopt": {"labels": ["a", "b"]}},
    }
    for name, model in models.items():
        (tmp_path / "classifiers" / name).mkdir(parents=True)
        path = tmp_path / "classifiers" / name / "model.yaml"
        path.write_text(yaml.safe_dump(model))
    return tmp_path


TREE = {
    "datasets": {"drawn": {"images": 50}, "real": {}},
    "audits": {
        "drawn-small": {"dataset": "drawn", "classifier": "small", "images": 10},
        "drawn-deep": {"dataset": "drawn", "classifier": "deep", "images": 10},
        "real-given": {"dataset": "real", "classifier": "given", "methods": ["rise"]},
    },
    "method": {"gradcam": {}, "rise": {"samples": 64}},
    "segmenter": {"epochs": 2},
}


@pytest.mark.parametrize(
    ("cmd", "passes"),
    [
        # Epochs, images, and a backward pass as two forward ones.
        ("tasks.train_classifier drawn-small", 4 * 50 * 3),
        ("tasks.train_classifier drawn-deep", 3 * 50 * 3 * 5),
        ("tasks.train_classifier real-given", 0),
        ("tasks.train_segmenter drawn", 2 * 50 * 3 * 5),
        ("tasks.explain drawn-small gradcam", 10 * 3),
        ("tasks.explain drawn-small rise", 10 * 64),
        ("tasks.explain drawn-deep rise", 10 * 64 * 5),
        ("tasks.explain real-given rise", 1000 * 64),
        ("tasks.explain real-given gradcam", 0),
        ("tasks.split drawn", 0),
        ("tasks.explain drawn-small", 0),
    ],
)
def test_passes_are_those_counted_by_hand(checkout, cmd, passes):
    assert Efforts(checkout, TREE).of(f"python -m {cmd}") == passes


@pytest.mark.parametrize("cmd", [None, "", "python", "make x", ["python -m tasks.explain", "ls"]])
def test_a_stage_of_somebodys_own_has_none(checkout, cmd):
    assert Efforts(checkout, TREE).of(cmd) == 0
