"""Classifiers from their specification: fresh, adopted, and with code from elsewhere."""

import pytest
import torch

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import adopted_classifier, fresh_classifier, with_weights
from saliency_audit.models.architectures import build
from saliency_audit.models.specification import parse_specification
from saliency_audit.models.trusted import trusted_network
from saliency_audit.models.weights import save_weights

SIZE = (16, 16)
IMAGES = torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))

#: An architecture.py as an XAIMed task folder holds one.
ARCHITECTURE = """
import torch
from torch import nn

class IdcNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))
"""


def specification(architecture="cnn", **adopt):
    return parse_specification(
        {"architecture": architecture, "mean": [0.4] * 3, "adopt": {"labels": ["a", "b"]} | adopt},
        "model.yaml",
    )


@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pt"])
@pytest.mark.parametrize("architecture", ["cnn", "resnet18"])
def test_an_adopted_classifier_gives_the_scores_of_its_network(tmp_path, file, architecture):
    network = build(architecture, 2, SIZE if architecture == "cnn" else (32, 32), seed=9).eval()
    if file.endswith(".pt"):
        torch.save({"state_dict": network.state_dict()}, tmp_path / file)
    else:
        save_weights(tmp_path / file, network.state_dict())
    images = IMAGES if architecture == "cnn" else torch.rand(2, 3, 32, 32)
    found = adopted_classifier(
        specification(architecture, weights=file, labels=["b", "a"]),
        tmp_path,
        ("a", "b"),
        Labelling.MULTICLASS,
        tuple(images.shape[-2:]),
    )
    assert found.labels == ("b", "a")  # in the order of its outputs, not the dataset's
    assert not found.training
    torch.testing.assert_close(found(images), network((images - 0.4) / 0.25), rtol=0, atol=1e-6)


def test_labels_other_than_the_datasets_are_named(tmp_path):
    save_weights(tmp_path / "weights.safetensors", build("cnn", 2, SIZE).state_dict())
    with pytest.raises(ModelError, match=r"lacks \['c'\] and names \['b'\]"):
        adopted_classifier(specification(), tmp_path, ("a", "c"), Labelling.MULTICLASS, SIZE)


def test_weights_of_another_network_or_size_are_refused(tmp_path):
    save_weights(tmp_path / "weights.safetensors", build("cnn", 2, (20, 20)).state_dict())
    with pytest.raises(ModelError, match="not of architecture cnn"):
        adopted_classifier(specification(), tmp_path, ("a", "b"), Labelling.MULTICLASS, SIZE)


def test_each_kind_of_specification_has_its_builder(tmp_path):
    train = parse_specification({"architecture": "cnn", "train": {}}, "model.yaml")
    with pytest.raises(ParameterError, match="this classifier is trained here"):
        adopted_classifier(train, tmp_path, ("a", "b"), Labelling.MULTICLASS, SIZE)
    with pytest.raises(ParameterError, match="this classifier is adopted"):
        fresh_classifier(specification(), ("a", "b"), Labelling.MULTICLASS, SIZE)


@pytest.mark.parametrize(
    ("labelling", "labels", "outputs"),
    [
        (Labelling.BINARY, ("no", "yes"), 1),
        (Labelling.MULTICLASS, ("a", "b", "c"), 3),
        (Labelling.MULTILABEL, ("a", "b", "c"), 3),
    ],
)
def test_a_fresh_classifier_has_the_outputs_of_its_labelling(labelling, labels, outputs):
    train = parse_specification({"architecture": "cnn", "train": {"seed": 4}}, "model.yaml")
    found = fresh_classifier(train, labels, labelling, SIZE)
    assert found.network.fc2.out_features == outputs
    scores = found.eval()(IMAGES)
    assert scores.shape == (3, len(labels))
    if labelling is Labelling.BINARY:
        assert torch.equal(scores[:, 0], -scores[:, 1])
    again = with_weights(
        train, None, found.network.state_dict(), labels=labels, labelling=labelling, image_size=SIZE
    )
    assert torch.equal(again(IMAGES), scores)


