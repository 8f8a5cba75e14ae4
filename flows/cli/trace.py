"""`saliency-audit trace`: where a number or a row comes from, as a tree or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from flows.ground.console import DIFFERS, DONE, Voice
from flows.lineage.findings import Finding
from flows.lineage.provenance import Step, Trace, trace_metric, trace_row
from flows.records.artifacts import CHANGED, VERIFIED, Artifact
from saliency_audit.errors import AuditError, ParameterError

#: Characters of a parameter's value that the tree shows; JSON has all of it.
SHOWN = 100
#: Columns of a line that nobody wraps.
WIDE = 4000


@dataclass(frozen=True)
class Question:
    """What to trace: a metric by ``key``, or a row by ``image`` and ``audit``."""

    key: str | None
    image: str | None = None
    audit: str | None = None
    label: str | None = None
    method: str | None = None

    def ask(self, root: Path, revision: str | None, rows: bool) -> Trace:
        """Trace it; raises ParameterError where the question is not one of the two."""
        if not (root / "dvc.yaml").is_file():
            raise ParameterError(f"{root} has no dvc.yaml: run from the root of the repository")
        of_row = {"--label": self.label, "--method": self.method, "--audit": self.audit}
        if self.key is not None:
            given = [name for name, v in {"--image": self.image, **of_row}.items() if v is not None]
            if given:
                raise ParameterError(
                    f"{given[0]} is of a row, and a metric is given, too: leave one of them out"
                )
            return trace_metric(root, self.key, revision, rows)
        if self.image is None or self.audit is None:
            raise ParameterError(
                "give a metric of reports/<dataset>/metrics.json, or --image and --audit of a row"
            )
        if rows:
            raise ParameterError("--rows lists the rows of a metric: leave it out with --image")
        return trace_row(root, self.image, self.audit, self.label, self.method, revision)


def command(
    key: Annotated[
        str | None,
        typer.Argument(help="A metric, as `dvc metrics show` names it; the file may be left out."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Trace a row instead: an image of --audit.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="One label of it; default: all.")] = None,
    method: Annotated[str | None, typer.Option(help="One method; default: all.")] = None,
    audit: Annotated[str | None, typer.Option(help="The audit that the row is of.")] = None,
    rev: Annotated[
        str | None, typer.Option(help="A git revision; default: what lies here.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List each row that enters.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON on standard output.")
    ] = False,
) -> None:
    """Follow a number of the report back: rows, maps, method, weights, training data, source file.

    Names each stage behind it with its files, whether these still have the digest that DVC
    recorded, its parameters, its code and the commit, and checks that maps, model and method
    belong together. Exit codes: 0 all agrees, 2 no such metric, image or revision, 3 a file cannot
    be read, 5 something was changed or does not belong together.

    Example: saliency-audit trace phantom_skin-cnn.certainty.rise.c_iou_auroc --rows
    """
    question = Question(key, image, audit, label, method)
    sys.exit(say_trace(Path.cwd(), question, rev, rows, as_json))


def say_trace(root: Path, question: Question, revision: str | None, rows: bool, js: bool) -> int:
    """Trace and print; gives the exit code."""
    errors = Voice()
    try:
        trace = question.ask(root, revision, rows)
    except AuditError as error:
        return errors.complain(error)
    if js:
        sys.stdout.write(json.dumps(trace.to_json(), ensure_ascii=False) + "\n")
    else:
        _print(draw(trace))
    faults = trace.faults()
    for fault in faults:
        errors.error(fault)
    return DIFFERS if faults else DONE


def _print(tree: Tree) -> None:
    console = Console()
    if console.is_terminal:
        console.print(tree, highlight=False)
        return
    # A pipe gets whole lines, for grep; a terminal gets them wrapped under their branch.
    wide = Console(width=WIDE, file=sys.stdout, color_system=None)
    with wide.capture() as captured:
        wide.print(tree, highlight=False)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def draw(trace: Trace) -> Tree:
    """Draw a trace as a tree, a branch per stage, the last stage first."""
    tree = Tree(_title(trace))
    for step in trace.steps:
        recorded = f"recorded in {step.commit[:12]}" if step.commit else "[yellow]not committed[/]"
        branch = tree.add(f"[bold]{escape(step.stage)}[/] {escape(step.description)} {recorded}")
        for line in _lines(step):
            branch.add(line)
    return tree


def _title(trace: Trace) -> str:
    what = trace.what
    where = f" at {trace.revision[:12]}" if trace.revision else ""
    if "metric" in what:
        value = f"{escape(what['metric'])} = {what['value']}"
        return f"[bold]{value}[/]{where}\n{escape(what['statistic'])}"
    row = [f"{name} {what[name]}" for name in ("label", "method") if what[name]]
    return f"[bold]{escape(', '.join([what['image'], *row, 'audit ' + what['audit']]))}[/]{where}"


def _lines(step: Step) -> Iterator[str]:
    for artifact in step.outputs:
        yield f"wrote {_artifact(artifact)}"
    for finding in step.findings:
        yield _finding(finding)
        yield from _listed(finding)
    for artifact in step.sources:
        yield f"read {_artifact(artifact)}"
    if step.parameters:
        said = ", ".join(f"{name}: {_value(value)}" for name, value in step.parameters.items())
        yield f"parameters {escape(said)}"
    if step.code:
        yield f"code {_artifact(step.code)}"


def _artifact(artifact: Artifact) -> str:
    colour = {VERIFIED: "green", CHANGED: "red"}.get(artifact.state, "yellow")
    md5 = (artifact.md5 or "none")[:12]
    return f"{escape(artifact.path)} md5 {md5} [{colour}]{artifact.state}[/]"


def _finding(finding: Finding) -> str:
    words = escape(finding.words)
    if finding.agrees is None:
        return words
    return f"[green]agrees:[/] {words}" if finding.agrees else f"[bold red]DIFFERS:[/] {words}"


def _listed(finding: Finding) -> Iterator[str]:
    """Give the rows of a finding that lists them, one a line."""
    if finding.name == "rows":
        for row in finding.value.get("listed", []):
            yield escape("  " + ", ".join(f"{name} {_value(v)}" for name, v in row.items()))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
