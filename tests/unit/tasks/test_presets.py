"""``preset: paper`` is the papers' setting in one line."""

from __future__ import annotations

import pytest
import yaml

from saliency_audit.attribution.registry import method_from_parameters
from saliency_audit.errors import ParameterError
from tasks.params import check_declared, load, read_tree


@pytest.fixture
def params(root, tmp_path):
    """Give a function that writes params.yaml with changes, and gives its path."""

    def write(**changes):
        tree = yaml.safe_load((root / "params.yaml").read_text())
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump({**tree, **changes}))
        return path

    return write


def test_one_line_makes_every_method_as_the_papers_do(params):
    tree = read_tree(params(preset="paper"))
    check_declared(tree, tree)
    assert tree["split"]["by"] == "image"
    made = {name: method_from_parameters(name, own) for name, own in tree["method"].items()}
    for name in ("gradcam", "gradcam_plus_plus"):
        assert (made[name].block, made[name].placement) == ("last_block", "stretched")
    assert (made["lime"].samples, made["lime"].design) == (1000, "independent")
    assert (made["rise"].samples, made["rise"].estimator) == (4000, "plain")
    assert (made["shap"].samples, made["shap"].design) == (200, "independent")


def test_methods_of_other_names_and_libraries_take_part(params):
    own = {"cam": {"class": "layercam"}, "theirs": {"class": "captum:LayerGradCam"}, "rise": {}}
    path = params(preset="paper", methods=list(own), method=own, agreement={"preset": "xaimed"})
    found = read_tree(path)["method"]
    assert found["cam"] == {"class": "layercam", "block": "last_block", "placement": "stretched"}
    assert found["theirs"]["placement"] == "stretched"


def test_the_default_changes_nothing_and_others_are_refused(params, root):
    assert read_tree(params()) == yaml.safe_load((root / "params.yaml").read_text())
    with pytest.raises(ParameterError, match=r"preset is 'papers'.*paper"):
        load(["preset"], params(preset="papers"))


def test_what_is_wrong_beside_a_preset_is_still_named(params):
    broken = {"rise": {"sampels": 3}, "nothing": None}
    tree = read_tree(params(preset="paper", method=broken))
    with pytest.raises(ParameterError, match="sampels"):
        check_declared(tree, ["method.rise"])
    with pytest.raises(ParameterError, match="nothing"):
        check_declared(tree, ["method.nothing"])