def test_the_input_size_of_the_specification_goes_before_that_of_the_images():
    train = parse_specification(
        {"architecture": "cnn", "input_size": [8, 12], "train": {}}, "model.yaml"
    )
    found = fresh_classifier(train, ("a", "b"), Labelling.MULTICLASS, SIZE)
    assert found.network.fc1.in_features == 32 * 2 * 3
    assert found.eval()(IMAGES).shape == (3, 2)


def xaimed_folder(folder, code=ARCHITECTURE):
    (folder / "architecture.py").write_text(code, encoding="utf-8")
    network = trusted_network(folder / "architecture.py", True)
    torch.save(network.state_dict(), folder / "weights.pt")
    return network.eval()


def test_a_task_folder_of_xaimed_is_adopted_where_its_code_is_trusted(tmp_path):
    network = xaimed_folder(tmp_path)
    found = adopted_classifier(
        specification(
            "idc",
            weights="weights.pt",
            labelling="binary",
            trusted_architecture="architecture.py",
            i_trust_this_code=True,
        ),
        tmp_path,
        ("a", "b"),
        Labelling.BINARY,
        SIZE,
    )
    outputs = network((IMAGES - 0.4) / 0.25)
    torch.testing.assert_close(found(IMAGES), torch.cat([-outputs, outputs], 1), rtol=0, atol=1e-6)


def test_code_runs_only_where_it_is_trusted(tmp_path):
    path = tmp_path / "architecture.py"
    path.write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w')\n{ARCHITECTURE}", encoding="utf-8")
    with pytest.raises(ParameterError, match="i_trust_this_code"):
        trusted_network(path, False)
    assert not (tmp_path / "it_ran").exists()
    trusted_network(path, True)
    assert (tmp_path / "it_ran").exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1", "defines 0 networks"),
        (ARCHITECTURE + "\nclass Other(nn.Module): pass", "defines 2 networks"),
        ("def build(): return 3", r"gives no torch\.nn\.Module"),
        ("1 / 0", "failed: ZeroDivisionError"),
        ("def build(: pass", "failed: SyntaxError"),
    ],
)
def test_code_that_gives_no_network_is_named(tmp_path, code, said):
    path = tmp_path / "architecture.py"
    path.write_text(code, encoding="utf-8")
    with pytest.raises(ModelError, match=rf"architecture\.py.*{said}"):
        trusted_network(path, True)


def test_build_chooses_among_several_networks(tmp_path):
    code = ARCHITECTURE + "\nclass Part(nn.Module): pass\ndef build(): return IdcNet()"
    assert xaimed_folder(tmp_path, code)(IMAGES).shape == (3, 1)


def test_trusted_code_that_is_missing_or_of_other_outputs_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"architecture\.py is missing"):
        trusted_network(tmp_path / "architecture.py", True)
    xaimed_folder(tmp_path)
    with pytest.raises(ModelError, match=r"gives \(4, 1\) .*\(4, 2\) is wanted"):
        adopted_classifier(
            specification(
                "idc",
                weights="weights.pt",
                trusted_architecture="architecture.py",
                i_trust_this_code=True,
            ),
            tmp_path,
            ("a", "b"),
            Labelling.MULTICLASS,
            SIZE,
        )
    code = ARCHITECTURE.replace(
        "return self.head", "assert x.shape[2] > 99\n        return self.head"
    )
    xaimed_folder(tmp_path, code)
    with pytest.raises(ModelError, match="cannot read images of 16x16"):
        adopted_classifier(
            specification(
                "idc",
                weights="weights.pt",
                labelling="binary",
                trusted_architecture="architecture.py",
                i_trust_this_code=True,
            ),
            tmp_path,
            ("a", "b"),
            Labelling.BINARY,
            SIZE,
        )
