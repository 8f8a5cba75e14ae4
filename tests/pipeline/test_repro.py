"""`dvc repro` gives the whole result, runs what a change asks for, and nothing else."""

from __future__ import annotations

import json
import re

import pytest

from saliency_audit.datasets.registry import SOURCES
from tasks import places
from tasks.code import choosing
from tasks.code_digest import Code
from tasks.params import SECTIONS
from tasks.stages import read_stages
from tests.pipeline.conftest import RAN, SAID

AUDIT = "phantom_skin-tiny"


@pytest.fixture(scope="module")
def first_run(reproduced):
    """What the first `dvc repro` ran: the modules of this project that it imported, by stage."""
    said = (reproduced.path.parent / SAID).read_text()
    _, *parts = re.split(r"^Running stage '(.+)':$", said, flags=re.MULTILINE)
    return {
        stage: set(re.findall(r"\| +((?:tasks|saliency_audit)[\w.]*)$", text, re.MULTILINE))
        for stage, text in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.fixture(scope="module")
def audited(reproduced, copied):
    """The miniature checkout after its first `dvc repro`."""
    return copied(reproduced)


def test_one_command_gives_the_whole_result(audited, first_run):
    for name in ("reports/index.html", "reports/phantom_skin/index.html"):
        assert (audited.path / name).stat().st_size > 1000
    metrics = json.loads((audited.path / "reports/phantom_skin/metrics.json").read_text())
    assert metrics
    assert set(audited.lock()) == set(first_run)


def test_a_second_run_runs_nothing(audited):
    assert audited.repro() == set()


def test_one_parameter_of_a_method_reruns_it_and_what_follows(changed):
    ran = set((changed.path.parent / RAN).read_text().split())
    assert f"explain@{AUDIT}-rise" in ran
    assert f"explain@{AUDIT}-gradcam" not in ran
    before = {"ingest", "split", "train_classifier", "train_segmenter", "predict"}
    assert not {name for name in ran if name.split("@")[0] in before}


def test_a_comment_runs_nothing_but_the_look_at_the_code(audited):
    outputs = audited.outputs()
    for name in ("models/training.py", "attribution/rise.py", "measures/overlap.py"):
        path = audited.path / "saliency_audit" / name
        path.write_text(f'{path.read_text()}\n# A comment.\n"""And words."""\n')
    assert audited.repro() == {"code"}
    assert audited.outputs() == outputs


def test_a_change_to_a_method_reruns_it_and_no_other(audited):
    """And what asks it for its parameters. It does the same as before, so that nothing follows."""
    asking = {"scope", f"check_maps@{AUDIT}", "report@phantom_skin"}
    path = audited.path / "saliency_audit" / "attribution" / "rise.py"
    text = path.read_text()
    path.write_text(f"{text}\nNEW = 1\n")
    said = audited.audit("run", "--dry-run").stderr
    assert "code: saliency_audit.attribution.rise" in said
    assert f"explain@{AUDIT}-gradcam" not in said
    outputs = audited.outputs()
    assert audited.repro() == {"code", f"explain@{AUDIT}-rise", *asking}
    changed = {path for path, md5 in audited.outputs().items() if outputs[path] != md5}
    assert changed == {"data/code"}
    path.write_text(text)
    audited.repro()


def what_checks_parameters(code, stage):
    """Modules that a stage takes by name only to check parameters: they refuse, or do nothing."""
    sections = {key.partition(".")[0] for key in stage.params}
    taken = [path for key, path in SECTIONS.items() if key.partition(".")[0] in sections]
    taken += SOURCES.values() if "datasets" in stage.params else []
    return set(code.closure(path.partition(":")[0] for path in taken))


def test_what_a_stage_runs_is_what_it_depends_on(reproduced, first_run):
    """Python itself says which modules a stage has imported."""
    code, stages = Code(reproduced.path), read_stages(reproduced.path)
    for name, imported in first_run.items():
        stage, _, key = name.partition("@")
        if stage == "code":
            continue  # it depends on all of the code
        subject = key.rpartition("-")[2] if stage == "explain" else key
        choice = subject if stage in choosing() else None
        lines = (reproduced.path / places.code(stage, choice)).read_text().splitlines()
        assert {"saliency_audit.errors", "tasks.stage"} <= imported, name
        known = {line.split()[1] for line in lines}
        assert imported <= known | what_checks_parameters(code, stages[stage]), name
