"""A wrong parameter is named, with the nearest right one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import yaml

from flows.ground.parameters import check_parameters
from saliency_audit.errors import ParameterError
from tasks.params import build, load, read_tree


@dataclass(frozen=True)
class Inner:
    depth: int


@dataclass(frozen=True)
class Outer:
    inner: Inner | None = None


@pytest.fixture
def tree(root):
    return read_tree(root / "params.yaml")


@pytest.fixture
def checkout(root, tmp_path, tree):
    """A checkout in which params.yaml may be spoiled; the rest is the real one."""
    for name in ("classifiers", "saliency_audit"):
        (tmp_path / name).symlink_to(root / name)

    def write(changed):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed))
        return tmp_path

    return write


def test_the_committed_parameters_are_in_order(root):
    check_parameters(root)


def spoil(tree, path, value):
    *parents, last = path.split("/")
    node = tree
    for part in parents:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return tree


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("comput", {}, "unknown key comput: did you mean compute"),
        ("compute/thread", 1, "unknown key compute.thread: did you mean threads"),
        ("compute/threads", 0, "compute.threads is 0"),
        ("compute/batch", "many", "compute.batch"),
        ("compute/device", "gpu", "compute.device"),
        ("compute/threads", True, "compute.threads is True: give a whole number, 1 or more"),
        ("compute/threads", "3", "compute.threads is '3'"),
        ("compute/channels_last", 1, "compute.channels_last is 1: give true or false"),
        ("measures/kept_fraction", float("nan"), "measures.kept_fraction is nan: give a number"),
        ("quality/drift/psi", float("inf"), "quality.drift.psi is inf"),
        ("quality/inputs/mask_full", "0.1", "quality.inputs.mask_full is '0.1'"),
        ("split/seed", -1, "split.seed is -1: give 0 or more"),
        ("datasets/phantom_skin/size", [64, float("nan")], "datasets.phantom_skin.size is"),
        ("audits", {"a.b": {"dataset": "phantom_skin"}}, "audits has the name 'a.b'"),
        ("method/lime/sampels", 5, "method.lime.*sampels.*samples"),
        ("method/lime/samples", 0, "method.lime.*samples"),
        ("methods", ["gradcam", "rize"], "unknown key methods: method.rize: did you mean rise"),
        ("methods", [], "methods is empty"),
        ("methods", "rise", "methods is 'rise': give a list"),
        ("method/sharp", {}, "method.sharp"),
        ("split/by", "patient", "split.by"),
        ("split/train", 71, "split"),
        ("measures/kept_fraction", 0, "kept_fraction"),
        ("measures", None, "lacks the key measures"),
        ("predict/splits", [], "splits is empty"),
        ("agreement/methods", ["lime", "other"], "agreement: preset is xaimed"),
        (
            "agreement",
            {"preset": None, "methods": ["lmie"]},
            "agreement.methods.*did you mean lime",
        ),
        ("audits/phantom_skin-cnn/methods", ["gradcamm"], "methods.gradcamm: did you mean gradcam"),
        ("audits/phantom_skin-cnn/methods", [], "methods is empty"),
        ("audits/phantom_skin-cnn/dataset", "phantom_skim", "did you mean phantom_skin"),
        ("audits/phantom_skin-cnn/classifier", "resnet81", "did you mean resnet18"),
        ("audits/phantom_skin-cnn/images", 0, "images is 0"),
        ("audits/phantom_chest-cnn", None, "no audit uses the dataset phantom_chest"),
        ("datasets/phantom_skin/kind", "phantom_skn", "did you mean phantom_skin"),
        ("datasets/phantom_skin/imagse", 5, "datasets.phantom_skin.imagse: did you mean images"),
        ("datasets/phantom_skin/source", "nowhere", "nowhere is not there"),
        ("segmenter/ephocs", 3, "segmenter.ephocs: did you mean epochs"),
        ("report/gallery", -1, "gallery is -1"),
    ],
)
def test_a_spoiled_parameter_is_named(checkout, tree, path, value, message):
    with pytest.raises(ParameterError, match=message):
        check_parameters(checkout(spoil(tree, path, value)))


def test_every_task_names_a_wrong_top_level_key(tmp_path, tree):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**tree, "mesures": {}}))
    with pytest.raises(ParameterError, match="mesures: did you mean measures"):
        load(["compute"], tmp_path / "params.yaml")


def test_yaml_that_is_none_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParameterError, match="not valid YAML"):
        read_tree(tmp_path / "params.yaml")


def test_a_nested_dataclass_is_checked_too():
    assert build(Outer, {"inner": {"depth": 2}}, "outer") == Outer(Inner(2))
    with pytest.raises(ParameterError, match=r"outer\.inner\.dept"):
        build(Outer, {"inner": {"dept": 2}}, "outer")
