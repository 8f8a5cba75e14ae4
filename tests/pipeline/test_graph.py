"""dvc.yaml says the truth about each stage: its code, its parameters, its place in the graph."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import yaml
from dvc.repo import Repo

from flows.effort import Efforts
from flows.graph import read_graph
from tasks import code, places
from tasks.params import KEYS, read_tree


@pytest.fixture(scope="module")
def stages(root):
    return yaml.safe_load((root / "dvc.yaml").read_text())["stages"]


def body(stage):
    return stage.get("do", stage)


def stage_module(name):
    module = importlib.import_module(f"tasks.{name}")
    if not hasattr(module, "STAGE"):
        module = importlib.import_module(f"tasks.{name}.__main__")
    return module


def test_every_stage_depends_on_its_code(stages):
    for name, stage in stages.items():
        if name == "code":
            assert body(stage)["deps"] == ["saliency_audit", "tasks"]
            continue
        choice = {"explain": "${item.method}", "ingest": "${key}", "train_classifier": "${key}"}
        assert places.code(name, choice.get(name)).as_posix() in body(stage)["deps"], name
    assert {*code.STAGES, *code.CHOOSING, "code"} == set(stages)


def test_every_stage_declares_the_parameters_that_dvc_watches(stages):
    replaced = {
        "${key}": "KEY",
        "${item.audit}": "KEY",
        "${item.method}": "METHOD",
    }
    for name, stage in stages.items():
        watched = "\n".join(body(stage).get("params", []))
        for placeholder, value in replaced.items():
            watched = watched.replace(placeholder, value)
        declared = stage_module(name).STAGE
        values = ["METHOD" if a == "method" else "KEY" for a in declared.arguments]
        assert sorted(declared.declared(values)) == sorted(watched.split()), name


def test_every_stage_is_run_by_the_task_of_its_name(stages):
    for name, stage in stages.items():
        command = body(stage)["cmd"].split()
        assert command[:3] == ["python", "-m", f"tasks.{name}"]
        assert len(command) - 3 == len(stage_module(name).STAGE.arguments)
        assert stage_module(name).STAGE.name == name


def test_a_stage_cannot_read_a_parameter_it_does_not_declare(root):
    from tasks.params import load

    params = load(["compute"], root / "params.yaml")
    with pytest.raises(LookupError, match="split"):
        params.value("split.seed")


def test_what_waits_for_more_starts_first(root):
    graph, stages = read_graph(root), commands(root)
    own = Efforts(root, read_tree(root / "params.yaml"))
    for name, node in graph.items():
        following = [other.effort for other in graph.values() if name in other.needs]
        assert node.effort == own.of(stages[name]) + max(following, default=0)


def commands(root):
    with Repo(str(root)) as repo:
        return {stage.addressing: stage.cmd for stage in repo.index.stages}


def test_every_number_of_params_yaml_is_explained(root):
    lines = (root / "params.yaml").read_text().splitlines()
    assert set(read_tree(root / "params.yaml")) == set(KEYS)
    for line in lines:
        if line.startswith(" ") and ": " in line and "{" not in line:
            key = line.split(":")[0].strip()
            documented = "#" in line or any(f"{key}:" in other and "#" in other for other in lines)
            assert documented, f"no comment explains {line.strip()}"


@pytest.mark.parametrize("stage", ["ingest", "split", "cohort", "apply_segx", "index"])
def test_stages_that_touch_no_model_import_no_torch(root, stage):
    code = f"import sys, tasks.{stage}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
