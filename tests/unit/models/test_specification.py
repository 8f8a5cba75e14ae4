"""model.yaml: what may stand in it, and what is said of anything else."""

import re
from pathlib import Path

import pytest

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.specification import (
    AdoptSpecification,
    TrainSpecification,
    parse_specification,
    read_specification,
)
from saliency_audit.plain_yaml import parse_yaml


def parse(text):
    return parse_specification(parse_yaml(text), "model.yaml")


def registry(root: Path):
    return sorted((root / "classifiers").glob("*/model.yaml"))


def test_every_classifier_of_the_registry_is_read_and_every_number_explained(root):
    files = registry(root)
    assert {path.parent.name for path in files} >= {"cnn", "resnet18", "resnet50", "densenet121"}
    for path in files:
        assert read_specification(path).train is not None
        lines = path.read_text(encoding="utf-8").splitlines()
        bare = [line for line in lines if re.search(r": [\d.]+$", line) and "seed" not in line]
        assert not bare, f"{path}: no comment on {bare}"


def test_the_examples_of_the_registry_are_read(root):
    text = (root / "classifiers" / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    adopted = [parse(example).adopt for example in examples]
    assert len(adopted) == 2
    assert adopted[0].labels[-1] == "vasc" and adopted[1].labelling is Labelling.BINARY


def test_train_alone_means_its_defaults():
    assert parse("architecture: cnn\ntrain:").train == TrainSpecification()


def test_what_is_written_is_what_is_read():
    given = parse(
        """
        architecture: timm:resnet10t
        input_size: [64, 48]
        mean: [0.1, 0.2, 0.3]
        std: [0.4, 0.5, 0.6]
        train: {epochs: 3, learning_rate: 1e-4, optimiser: sgd, pretrained: true,
                class_weights: none, augmentation: {rotation: 5}}
        """
    )
    assert given.input_size == (64, 48) and given.mean == (0.1, 0.2, 0.3)
    assert given.train == TrainSpecification(
        epochs=3,
        learning_rate=1e-4,
        optimiser="sgd",
        pretrained=True,
        class_weights="none",
        augmentation=Augmentation(rotation=5),
    )
    assert given.adopt is None
    assert parse("{architecture: cnn, train: {augmentation: off}}").train.augmentation is False


def test_adoption_reads_its_labels_in_order():
    given = parse("{architecture: cnn, adopt: {labels: [b, a], weights: w.pt, labelling: binary}}")
    assert given.adopt == AdoptSpecification(("b", "a"), "w.pt", Labelling.BINARY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("architecture: cnn", "neither of train and adopt"),
        ("{architecture: cnn, train: {}, adopt: {labels: [a, b]}}", "both of train and adopt"),
        ("{architecture: cnn, trian: {}}", "unknown key trian: did you mean train?"),
        (
            "{architecture: cnn, train: {epoch: 3}}",
            r"unknown key train\.epoch: did you mean epochs",
        ),
        (
            "{architecture: cnn, train: {augmentation: {rotate: 3}}}",
            r"train\.augmentation\.rotate: did you mean rotation",
        ),
        ("{architecture: cnn, adopt: {labels: [a, b], wieghts: w}}", "did you mean weights"),
        ("{train: {}}", "architecture"),
        ("{architecture: '', train: {}}", "architecture is empty"),
        ("{architecture: cnn, train: {epochs: 0}}", "epochs is 0: give 1 or more"),
        ("{architecture: cnn, train: {epochs: many}}", r"train\.epochs"),
        ("{architecture: cnn, train: {epochs: 3.0}}", r"train\.epochs is 3\.0: give a whole"),
        ("{architecture: cnn, train: {epochs: true}}", r"train\.epochs is True"),
        ("{architecture: cnn, train: {epochs: '3'}}", r"train\.epochs is '3'"),
        ("{architecture: cnn, train: {learning_rate: .nan}}", r"train\.learning_rate is nan"),
        ("{architecture: cnn, train: {weight_decay: .inf}}", r"train\.weight_decay is inf"),
        ("{architecture: cnn, train: {optimiser: adagrad}}", r"train\.optimiser"),
        ("{architecture: cnn, train: {weight_cap: 0.5}}", "weight_cap is 0.5"),
        ("{architecture: cnn, train: {augmentation: {shift: 2}}}", "shift is 2"),
        ("{architecture: cnn, train: {augmentation: 3}}", "augmentation"),
        ("{architecture: cnn, train: 3}", "train"),
        ("{architecture: cnn, train: {}, input_size: [2, 2]}", "input_size is"),
        ("{architecture: cnn, train: {}, input_size: 64}", "input_size"),
        ("{architecture: cnn, train: {}, mean: [127, 127, 127]}", "mean is"),
        ("{architecture: cnn, train: {}, std: [0, 0.2, 0.2]}", "std is"),
        ("{architecture: cnn, adopt: {labels: [a]}}", "two or more"),
        ("{architecture: cnn, adopt: {labels: [a, a]}}", "give each once"),
        (
            "{architecture: cnn, adopt: {labels: [a, b], weights: ../w.pt}}",
            "lies beside model.yaml",
        ),
        (
            "{architecture: cnn, adopt: {labels: [a, b], trusted_architecture: a.py}}",
            "i_trust_this_code: true",
        ),
        ("{architecture: cnn, adopt: {}}", r"adopt\S*labels"),
        ("[1, 2]", "holds no keys"),
        ("", "holds no keys"),
    ],
)
def test_anything_else_is_named_with_its_file(text, said):
    with pytest.raises(ParameterError, match=rf"model\.yaml.*{said}"):
        parse(text)


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"model\.yaml is missing"):
        read_specification(tmp_path / "model.yaml")
    (tmp_path / "model.yaml").write_text("train: [", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"model\.yaml is not valid YAML"):
        read_specification(tmp_path / "model.yaml")
    (tmp_path / "model.yaml").write_bytes(b"\xff\xfe\x00train")
    with pytest.raises(ParameterError, match=r"model\.yaml is not valid YAML"):
        read_specification(tmp_path / "model.yaml")
