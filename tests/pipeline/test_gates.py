"""Quality gates in a real audit: what a bound reruns, and what a stop stops."""

from __future__ import annotations

import json

import pytest

from tasks.stages import gates
from tests.pipeline.conftest import Checkout

DATASET, AUDIT = "phantom_skin", "phantom_skin-tiny"
GATES = {f"{gate.name}@{AUDIT if 'audit' in gate.arguments else DATASET}" for gate, _ in gates()}


pytestmark = pytest.mark.usefixtures("one_server")


@pytest.fixture(scope="module")
def audited(reproduced, copied) -> Checkout:
    return copied(reproduced)


def result(checkout: Checkout, name: str, *audit: str) -> dict:
    path = checkout.path.joinpath("reports", DATASET, "quality", *audit, f"{name}.json")
    return json.loads(path.read_text())


def turned(checkout: Checkout, gate: str, **values: object) -> None:
    tree = checkout.params()
    tree["quality"][gate] |= values
    checkout.write_params(tree)


def test_every_gate_ran_and_left_its_result(audited):
    states = {
        result(audited, "check_inputs")["status"],
        *(result(audited, n, AUDIT)["status"] for n in ("check_models", "check_maps")),
        result(audited, "check_results", AUDIT)["status"],
    }
    assert states <= {"passed", "warned"}
    assert set(audited.lock()) >= GATES


def test_a_turned_bound_reruns_its_gate_and_the_report_that_prints_it(audited):
    turned(audited, "inputs", mask_full=0.25)
    assert audited.repro() == {f"check_inputs@{DATASET}", f"report@{DATASET}"}
    rules = {rule["rule"]: rule for rule in result(audited, "check_inputs")["rules"]}
    assert rules["mask_full"]["bound"] == 0.25


def test_a_gate_that_stops_ends_what_follows_with_exit_code_4(audited):
    before = audited.lock()
    page = (audited.path / "reports" / DATASET / "index.html").read_bytes()
    # No probability is 0: no model passes, however good.
    turned(audited, "models", chance=0.0, severity={"better_than_chance": "stop"})
    found = audited.audit("run", "--json", check=False)
    assert found.returncode == 4, found.stderr
    stages = json.loads(found.stdout)["stages"]
    assert stages[f"check_models@{AUDIT}"]["state"] == "stopped"
    assert "better_than_chance" in stages[f"check_models@{AUDIT}"]["error"]
    assert "better_than_chance" in found.stderr
    assert result(audited, "check_models", AUDIT)["status"] == "stopped"
    assert audited.lock() == before
    assert not (audited.path / "data" / "check_models" / AUDIT / "passed.json").exists()
    # What follows is as it was: it did not run, and it is not up to date either.
    assert (audited.path / "reports" / DATASET / "index.html").read_bytes() == page
    again = audited.audit("run", check=False)
    assert again.returncode == 4


def test_the_pages_show_what_stopped_it_and_load_nothing(audited):
    found = audited.audit("docs")
    index = audited.path / "reports" / "data_docs" / "index.html"
    assert str(index) in found.stderr.replace("\n", "")
    assert "1 stopped" in index.read_text()
    page = index.parent / "check_models" / AUDIT / "chance.html"
    assert "Classifier and segmenter are better than chance" in page.read_text()
    for path in index.parent.rglob("*.html"):
        assert "http" not in path.read_text().replace("http-equiv", ""), path
        assert "<script" not in path.read_text(), path


def test_when_the_bound_is_back_the_audit_goes_on(audited):
    turned(audited, "models", chance=0.05, severity={})
    stages = json.loads(audited.audit("run", "--json").stdout)["stages"]
    assert stages[f"check_models@{AUDIT}"]["state"] in ("ran", "cached")
    assert stages.get(f"explain@{AUDIT}-rise", {"state": "unchanged"})["state"] == "unchanged"
    assert audited.repro() == set()


def test_an_unknown_rule_or_bound_is_refused_before_anything_runs(audited):
    for gate, values, word in (
        ("inputs", {"mask_ful": 0.1}, "mask_full"),
        ("maps", {"zero_map": 7}, "zero_map"),
        ("maps", {"severity": {"zero_map": "ignore"}}, "severity"),
    ):
        before = audited.params()
        turned(audited, gate, **values)
        found = audited.audit("run", check=False)
        audited.write_params(before)
        assert found.returncode == 2, found.stderr
        assert word in found.stderr
