"""An audit of a network that a method cannot explain goes to the report, beside others."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

TINY, VIT = "phantom_skin-tiny", "phantom_skin-vit"
MODEL = """
architecture: timm:test_vit
input_size: [160, 160]
train:
  epochs: 1
"""


@pytest.fixture(scope="module")
def audited(warm_checkout):
    """The miniature checkout with a transformer beside its network, after `dvc repro`."""
    checkout = warm_checkout()
    folder = checkout.path / "classifiers" / "vit"
    folder.mkdir()
    (folder / "model.yaml").write_text(MODEL)
    tree = checkout.params()
    vit = {**tree["audits"][TINY], "classifier": "vit"}
    checkout.write_params({**tree, "audits": {**tree["audits"], VIT: vit}})
    checkout.repro()
    return checkout


def methods(checkout, audit):
    table = pq.read_table(checkout.path / "data" / "cohort" / "methods" / f"{audit}.parquet")
    return {row["method"]: row for row in table.to_pylist()}


def metrics(checkout):
    return json.loads((checkout.path / "reports/phantom_skin/metrics.json").read_text())


def test_what_cannot_be_explained_is_said_and_the_rest_is_measured(audited):
    found = methods(audited, VIT)
    assert found["gradcam"]["status"] == "not_applicable"
    assert "no convolutional block" in found["gradcam"]["reason"]
    assert found["gradcam"]["maps"] == 0
    assert found["rise"]["status"] == "explained"
    assert found["rise"]["maps"] > 0
    located = metrics(audited)[VIT]["localisation"]
    assert located["gradcam"] == {"n": None, "status": "not_applicable"}
    assert located["rise"]["n"] > 0
    page = (audited.path / "reports/phantom_skin/index.html").read_text()
    assert "Grad-CAM (not applicable)" in page
    gate = json.loads(
        (audited.path / f"reports/phantom_skin/quality/{VIT}/check_maps.json").read_text()
    )
    told = {rule["rule"]: rule for rule in gate["rules"]}["applicable"]
    assert gate["status"] == "warned"
    assert [row["method"] for row in told["offenders"]] == ["gradcam"]


def test_another_audit_is_as_without_it(audited, reproduced):
    own = {path: md5 for path, md5 in reproduced.outputs().items() if TINY in path}
    now = audited.outputs()
    assert own
    assert {path: now[path] for path in own} == own
    assert metrics(audited)[TINY] == metrics(reproduced)[TINY]
    assert {row["status"] for row in methods(audited, TINY).values()} == {"explained"}


def test_changing_an_audits_list_explains_the_pairs_concerned_alone(audited):
    tree = audited.params()
    vit = {**tree["audits"][VIT], "methods": ["rise"]}
    audited.write_params({**tree, "audits": {**tree["audits"], VIT: vit}})
    planned = json.loads(audited.audit("run", "--dry-run", "--json").stdout)["stages"]
    asked = {name: stage["why"] for name, stage in planned.items() if name.startswith("explain")}
    assert list(asked) == [f"explain@{VIT}-gradcam"]
    assert any("what is asked: gradcam.json" in why for why in asked[f"explain@{VIT}-gradcam"])
    ran = audited.repro()
    assert ran <= set(planned)
    assert {name for name in ran if name.startswith("explain")} == {f"explain@{VIT}-gradcam"}
    assert f"cohort@{VIT}" in ran
    assert not {name for name in ran if name.endswith(TINY)}
    before = {"ingest", "split", "check_inputs", "train_classifier", "predict", "check_models"}
    assert not {name for name in ran if name.partition("@")[0] in before}
    assert methods(audited, VIT)["gradcam"]["status"] == "not_asked"
    located = metrics(audited)[VIT]["localisation"]
    assert set(located) == {"rise"}
