"""Stages get what they need of the machine: DVC and Prefect run them; they say what they saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.audit
#: What each stage needs.
META = {
    "gpu_a": {"gpu": 1},
    "gpu_b": {"gpu": 1},
    "gpu_c": {"gpu": 1},
    "mutex_a": {"mutex": "scratch"},
    "mutex_b": {"mutex": "scratch"},
    "plain": {},
    "hanging": {"minutes": 0.1},
}
#: Records slot, GPUs and when.
RECORD = """
import json, os, subprocess, sys, time
started = time.time()
if sys.argv[1] == "hanging":
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1000)"])
time.sleep(1.0)
seen = {n: os.environ.get(n) for n in ("CUDA_VISIBLE_DEVICES", "SALIENCY_SLOT")}
json.dump({**seen, "span": [started, time.time()]}, open(sys.argv[1] + ".json", "w"))
"""
#: A run of the flow over a graph of nothing but these stages, four at a time, with two GPUs.
RUN = """
import json, sys
from pathlib import Path
from flows.ground.environment import prepare
prepare(Path.cwd())
from flows.execution.flow import audit
from flows.execution.gpus import Gpus
from flows.execution.graph import Node
from flows.execution.placement import Machine, Need
from flows.execution.observers import Observer
meta = json.loads(sys.argv[1])
graph = {n: Node(n, frozenset(), ("new",), 0, m, "") for n, m in meta.items()}
needs = {n: Need.of(n, m) for n, m in meta.items()}
machine = Machine(4, Gpus(Path.cwd(), ["3", "5"]), 8.0)
outcomes = audit(Path.cwd(), graph, list(graph), machine, needs, Observer())
print(json.dumps({n: [o.state, o.error] for n, o in outcomes.items()}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory, root):
    """What each stage recorded."""
    folder = tmp_path_factory.mktemp("placement")
    (folder / ".saliency").mkdir()  # where Prefect keeps its database
    (folder / "record.py").write_text(RECORD)
    lines = ["stages:"]
    for name in META:
        lines += [f"  {name}:", f"    cmd: python record.py {name}", f"    outs: [{name}.json]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(root),
    }
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, env=environment, check=True)
    found = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(META)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    states = json.loads(found.stdout)
    hanging, error = states.pop("hanging")
    assert hanging == "failed"
    assert "still not done after 0.1 minutes" in error
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [command for command in left if command[-1] == "import time; time.sleep(1000)"]
    assert {state for state, _ in states.values()} == {"ran"}
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in states}


def overlap(one, other):
    return max(one["span"][0], other["span"][0]) < min(one["span"][1], other["span"][1])


def test_a_stage_sees_its_own_gpus_and_no_others(seen):
    for name, record in seen.items():
        gpus = record["CUDA_VISIBLE_DEVICES"]
        assert gpus in ("3", "5") if name.startswith("gpu") else gpus == ""


def test_no_two_stages_share_a_gpu_a_slot_or_a_mutex_at_a_time(seen):
    pairs = [(a, b) for a in seen for b in seen if a < b and overlap(seen[a], seen[b])]
    assert pairs, "nothing ran side by side"
    for one, other in pairs:
        assert seen[one]["SALIENCY_SLOT"] != seen[other]["SALIENCY_SLOT"]
        assert not (one.startswith("mutex") and other.startswith("mutex"))
        if one.startswith("gpu") and other.startswith("gpu"):
            assert seen[one]["CUDA_VISIBLE_DEVICES"] != seen[other]["CUDA_VISIBLE_DEVICES"]
