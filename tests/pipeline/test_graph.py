"""The graph of dvc.yaml, as it is planned, and what its stages may read and import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dvc.repo import Repo

from flows.execution.effort import Efforts
from flows.execution.graph import read_graph
from tasks.params import KEYS, read_tree


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


@pytest.mark.parametrize("stage", ["ingest", "split", "cohort", "apply_segx", "index", "stages"])
def test_stages_that_touch_no_model_import_no_torch(root, stage):
    code = f"import sys, tasks.{stage}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
