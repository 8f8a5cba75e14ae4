"""The graph of dvc.yaml, as it is planned, and what its stages may read and import."""

from __future__ import annotations

import re
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


@pytest.mark.parametrize("stage", ["ingest", "split", "cohort", "apply_segx", "index", "stages"])
def test_stages_that_touch_no_model_import_no_torch(root, stage):
    code = f"import sys, tasks.{stage}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
