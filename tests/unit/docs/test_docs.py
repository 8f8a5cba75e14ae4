"""The documentation tells the truth: its code runs, its links lead somewhere, its names exist."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import networkx
import pytest
import yaml

from flows.execution.placement import NEEDS, Need
from flows.ground.parameters import check_parameters
from flows.serving.schedule import read_schedule
from saliency_audit.errors import ParameterError
from saliency_audit.models.specification import read_specification
from tasks.params import KEYS as PARAMETER_KEYS
from tasks.report.__main__ import SECTIONS
from tasks.stages import gates
from tasks.tables.definitions import computed_by, figures
from tests.unit.docs.pages import (
    HISTORY,
    LINK,
    PAGES,
    ROOT,
    anchors,
    blocks,
    blocks_of_all_pages,
    name_of,
    prose,
    sections,
    slug,
)

PAGES_WITH_CODE = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType(f"code_of_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look there
    for block in blocks(page, "python"):
        # Blank lines before it give an error the line numbers of the page.
        source = "\n" * (block.line - 1) + block.text
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(page), "exec"), module.__dict__)
        if block.output is not None:
            assert printed.getvalue() == block.output


def first_comment(block):
    return block.text.partition("\n")[0].removeprefix("#").strip()


YAML = blocks_of_all_pages("yaml")


@pytest.mark.parametrize("block", YAML, ids=lambda block: block.place)
def test_yaml_is_valid_and_says_which_file_it_belongs_to(block):
    assert isinstance(yaml.safe_load(block.text), dict)
    assert block.text.startswith("# "), "begin the block with a comment that names the file"
    name = first_comment(block)
    assert re.fullmatch(
        r"params\.yaml(, wrong)?|classifiers/\w+/model\.yaml|deploy/serve\.yaml|dvc\.yaml", name
    )


@pytest.fixture
def checkout(root, tmp_path):
    """A folder in which params.yaml may be changed; code and classifiers are the real ones."""
    folder = tmp_path / "checkout"
    (folder / "classifiers").mkdir(parents=True)
    (folder / "saliency_audit").symlink_to(root / "saliency_audit")
    for classifier in (root / "classifiers").iterdir():
        (folder / "classifiers" / classifier.name).symlink_to(classifier)
    return folder


def write_model(folder, block):
    path = folder / first_comment(block)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)
    return path


MODELS = [block for block in YAML if first_comment(block).endswith("model.yaml")]
PARAMS = [block for block in YAML if first_comment(block) == "params.yaml"]
SERVED = [block for block in YAML if first_comment(block) == "deploy/serve.yaml"]
GRAPH = [block for block in YAML if first_comment(block) == "dvc.yaml"]
WRONG = [block for block in YAML if first_comment(block) == "params.yaml, wrong"]


@pytest.mark.parametrize("block", MODELS, ids=lambda block: block.place)
def test_a_model_yaml_is_one(block, tmp_path):
    read_specification(write_model(tmp_path, block))


@pytest.mark.parametrize("block", SERVED, ids=lambda block: block.place)
def test_an_excerpt_of_serve_yaml_is_read(block, tmp_path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / first_comment(block)).write_text(block.text)
    read_schedule(tmp_path)


@pytest.mark.parametrize("block", GRAPH, ids=lambda block: block.place)
def test_an_excerpt_of_dvc_yaml_names_stages_and_keys_that_there_are(block, stages):
    for name, excerpt in yaml.safe_load(block.text)["stages"].items():
        if "foreach" in excerpt:
            assert name not in stages  # of one's own: tests/pipeline/test_extending.py runs it
            continue
        assert set(excerpt) <= set(stages[name])
        Need.of(name, excerpt["meta"])


@pytest.mark.parametrize("block", PARAMS, ids=lambda block: block.place)
def test_an_excerpt_of_params_yaml_passes_the_check(block, root, checkout):
    write_params(block, root, checkout)
    check_parameters(checkout)


@pytest.mark.parametrize("block", WRONG, ids=lambda block: block.place)
def test_an_excerpt_that_is_said_to_be_wrong_is_refused(block, root, checkout):
    write_params(block, root, checkout)
    with pytest.raises(ParameterError, match=r"sampels.*samples"):
        check_parameters(checkout)


def write_params(block, root, folder):
    """Write the committed parameters with those of an excerpt, and what these refer to."""
    excerpt = yaml.safe_load(block.text)
    assert set(excerpt) <= set(PARAMETER_KEYS)
    tree = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    for section, value in excerpt.items():
        tree[section] = {**tree[section], **value} if isinstance(value, dict) else value
    for dataset in excerpt.get("datasets", {}).values():
        source = folder / dataset["source"]
        if not source.exists():
            source.mkdir(parents=True)
    for audit in excerpt.get("audits", {}).values():
        if not (root / "classifiers" / audit["classifier"]).exists():
            own = f"classifiers/{audit['classifier']}/model.yaml"
            # The page's own, if it has one.
            beside = sorted(
                (other for other in MODELS if first_comment(other) == own),
                key=lambda other: other.page != block.page,
            )
            assert beside, f"{block.place} audits {audit['classifier']}, which no page describes"
            write_model(folder, beside[0])
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_heading_stands_twice_on_a_page(page):
    twice = [anchor for anchor, count in anchors(page).items() if count > 1]
    assert not twice, f"{name_of(page)}: {twice}: say it once, or name the two apart"


@pytest.mark.parametrize("page", [*PAGES, HISTORY], ids=name_of)
def test_every_relative_link_leads_somewhere(page):
    for _, target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        aimed = (page.parent / path).resolve() if path else page
        assert aimed.exists(), f"{name_of(page)} links to {target}, which is not there"
        assert aimed.is_relative_to(ROOT), f"{name_of(page)} links out of the repository: {target}"
        if anchor:
            led = anchors(aimed)[anchor]
            assert led == 1, f"{name_of(page)} links to {target}: {led} headings of that name"


#: Words of links that say where, and not what.
POINTING = {"above", "why", "measured"}


def roots(text):
    return {word[:5].lower() for word in re.findall(r"[^\W\d_]{3,}", text)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_to_a_section_leads_to_one_that_speaks_of_its_words(page):
    for words, target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if not anchor or "://" in target or words in POINTING or not roots(words):
            continue
        aimed = (page.parent / path).resolve() if path else page
        (reached,) = (
            f"{heading} {text}"
            for heading, text in sections(aimed).items()
            if slug(heading) == anchor
        )
        assert roots(words) & roots(f"{reached} {aimed.stem}"), (
            f"{name_of(page)}: [{words}]({target}) leads to a section that does not speak of it"
        )


def commands():
    """Each line of a shell block, and each command in backticks, with its page."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.text.splitlines():
                yield page, line.split("#")[0].strip()
        for command in re.findall(r"`([a-z][^`\n]*)`", prose(page)):
            yield page, command.strip()


