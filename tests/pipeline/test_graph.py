"""dvc.yaml says the truth about each stage: its code, its parameters, its place in the graph."""

from __future__ import annotations

import importlib
import re
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
        choice = "${item.method}" if name == "explain" else None
        assert places.code(name, choice).as_posix() in body(stage)["deps"], name
    assert {*code.STAGES, "explain", "code"} == set(stages)


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


def keys_of(text):
    """Give the path of each key of params.yaml, what stands after it, and the comment above."""
    path, comment = [], ""
    for line in text.splitlines():
        if line.startswith("#"):
            comment += line
        elif found := re.match(r"( *)([\w-]+):(.*)", line):
            path = [*path[: len(found[1]) // 2], found[2]]
            yield tuple(path), found[3], comment
        elif not line:
            comment = ""


def any_dataset(path):
    return ("datasets", "*", *path[2:]) if path[0] == "datasets" else path


def test_every_number_of_params_yaml_is_explained(root):
    """By a comment on its line, or one above its section that names it; once for all datasets."""
    keys = list(keys_of((root / "params.yaml").read_text()))
    assert {path[0] for path, _, _ in keys} == set(KEYS) == set(read_tree(root / "params.yaml"))
    explained = {any_dataset(path) for path, after, _ in keys if "#" in after}
    for path, after, above in keys:
        if len(path) == 1 and after:
            assert above, f"no comment explains {path[0]}"
        elif after and "{" not in after and any_dataset(path) not in explained:
            assert f"`{path[-1]}`" in above, f"no comment explains {'.'.join(path)}"


@pytest.mark.parametrize("stage", ["ingest", "split", "cohort", "apply_segx", "index"])
def test_stages_that_touch_no_model_import_no_torch(root, stage):
    code = f"import sys, tasks.{stage}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
