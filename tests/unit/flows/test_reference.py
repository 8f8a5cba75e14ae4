"""`saliency-audit reference`: a reference written from a table, tried, and refused."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from flows.cli.reference import say_reference
from saliency_audit.models.architectures import build
from saliency_audit.models.weights import save_weights

LABELS = ["naevus", "melanoma", "wart"]
SIDE = 24
MEAN, STD = 0.4, 0.2


@pytest.fixture
def owned(tmp_path):
    """A folder of classifiers/, images and the owner's table, made with torch alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build("cnn", len(LABELS), (SIDE, SIDE)).eval()
    folder = tmp_path / "classifiers" / "mine"
    folder.mkdir(parents=True)
    save_weights(folder / "weights.safetensors", network.state_dict())
    write_model(folder, LABELS)
    pictures = tmp_path / "images"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
        inputs = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            rows.append([f"{number}.png", *network((inputs - MEAN) / STD)[0].tolist()])
    return tmp_path, write_table(tmp_path, rows)


def write_model(folder, labels, reference=None):
    adopt = {"labels": labels, "labelling": "multiclass", "outputs": "scores"}
    if reference:
        adopt["reference"] = reference
    model = {"description": "theirs", "architecture": "cnn", "input_size": [SIDE, SIDE]}
    model |= {"mean": [MEAN] * 3, "std": [STD] * 3, "adopt": adopt}
    (folder / "model.yaml").write_text(yaml.safe_dump(model))


def write_table(folder, rows):
    path = folder / "outputs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["image", *LABELS], *rows])
    return path


def say(root, table=None):
    images = None if table is None else root / "images"
    return say_reference(root, "mine", images, table, False)


def test_what_a_table_says_is_written_and_proves_the_model(owned, capsys):
    root, table = owned
    folder = root / "classifiers" / "mine"
    assert say(root, table) == 0
    assert "write reference: reference.safetensors under adopt" in capsys.readouterr().err
    write_model(folder, LABELS, "reference.safetensors")
    assert say(root) == 0
    assert "is its owner's" in capsys.readouterr().err
    write_model(folder, LABELS[1:] + LABELS[:1], "reference.safetensors")
    assert say(root) == 3
    assert f"labels: [{', '.join(LABELS)}]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["../secret.png", 1, 2, 3]], "leads out of"),
        ([["12.png", 1, 2, 3]], "12.png cannot be read"),
        ([["0.png", 1, 2, "high"]], "is no table of outputs"),
        ([["0.png", 1, 2, "nan"]] * 4, "hold NaN"),
        ([["0.png", 1, 2]], "is no table of outputs"),
        ([], "holds no rows"),
    ],
)
def test_a_wrong_table_is_refused_and_nothing_is_written(owned, capsys, rows, said):
    root, _ = owned
    assert say(root, write_table(root, rows)) in (2, 3)
    assert said in capsys.readouterr().err
    assert not list(root.rglob("reference.safetensors"))


def test_images_of_several_sizes_and_half_a_question_are_refused(owned, capsys):
    root, table = owned
    assert say_reference(root, "mine", None, table, False) == 2
    assert "give both" in capsys.readouterr().err
    assert say(root) == 2
    assert "names no reference" in capsys.readouterr().err
    Image.new("RGB", (SIDE, SIDE + 1)).save(root / "images" / "3.png")
    assert say(root, table) in (2, 3)
    assert "several sizes" in capsys.readouterr().err
