"""What an audit asks of a method, and what comes of it, from params.yaml to the cohort."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from saliency_audit.attribution.registry import method_digest, with_block
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.progress import silent
from tasks import places
from tasks.artifacts import write_json
from tasks.audits import AgreementParameters
from tasks.pairs import (
    Asked,
    Outcome,
    PairStatus,
    explaining,
    read_asked,
    read_outcomes,
    write_outcome,
)
from tasks.params import Parameters
from tasks.scope import STAGE
from tasks.stage import Context
from tests.invented_project import CELLS, Project

METHODS = {"gradcam": {}, "rise": {}, "layer": {"class": "captum:LayerGradCam"}}


def scope(audits, folder, monkeypatch):
    monkeypatch.chdir(folder)
    tree = {"preset": "default", "audits": audits, "methods": list(METHODS), "method": METHODS}
    STAGE.run(Context(Parameters(tree, STAGE.params), silent))
    files = (folder / "data" / "scope").rglob("*.json")
    return {path.relative_to(folder).as_posix(): json.loads(path.read_text()) for path in files}


def test_one_list_or_block_changes_the_files_of_its_pairs_alone(tmp_path, monkeypatch):
    one = {"dataset": "d", "classifier": "c"}
    plain = scope({"a": one, "b": one}, tmp_path, monkeypatch)
    for given, changed in (
        ({"methods": ["rise"]}, {"gradcam", "layer"}),
        ({"block": "layer3"}, {"gradcam", "layer"}),
        ({"methods": ["gradcam", "rise", "layer"]}, set()),
    ):
        found = scope({"a": {**one, **given}, "b": one}, tmp_path, monkeypatch)
        differ = {path for path, content in found.items() if content != plain[path]}
        assert differ == {f"data/scope/a/methods/{name}.json" for name in changed}
    assert read_asked("a", "rise") == Asked(True)


def test_an_audits_block_is_part_of_the_digest_where_a_block_is_explained():
    own = method_digest("gradcam", {"block": "layer3"})
    assert method_digest("gradcam", with_block("gradcam", {"block": "x"}, "layer3")) == own
    assert own != method_digest("gradcam", {})
    assert with_block("rise", {"samples": 3}, "layer3") == {"samples": 3}
    assert with_block("gradcam", {"block": "x"}, None) == {"block": "x"}


def test_a_pair_that_is_not_asked_loads_no_torch_and_has_no_maps(tmp_path, root):
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    audit = "phantom_skin-cnn"
    write_json(tmp_path / places.predict(audit) / "audit.json", {"size": [8, 8]})
    write_json(tmp_path / places.scope_of_method(audit, "rise"), {"asked": False, "block": None})
    code = (
        "import sys; from tasks.explain import STAGE\n"
        f"try: STAGE.main(['{audit}', 'rise'])\n"
        "except SystemExit as done: assert done.code == 0, done.code\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(root), "CI": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    told = json.loads((tmp_path / places.explain(audit) / "rise.json").read_text())
    reason = f"audits.{audit}.methods leaves it out"
    assert told == {"status": "not_asked", "reason": reason, "grid": None}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, not_applicable={"shap": "no gradients"}, images=24).build()


def test_the_cohort_says_which_methods_explain_and_measures_those(project):
    audit = project.audits[0]
    assert explaining(audit, project.methods) == ["gradcam", "lime", "rise"]
    assert explaining(audit, ["rise", "shap"]) == ["rise"]
    with pytest.raises(DataError, match=r"methods.lesions-cnn\.parquet lacks other"):
        explaining(audit, ["other"])


def test_the_cells_of_a_method_are_kept_with_it(project):
    outcomes = read_outcomes(project.audits[0], project.methods)
    assert outcomes["gradcam"].grid == CELLS
    assert outcomes["rise"].grid is None


def test_maps_of_a_method_that_is_said_to_have_none_are_refused(project):
    audit = project.audits[0]
    write_outcome(audit, "rise", Outcome(PairStatus.NOT_APPLICABLE, "no"))
    with pytest.raises(DataError, match=r"rise\.parquet has \d+ maps, and .*not_applicable"):
        project.run("cohort", audit)


def test_the_preset_is_what_the_paper_says():
    """XAIMed, abstract and §3.2: four methods, nine square cells."""
    preset = AgreementParameters(preset="xaimed")
    assert sorted(preset.methods) == ["gradcam", "gradcam_plus_plus", "lime", "rise"]
    assert preset.grid**2 == 9
    for other in ({"grid": 4}, {"methods": ("lime", "rise")}):
        with pytest.raises(ParameterError, match="set preset to null"):
            AgreementParameters(**other)
        AgreementParameters(preset=None, **other)
