"""Third parties' code in the stages: pinned by what is really there, and run as it is pinned."""

from __future__ import annotations

import json
import shutil

import pytest

from flows.ground.parameters import check_parameters
from saliency_audit.errors import ParameterError
from tasks import places
from tasks.code import choosing, code_texts
from tasks.params import read_tree
from tasks.pins import LOCK, check_pin, read_pins
from tasks.plugins import check_pins, used, write_pins
from tests.invented_plugin import FILES

THEIRS = {
    places.code("ingest", "discs"),
    places.code("train_classifier", "discs-theirs"),
    places.code("explain", "their_gradient"),
    places.code("explain", "doubled"),
}


def test_a_plugin_is_in_the_code_of_the_stages_that_use_it_and_of_no_other(
    installed, checkout, tree
):
    place = installed()
    assert len(write_pins(checkout, tree)) == len(THEIRS)
    first = code_texts(checkout, tree)
    pins = read_pins(checkout)
    assert {places.code(s, name) for s, own in pins.items() for name in own} == THEIRS
    for path in THEIRS:
        (line,) = [line for line in first[path].splitlines() if "their-saliency" in line]
        digest, name = line.split()
        assert len(digest) == 64
        assert name.startswith("their-saliency==1.0:their_")
    assert not [p for p, text in first.items() if "their-saliency" in text and p not in THEIRS]
    # What it imports of this repository counts as if it stood here; another method does not.
    text = first[places.code("explain", "their_gradient")]
    assert "saliency_audit.attribution.method\n" in text
    assert "saliency_audit.attribution.rise\n" not in text

    module = place / "their_saliency" / "gradient.py"
    module.write_text(module.read_text().replace("amax(dim=0)", "sum(dim=0)"))
    with pytest.raises(ParameterError, match=r"tasks/plugins\.lock differs .* run `python -m"):
        check_pins(checkout, tree)
    assert code_texts(checkout, tree) == first
    write_pins(checkout, tree)
    check_pins(checkout, tree)
    second = code_texts(checkout, tree)
    assert {path for path in first if first[path] != second[path]} == THEIRS


def test_two_distributions_rerun_apart(installed, checkout, tree):
    gradient = {
        "saliency_audit.methods": {"their_gradient": "their_saliency.gradient:TheirGradient"}
    }
    installed("one", entries=gradient)
    net = {"their_net_alone/__init__.py": FILES["their_saliency/net.py"]}
    entries = {"saliency_audit.architectures": {"their_net": "their_net_alone:TheirNet"}}
    other = installed("two", distribution="their-net", files=net, entries=entries)
    del tree["datasets"]["discs"], tree["audits"]["discs-theirs"]
    tree["audits"]["phantom_skin-theirs"] = {"dataset": "phantom_skin", "classifier": "theirs"}
    write_pins(checkout, tree)
    first = code_texts(checkout, tree)
    (other / "their_net_alone" / "__init__.py").write_text(FILES["their_saliency/net.py"] + "\n#\n")
    write_pins(checkout, tree)
    second = code_texts(checkout, tree)
    changed = {path for path in first if first[path] != second[path]}
    assert changed == {places.code("train_classifier", "phantom_skin-theirs")}


def test_another_version_is_another_plugin(installed, checkout, tree):
    place = installed()
    write_pins(checkout, tree)
    metadata = place / "their_saliency-1.0.dist-info"
    metadata.joinpath("METADATA").write_text(
        metadata.joinpath("METADATA").read_text().replace("1.0", "1.1")
    )
    installed("nowhere", distribution="unrelated", files={}, entries={})
    with pytest.raises(
        ParameterError, match=r"their-saliency 1\.1 .*it has .*their-saliency==1\.0"
    ):
        check_pins(checkout, tree)


def test_check_names_what_is_not_pinned(installed, checkout, tree):
    installed()
    (checkout / "params.yaml").write_text(
        (checkout / "params.yaml").read_text().replace("their_discs", "their_discs\n    source: .")
    )
    tree["datasets"]["discs"]["source"] = "."
    with pytest.raises(ParameterError, match=r"discs of ingest is .*is not in it"):
        check_parameters(checkout)
    write_pins(checkout, tree)
    check_parameters(checkout)


def test_a_checkout_without_plugins_has_no_lock(root, installed, checkout):
    installed()
    tree = read_tree(root / "params.yaml")
    (checkout / LOCK).write_text("explain: {}\n")
    shutil.copytree(root / "classifiers", checkout / "classifiers", dirs_exist_ok=True)
    assert used(checkout, tree) == {}
    assert write_pins(checkout, tree) == []
    assert not (checkout / LOCK).exists()
    assert set(choosing()) == {"ingest", "train_classifier", "explain"}
    check_pins(checkout, tree)


def test_a_lock_that_is_none_is_named(checkout):
    (checkout / LOCK).write_text("explain: [1]\n")
    with pytest.raises(ParameterError, match=r"plugins\.lock cannot be read .*python -m tasks"):
        read_pins(checkout)


def test_what_is_no_plugin_needs_no_pin(checkout):
    assert check_pin("explain", "rise", None, checkout) is None
    assert json.dumps(read_pins(checkout)) == "{}"