def named_after(program):
    return {(page, line) for page, line in commands() if re.match(rf"{program} \S", line)}


def test_every_make_target_that_is_named_exists(root):
    makefile = (root / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = named_after("make")
    assert {line.split()[1] for _, line in named} >= {"audit", "test"}
    for page, line in named:
        assert line.split()[1] in targets, f"{name_of(page)} names `{line}`"


def test_every_target_is_explained(root):
    makefile = (root / "Makefile").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()
    explained = (root / "docs" / "commands.md").read_text("utf-8")
    for target in set(phony) - {"help"}:
        assert f"`make {target}`" in explained


def test_every_saliency_audit_command_that_is_named_exists():
    from typer.main import get_command

    from flows.cli.app import COMMANDS, app, load

    known = {name: load(name) for name in COMMANDS}
    parameters = get_command(app).params
    # A word in capitals stands for any command.
    of_all = {"COMMAND", "--help", *(option for each in parameters for option in each.opts)}
    named = named_after("saliency-audit")
    assert named
    for page, line in named:
        words = line.split()
        assert words[1] in {*known, *of_all}, f"{name_of(page)} names `{line}`"
        if words[1] in of_all:
            continue
        parameters = known[words[1]].params
        options = {option for p in parameters for option in (*p.opts, *p.secondary_opts)}
        for word in words[2:]:
            if word.startswith("-"):
                assert word in options, f"{name_of(page)} names `{line}`"


def test_every_saliency_audit_command_is_explained(root):
    from flows.cli.app import COMMANDS

    explained = (root / "docs" / "commands.md").read_text("utf-8")
    for command in COMMANDS:
        assert f"`saliency-audit {command}`" in explained


def test_every_module_that_is_run_exists():
    for page, line in commands():
        for module in re.findall(r"python -m ((?:tasks|flows)[\w.]*)", line):
            assert importlib.util.find_spec(module), f"{name_of(page)} runs {module}"


def test_the_exit_codes_that_are_listed_are_those_of_the_commands(root):
    from flows.cli import check, reproduce, run, trace
    from flows.ground import console
    from tasks import stage

    page = (root / "docs" / "commands.md").read_text("utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    used = {console.DONE, run.FAILED, run.STOPPED, console.BUSY, run.INTERRUPTED}
    used |= {reproduce.DIFFERS, trace.DIFFERS, check.STOPPED}
    of_stages = {stage.BUG, stage.BAD_PARAMETER, stage.FAILED, stage.STOPPED, stage.INTERRUPTED}
    assert listed == used | of_stages


ROOMS = "datasets|models|attribution|measures|faithfulness|statistics|labelling|compute"
IN_LIBRARY = re.compile(rf"`((?:{ROOMS})\.\w+(?:\.\w+)*)`")
IN_REPOSITORY = re.compile(r"`((?:saliency_audit|tasks|flows)(?:\.\w+)+)`")


def exists(dotted):
    """Whether a dotted name is a module, or a name in one."""
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for name in parts[depth:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_of_the_code_exists(page):
    for dotted in IN_REPOSITORY.findall(prose(page)):
        if not dotted.endswith((".py", ".md")):
            assert exists(dotted), f"{name_of(page)} names {dotted}"


def test_every_definition_names_code_that_exists(root):
    page = root / "docs" / "definitions.md"
    parameters = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    named = IN_LIBRARY.findall(prose(page))
    assert {computed_by(figure) for figure in figures()} <= set(named)
    for dotted in named:
        section, _, key = dotted.partition(".")
        if section in parameters and key.split(".")[0] in parameters[section]:
            continue
        assert exists(f"saliency_audit.{dotted}"), f"{name_of(page)} names {dotted}"


def test_every_public_measure_is_defined(root):
    text = (root / "docs" / "definitions.md").read_text("utf-8")
    for module in ("auitc", "segx", "segu", "controls", "grid", "overlap", "top_fraction"):
        assert f"`measures.{module}." in text


def test_every_status_is_explained(root):
    from saliency_audit.measures.status import Status

    text = (root / "docs" / "definitions.md").read_text("utf-8")
    assert not [status for status in Status if f"| `{status}` |" not in text]


def test_every_parameter_that_is_named_exists(root):
    parameters = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    for page in PAGES:
        for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)(?::[^`]*)?`", prose(page)):
            if isinstance(parameters.get(section), dict) and section not in ("measures", "method"):
                assert key in parameters[section], f"{name_of(page)} names {section}.{key}"


@pytest.fixture(scope="module")
def stages(root):
    return yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))["stages"]


def body(stage):
    return stage.get("do", stage)


def outputs(stage):
    kinds = ("outs", "metrics", "plots")
    found = [out for kind in kinds for out in body(stage).get(kind, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in found]


def edges(stages):
    """Which stage follows which: one reads a path that the other writes, or that holds it."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(stages)
    written = [(parts(out), name) for name, stage in stages.items() for out in outputs(stage)]
    for name, stage in stages.items():
        for read in map(parts, body(stage).get("deps", [])):
            for out, writer in written:
                if all(one == other for one, other in zip(out, read, strict=False)):
                    graph.add_edge(writer, name)
    return graph


def parts(path):
    """The parts of a path, with a star for the dataset, audit or method."""
    return Path(re.sub(r"\$\{.*?\}", "*", path)).parts


def test_the_drawing_in_the_readme_is_the_graph_of_dvc_yaml(root, stages):
    (drawing,) = blocks(root / "README.md", "mermaid")
    arrows = r"^\s*(\w+) --> (\w+)(?:\{\{\w+\}\})?$"
    drawn = networkx.DiGraph(re.findall(arrows, drawing.text, re.MULTILINE))
    needed = networkx.transitive_reduction(edges(stages))
    assert set(drawn.nodes) == set(stages)
    assert set(drawn.edges) == set(needed.edges)
    pointed = re.findall(r"--> (\w+)\{\{\1\}\}", drawing.text)
    assert set(pointed) == {gate.name for gate, _ in gates()}


def test_the_table_of_stages_is_that_of_dvc_yaml(root, stages):
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    section = page.partition("## Stages")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    kinds = {"${datasets}": "dataset", "${audits}": "audit"}
    for name, stage in stages.items():
        unit = "audit and method" if "matrix" in stage else kinds.get(stage.get("foreach"), "all")
        assert rows.get(name) == unit
    assert set(rows) == set(stages)


def test_the_table_of_needs_is_what_a_stage_may_say(root):
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    section = page.partition("## Side by side")[2].partition("\n## ")[0]
    keys = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(keys) == set(NEEDS)


def test_the_readme_names_every_folder_that_is_there(root):
    listed = subprocess.run(
        ["git", "ls-files", "--cached"], cwd=root, capture_output=True, text=True, check=True
    )
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    table = (root / "README.md").read_text("utf-8").partition("## What is where")[2]
    named = set(re.findall(r"`(\w+)/`", table.partition("\n## ")[0]))
    assert {folder for folder in folders if not folder.startswith(".")} <= named
    assert all((root / folder).is_dir() for folder in named)


def test_the_tutorial_reads_the_sections_of_the_page_in_their_order(root):
    tutorial = (root / "docs" / "tutorial.md").read_text("utf-8")
    read = re.findall(r"^\d+\. \*\*(.+?)\.\*\*", tutorial, re.MULTILINE)
    found = []
    for make in SECTIONS:
        # The title stands in the function, or is a constant of its module.
        words = inspect.getsource(make) + getattr(inspect.getmodule(make), "TITLE", "")
        (position,) = [n for n, title in enumerate(read) if title in words]
        found.append(position)
    assert found == list(range(1, len(read))), "the first is the page's head"


def test_pictures_are_small(root):
    for picture in (root / "docs").glob("images/*"):
        assert picture.stat().st_size < 300_000, picture.name


def test_pages_hold_no_path_of_one_machine():
    for page in PAGES:
        found = re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\w", page.read_text("utf-8"))
        assert not found, name_of(page)


def test_the_readme_is_short_and_names_its_commands(root):
    text = (root / "README.md").read_text("utf-8")
    assert "make audit" in text
    assert "make test" in text
    assert len(text.split()) < 900


def test_the_hooks_run_programs_that_are_installed(root):
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert {repository["repo"] for repository in hooks} == {"local"}
    for hook in hooks[0]["hooks"]:
        program = Path(hook["entry"].split()[0]).name
        assert (Path(sys.executable).parent / program).exists()
