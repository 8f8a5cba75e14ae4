"""The table of commands: each named as its module, listed without loading, loaded when asked."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import COMMANDS, app, load, summary

#: What takes seconds to import; the first of a dotted name is enough to be one.
HEAVY = ("torch", "prefect", "dvc", "great_expectations")
#: Calls the command line with some arguments; prints its exit code and what it has imported.
CALL = """
import json, sys
from flows.cli.app import main
code = None
try:
    main()
except SystemExit as ended:
    code = ended.code
sys.stderr.write(json.dumps([code, [name for name in HEAVY if name in sys.modules]]))
"""


def call(root, *arguments):
    """What a call prints, its exit code, and the heavy packages that it loads."""
    found = subprocess.run(
        [sys.executable, "-c", CALL.replace("HEAVY", repr(HEAVY)), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    code, heavy = json.loads(found.stderr.splitlines()[-1])
    return found.stdout, code, heavy


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["-h"], 0), ([], 2), (["--version"], 0), (["run", "--help"], 0)],
    ids=str,
)
def test_help_loads_nothing_heavy(root, arguments, code):
    said, ended, heavy = call(root, *arguments)
    assert said
    assert ended == code
    assert heavy == []


def test_every_command_is_listed_with_its_line(root):
    said = " ".join(CliRunner().invoke(app, ["--help"]).output.replace("│", " ").split())
    for name in COMMANDS:
        assert f"{name} {summary(name)}" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_module_of_its_name_that_says_what_it_is(name):
    module = importlib.import_module(COMMANDS[name])
    assert module.__name__ == f"flows.cli.{name}"
    assert f"saliency-audit {name}" in module.__doc__
    assert " ".join(summary(name).split()) in " ".join(module.command.__doc__.split())
    assert load(name).help.startswith(summary(name))


def test_every_module_of_the_room_is_a_command_or_serves_all(root):
    found = {path.stem for path in (root / "flows" / "cli").glob("*.py")}
    commands = {
        name
        for name in found
        for node in ast.parse((root / "flows" / "cli" / f"{name}.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "command"
    }
    assert commands == set(COMMANDS)


def test_the_version_is_the_one_that_is_stated(root):
    stated = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))["version"]
    assert CliRunner().invoke(app, ["--version"]).output.split() == ["saliency-audit", stated]


def test_where_nothing_was_audited_it_says_what_to_type_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = CliRunner().invoke(app, [])
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "index.html").touch()
    after = CliRunner().invoke(app, [])
    assert "saliency-audit run --dry-run" in before.output
    assert "saliency-audit run --dry-run" not in after.output
    assert before.exit_code == after.exit_code == 2


def test_an_unknown_command_is_named():
    found = CliRunner().invoke(app, ["chek"])
    assert found.exit_code == 2
    assert "chek" in found.output
    assert "check" in found.output


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """The command as it is installed, in a checkout of its own that lies elsewhere."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("flows", "tasks", "saliency_audit", "params.yaml", "classifiers"):
        (checkout / name).symlink_to(root / name)
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (programs / "saliency-audit").write_bytes((root / "flows" / "saliency-audit").read_bytes())
    (programs / "saliency-audit").chmod(0o755)
    return programs / "saliency-audit"


def test_a_path_counts_from_where_a_person_stands(installed, tmp_path):
    (tmp_path / "knees").mkdir()
    (tmp_path / "here").mkdir()
    found = subprocess.run(
        [installed, "check", "../knees", "--json"],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(found.stdout)
    assert Path(told["path"]).resolve() == tmp_path / "knees"
    # An empty folder has no images.csv.
    assert found.returncode == 4
    gone = subprocess.run(
        [installed, "check", "knees"], cwd=tmp_path / "here", capture_output=True, check=False
    )
    assert gone.returncode == 2
    assert b"knees" in gone.stderr
