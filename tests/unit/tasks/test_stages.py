"""What stages declare is what they are, and what dvc.yaml says of them."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields

import pytest

from saliency_audit.errors import DataError
from tasks import code, places
from tasks.params import SECTIONS
from tasks.stage import STEPS, Declaration
from tasks.stages import gates, in_order, read_graph, read_stages, tables_of

STAGES = read_stages()
GRAPH = read_graph()
#: What dvc.yaml runs a stage for once, by what it takes.
UNITS = {
    (): {},
    ("dataset",): {"foreach": "${datasets}"},
    ("audit",): {"foreach": "${audits}"},
    ("audit", "method"): {"matrix": {"audit": "${audits}", "method": "${methods}"}},
}
#: Variables of dvc.yaml, as a command's arguments and as a path's placeholders.
VARIABLES = {"item.audit": "audit", "item.method": "method", "item.dataset": "dataset"}

every = pytest.mark.parametrize("name", STAGES)


def body(name):
    return GRAPH[name].get("do", GRAPH[name])


def known(text, name):
    """A text of dvc.yaml, its variables between angle brackets as a declaration has them."""
    key = next(iter(STAGES[name].arguments), "")
    return re.sub(r"\$\{(.*?)\}", lambda found: f"<{VARIABLES.get(found[1], key)}>", text)


def outputs(name):
    found = [out for kind in ("outs", "plots", "metrics") for out in body(name).get(kind, [])]
    return [known(next(iter(out)) if isinstance(out, dict) else out, name) for out in found]


def test_the_stages_of_dvc_yaml_are_the_modules_that_declare_one():
    assert set(STAGES) == set(GRAPH), (
        "a stage is a module of tasks/ that ends with STAGE = Stage(...), and an entry of dvc.yaml "
        "of the same name: one of the two is missing"
    )


@every
def test_it_is_run_by_its_module_for_what_it_takes(name):
    stage = STAGES[name]
    arguments = "".join(f" <{argument}>" for argument in stage.arguments)
    assert known(body(name)["cmd"], name) == f"python -m tasks.{name}{arguments}"
    unit = {key: GRAPH[name][key] for key in ("foreach", "matrix") if key in GRAPH[name]}
    assert unit == UNITS[stage.arguments], f"dvc.yaml runs {name} for other things than it takes"


@every
def test_dvc_watches_the_parameters_that_it_declares(name):
    watched = [known(key, name) for key in body(name).get("params", [])]
    declared = STAGES[name].declared([f"<{argument}>" for argument in STAGES[name].arguments])
    assert sorted(watched) == sorted(declared), (
        f"params of {name} in dvc.yaml are not those of its STAGE"
    )


@every
def test_its_parameters_are_in_sections_that_are_checked(name):
    for key in STAGES[name].params:
        section = any(
            key == own or key.startswith(f"{own}.") or own.startswith(f"{key}.") for own in SECTIONS
        )
        assert section, f"{name} declares the parameter {key}: tasks.params.SECTIONS lacks it"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_of_params_yaml_is_read_by_a_stage(section):
    for stage in STAGES.values():
        for key in stage.declared([f"<{argument}>" for argument in stage.arguments]):
            if key == section or key.startswith(f"{section}.") or section.startswith(f"{key}."):
                return
    pytest.fail(f"no stage declares the parameters {section} of tasks.params.SECTIONS")


@every
def test_it_depends_on_its_code(name):
    if name == code.STAGE.name:
        assert body(name)["deps"] == ["saliency_audit", "tasks"]
        assert {stage.chooses for stage in STAGES.values() if stage.chooses} == set(
            code.STAGE.params
        )
        return
    stage = STAGES[name]
    subject = f"<{stage.arguments[-1]}>" if stage.chooses else None
    needed = places.code(name, subject).as_posix()
    assert needed in [known(dep, name) for dep in body(name)["deps"]], (
        f"{name} in dvc.yaml lacks the dependency {needed}: a change to its code would not rerun it"
    )


@every
def test_its_tables_are_among_what_dvc_keeps_of_it(name):
    written, tables = outputs(name), tables_of(STAGES[name])
    for path in tables:
        assert any(path == out or path.startswith(f"{out}/") for out in written), (
            f"{name} declares the table {path}, which is no output of it in dvc.yaml"
        )
    undeclared = {out for out in written if out.endswith(".parquet")} - set(tables)
    assert not undeclared, f"STAGE of {name} does not say which table {undeclared} is"


@every
def test_what_is_read_of_it_is_what_it_declares(name):
    module = importlib.import_module(f"tasks.{name}")
    if not hasattr(module, "STAGE"):
        module = importlib.import_module(f"tasks.{name}.__main__")
    own = {field.name: getattr(module.STAGE, field.name) for field in fields(Declaration)}
    assert Declaration(**own) == STAGES[name]


@pytest.mark.parametrize(("gate", "checks"), gates(), ids=lambda own: getattr(own, "name", ""))
def test_a_gate_leaves_what_every_gate_does(gate, checks):
    (argument,) = gate.arguments
    result = places.quality("<dataset>", gate.name, "<audit>" if argument == "audit" else None)
    leave = places.gate(gate.name, f"<{argument}>")
    left = [leave / "passed.json", leave / "validation.json"]
    left += [result, result.with_suffix(".parquet")]
    assert sorted(outputs(gate.name)) == sorted(path.as_posix() for path in left)
    assert checks.before in STEPS


def test_no_other_stage_writes_where_gates_do():
    names = {gate.name for gate, _ in gates()}
    others = [(name, out) for name in set(GRAPH) - names for out in outputs(name)]
    assert not [name for name, out in others if "/quality" in out]


def test_gates_come_in_the_order_of_dvc_yaml():
    names = [gate.name for gate, _ in gates()]
    assert names == [stage.name for stage in in_order() if stage.name in names], (
        "the steps that gates stand before (Checks.before) are not in the order of dvc.yaml"
    )


MODULE = """from tasks.stage import Checks, Stage
PARAMS = ("split",)

STAGE = Stage(
    "cut",
    ("dataset",),
    {params},
    run,
    tables={{"data/cut/<dataset>.parquet": "tasks.cut:CUT"}},
)
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "tasks" / "folder").mkdir(parents=True)
    (tmp_path / "tasks" / "other.py").write_text("STAGED = 1\n")
    (tmp_path / "dvc.yaml").write_text("stages: {late: {cmd: x}, early: {cmd: x}}\n")
    return tmp_path


def write(checkout, name, text):
    (checkout / "tasks" / name).write_text(text)


def test_another_checkouts_stages_are_read_and_not_run(checkout):
    write(checkout, "cut.py", MODULE.format(params='("split",)') + "raise SystemExit\n")
    write(checkout, "folder/__main__.py", 'import torch\nSTAGE = Stage("folder", (), (), run)\n')
    tables = {"data/cut/<dataset>.parquet": "tasks.cut:CUT"}
    cut = Declaration("cut", ("dataset",), ("split",), tables=tables)
    assert read_stages(checkout) == {"cut": cut, "folder": Declaration("folder", (), ())}


def test_stages_come_in_the_order_of_dvc_yaml_and_others_last(checkout):
    for name in ("early", "absent", "late"):
        write(checkout, f"{name}.py", f'\nSTAGE = Stage("{name}", (), (), run)\n')
    assert [stage.name for stage in in_order(checkout)] == ["late", "early", "absent"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("PARAMS", r"cut\.py, line 4: .*literals"),
        ('("split",), kinds=("x",)', r"cut\.py, line 4: .*kinds"),
        ('("split",), checks=Checks(about="x", before="lunch", rules="x")', "trained, explained"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(checkout, params, said):
    text = MODULE.format(params="PARAMS").replace("PARAMS,\n", f"{params},\n")
    write(checkout, "cut.py", text.replace("run,", "run=run,"))
    with pytest.raises(DataError, match=said):
        read_stages(checkout)
