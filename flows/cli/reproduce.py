"""`saliency-audit reproduce`: a revision rerun elsewhere, and whether it gives what it recorded."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from flows.cli.paths import from_there
from flows.execution.estimate import in_words
from flows.execution.run_record import installed_otherwise, machine_of, recorded_machine
from flows.execution.stage import Runner, Running
from flows.ground.clones import clean_clone
from flows.ground.console import BUSY, DIFFERS, DONE, Voice, interruptible
from flows.ground.git import changes, commit_of
from flows.ground.hold import BusyError, alone_in, hold
from flows.records.revision import RecordedArtifacts, lock_of
from flows.reproduction.comparison import DIFFERENT, IDENTICAL, WITHIN, Comparison
from flows.reproduction.rerun import (
    FAILED,
    NOT_JUDGED,
    NOT_REACHED,
    ORDER,
    REPRODUCTIONS,
    Progress,
    Reproduction,
    Rerun,
    changed_sources,
    chosen_steps,
    steps_of,
    worst,
)
from flows.reproduction.training_band import IN_BAND, Band
from flows.reproduction.values import Difference, Tolerance
from saliency_audit.errors import AuditError, DataError, ParameterError
from tasks.stage import FAILED as COULD_NOT_RUN
from tasks.stage import INTERRUPTED
from tasks.supervision import end_self, follow_run

#: How many metrics are printed; `--json` has all.
SHOWN = 20
COLOURS = {
    IDENTICAL: "green",
    WITHIN: "green",
    IN_BAND: "green",
    NOT_JUDGED: "yellow",
    NOT_REACHED: "yellow",
    FAILED: "red",
    DIFFERENT: "red",
}


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    ``into``: the folder to reproduce in, by default one under .saliency; ``stagewise``: each stage
    on recorded inputs, and trainings by their metrics; ``only``: these stages or kinds alone;
    ``keep``: leave the folder, whatever the verdict.
    """

    revision: str = "HEAD"
    into: Path | None = None
    stagewise: bool = False
    only: Sequence[str] = ()
    keep: bool = False
    tolerance: Tolerance = field(default_factory=Tolerance)
    band: Band = field(default_factory=Band)


@dataclass
class Report:
    """What a reproduction found: both passes by stage, and what is known of the machines."""

    commit: str
    recorded_on: str | None
    here: str
    whole: Mapping[str, Rerun] = field(default_factory=dict)
    alone: Mapping[str, Rerun] = field(default_factory=dict)

    @property
    def other_machine(self) -> bool:
        """Whether it is known to have been recorded on another machine."""
        return self.recorded_on is not None and self.recorded_on != self.here

    def passes(self) -> list[Mapping[str, Rerun]]:
        """Give the passes that were made."""
        return [found for found in (self.whole, self.alone) if found]

    @property
    def verdict(self) -> str:
        """The worst state of all stages, of both passes."""
        return worst(rerun.state for found in self.passes() for rerun in found.values())

    @property
    def code(self) -> int:
        """The exit code that goes with the verdict."""
        if self.verdict == DIFFERENT:
            return DIFFERS
        return COULD_NOT_RUN if ORDER.index(self.verdict) >= ORDER.index(NOT_JUDGED) else DONE

    def first(self) -> tuple[Rerun, str, Comparison] | None:
        """Give where it first differs: the stage, its artifact, and how."""
        for found in self.passes():
            for rerun in found.values():
                for path, comparison in sorted(rerun.artifacts.items()):
                    if comparison.state == DIFFERENT:
                        return rerun, path, comparison
        return None

    def causes(self) -> list[str]:
        """Give the stages that differ though all they read was as recorded."""
        return [
            name
            for name in dict.fromkeys([*self.whole, *self.alone])
            for rerun in [self.alone.get(name) or self.whole[name]]
            if rerun.state == DIFFERENT and not rerun.changed
        ]


def command(
    revision: Annotated[
        str, typer.Argument(help="Revision whose dvc.lock and reports are recorded results.")
    ] = "HEAD",
    into: Annotated[
        Path | None,
        typer.Option(
            callback=from_there,
            help="New folder to work in, and keep; default: .saliency/reproductions/…",
        ),
    ] = None,
    stagewise: Annotated[
        bool,
        typer.Option(
            "--stagewise",
            help="Rerun each stage on the recorded inputs, and judge training by its metrics, as "
            "on another processor.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Rerun this stage, or kind of stage, alone, on the recorded inputs."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which two numbers may differ.")
    ] = 1e-5,
    band: Annotated[
        float,
        typer.Option(min=0, help="By how much accuracy, AUROC or Dice may differ."),
    ] = 0.05,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder, also where all is identical.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON on standard output.")
    ] = False,
) -> None:
    """Rerun a revision from its raw data in a clean clone, and compare with what it recorded.

    The clone has no map store, run-cache or DVC cache of its own: everything is computed. Each
    artifact and metric is identical, the same within the tolerance, or different, and it is said
    where first: stage, row and column. Where that differs, or the processor is another, each stage
    is rerun on the recorded inputs, too. Raw data that changed are named, and nothing runs.

    Exit codes: 0 the same, 2 no such revision or stage, 3 it could not be run, 5 it differs,
    6 the same reproduction is in progress, 130 interrupted.

    Example: saliency-audit reproduce audit/20260101-0123456789ab --only explain
    """
    request = Request(
        revision,
        into,
        stagewise,
        only or (),
        keep,
        Tolerance(relative=tolerance),
        Band(quality=band),
    )
    sys.exit(reproduce(Path.cwd(), request, as_json))


def reproduce(root: Path, request: Request, as_json: bool) -> int:
    """Reproduce a revision, say what came out; gives the exit code."""
    # A file or a pipe has no width: the table takes what it needs.
    console = Voice(width=None if sys.stderr.isatty() else 200)
    interruptible()
    follow_run(end_self)
    base: Path | None = None
    try:
        commit = commit_of(root, request.revision)
        base = _base(root, commit, request)
        with alone_in(root / REPRODUCTIONS / ".locks" / base.name, console):
            report = _reproduce(root, commit, base, request, console)
    except BusyError:
        console.error(
            f"a reproduction of {commit[:12]} is in progress in {base}: wait for it to "
            "end, or name another folder by --into"
        )
        return BUSY
    except AuditError as error:
        return console.complain(error)
    except KeyboardInterrupt:
        kept = f"; what was done lies in {base}" if base is not None and base.exists() else ""
        console.say(f"interrupted{kept}", "red")
        return INTERRUPTED
    _say(report, console)
    if as_json:
        sys.stdout.write(json.dumps(content(report)) + "\n")
    if report.verdict == IDENTICAL and not request.keep and request.into is None:
        shutil.rmtree(base)
    else:
        console.say(f"kept: {base}")
    return report.code


def _base(root: Path, commit: str, request: Request) -> Path:
    """Give the folder to work in, which must be empty or a former reproduction's own."""
    if request.into is None:
        return root.resolve() / REPRODUCTIONS / commit[:12]
    base = request.into.resolve()
    if base.exists() and (not base.is_dir() or any(base.iterdir())):
        raise ParameterError(f"--into {request.into}: is there and not empty: name a new folder")
    return base


def _reproduce(root: Path, commit: str, base: Path, request: Request, console: Voice) -> Report:
    lock = lock_of(root, commit)
    dirty = changes(root)
    if dirty:
        _note(console, f"{len(dirty)} files here are not committed: {commit[:12]} is without them")
    _note(console, f"cloning {commit[:12]} into {base}", style=None)
    shutil.rmtree(base, ignore_errors=True)
    clone = clean_clone(root, commit, base)
    steps = steps_of(clone.path)
    chosen = chosen_steps(request.only, steps)
    changed = changed_sources(clone.path, lock, steps)
    if changed:
        raise DataError(
            "the raw data are not those that were recorded, so nothing was run:\n  "
            + "\n  ".join(changed)
            + "\nbring back the recorded ones, or audit the new ones with `saliency-audit run`"
        )
    here = machine_of(clone.path).line
    report = Report(commit, recorded_machine(root, commit, lock), here)
    banded = request.stagewise or report.other_machine
    _say_machines(report, request, console)
    for line in _installed_otherwise(clone.path):
        _note(console, line)
    folder = base / "logs"
    running = Running()
    recorded = RecordedArtifacts(root, base / "recorded")
    outs = [str(out["path"]) for entry in lock.values() for out in entry.get("outs", [])]
    recorded.keep_committed(commit, clone.path, outs)
    with hold(folder / "alive.lock") as held, Shown(console) as shown:
        act = Reproduction(
            clone.path,
            steps,
            lock,
            recorded,
            Runner(clone.path, folder, running, held),
            shown,
            request.tolerance,
            request.band if banded else None,
        )
        try:
            if chosen or banded:
                report.alone = act.on_recorded_inputs(chosen or [step.name for step in steps])
            else:
                report.whole = act.from_the_start()
                hidden = [name for name, rerun in report.whole.items() if _is_hidden(rerun)]
                if hidden and report.verdict != IDENTICAL:
                    report.alone = act.on_recorded_inputs(hidden)
        finally:
            running.stop()
    return report


def _installed_otherwise(checkout: Path) -> list[str]:
    """Say what of the revision's requirements.lock is installed here in another version."""
    path = checkout / "requirements.lock"
    found = installed_otherwise(path.read_text("utf-8")) if path.is_file() else []
    return [f"installed otherwise than requirements.lock says: {', '.join(found)}"] if found else []


def _is_hidden(rerun: Rerun) -> bool:
    """Say whether it is not known yet what a stage does by itself: what it read differs."""
    return bool(rerun.changed) or rerun.ended == NOT_REACHED


class Shown(Progress):
    """Prints a line for each rerun, and on a terminal what runs now."""

    def __init__(self, console: Voice) -> None:
        self._console = console
        self._status = Status("", console=console)
        self._total = self._done = 0
        self._name = ""
        self._since = time.monotonic()
        self._spent = 0.0

    def __enter__(self) -> Shown:
        """Start to draw, on a terminal."""
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._status.stop()

    def begins(self, what: str, steps: int) -> None:
        """Say what a pass is about."""
        self._total, self._done = steps, 0
        self._console.say(f"{what}: {steps} stages")

    def started(self, name: str) -> None:
        """Show what runs now."""
        self._name = name
        self._status.update(f"stage {self._done + 1} of {self._total}: {escape(name)}")

    def progress(self, done: int, total: int | None) -> None:
        """Show how far it is."""
        of = f" of {total}" if total else ""
        where = f"stage {self._done + 1} of {self._total}: {escape(self._name)}"
        self._status.update(f"{where}, {done}{of}")

    def finished(self, rerun: Rerun) -> None:
        """Print how a stage came out."""
        self._done += 1
        colour = COLOURS[rerun.state]
        spent = in_words(time.monotonic() - self._since)
        self._console.print(
            f"[{self._done:>3}/{self._total}] [{colour}]{rerun.state}[/] {escape(rerun.name)} "
            f"({rerun.seconds:.1f} s; {spent} so far)",
            highlight=False,
            soft_wrap=True,
        )


def _note(console: Voice, text: str, style: str | None = "yellow") -> None:
    console.say(text, style)


def _say_machines(report: Report, request: Request, console: Voice) -> None:
    if report.recorded_on is None:
        _note(console, f"on what it was recorded is not known; here: {report.here}", style=None)
    elif not report.other_machine:
        _note(console, f"recorded on a machine like this one: {report.here}", style=None)
    else:
        _note(console, f"recorded on {report.recorded_on}\nreproduced on {report.here}")
        why = "so each stage is rerun on the recorded inputs"
        _note(console, f"{why}, and training is judged by its metrics", style=None)
    if request.stagewise and not report.other_machine:
        _note(console, "as asked, training is judged by its metrics", style=None)


def _say(report: Report, console: Voice) -> None:
    """Print the table of stages, the metrics that differ, and the verdict."""
    table = Table(show_edge=False, box=None, pad_edge=False)
    for title in ("stage", "artifact", "result"):
        table.add_column(title, overflow="fold")
    lines = []
    for name in dict.fromkeys([*report.whole, *report.alone]):
        for rerun, on in _of(report, name):
            for path, state, where in _rows(rerun):
                table.add_row(escape(name), escape(path), f"[{COLOURS[state]}]{state}[/]{on}")
                if where:
                    lines.append(
                        (state, f"{name}{on}, {path}: {where}" if path else f"{name}: {where}")
                    )
    console.print(table)
    for state, line in lines:
        _note(console, f"{state}: {line}", style=COLOURS[state])
    metrics = metric_differences(report)
    for place, difference in metrics[:SHOWN]:
        mark = "within" if difference.within else "differs"
        _note(console, f"metric {mark}: {place}, {difference}", style=None)
    if len(metrics) > SHOWN:
        _note(console, f"and {len(metrics) - SHOWN} metrics more: --json lists them", style=None)
    colour = COLOURS[report.verdict]
    _note(console, sentence(report), style=f"bold {colour}")


def _of(report: Report, name: str) -> list[tuple[Rerun, str]]:
    whole, alone = report.whole.get(name), report.alone.get(name)
    found = [(whole, "")] if whole else []
    # Of two passes, each row says on what the stage ran.
    return found + ([(alone, " on recorded inputs" if whole else "")] if alone else [])


def _rows(rerun: Rerun) -> list[tuple[str, str, str]]:
    """Give each artifact of a stage, its state, and where it first differs."""
    if rerun.ended:
        return [("", rerun.state, rerun.why)]
    rows = []
    for path, comparison in sorted(rerun.artifacts.items()):
        said = []
        if comparison.state != IDENTICAL:
            said = [comparison.note, str(comparison.first or ""), rerun.why]
            if rerun.changed:
                said.append(f"its inputs differ: {', '.join(rerun.changed)}")
        rows.append((path, comparison.state, "; ".join(filter(None, said))))
    return rows


def metric_differences(report: Report) -> list[tuple[str, Difference]]:
    """Give the metrics of the reports that differ: of the rerun from the start, where there is."""
    found = report.whole or report.alone
    return [
        (path, difference)
        for rerun in found.values()
        for path, comparison in rerun.artifacts.items()
        if path.endswith("/metrics.json")
        for difference in comparison.differences
    ]


def sentence(report: Report) -> str:
    """Give the verdict in one sentence."""
    commit, verdict = report.commit[:12], report.verdict
    stages = {**report.whole, **report.alone}
    artifacts = sum(len(rerun.artifacts) for rerun in stages.values())
    if verdict == IDENTICAL:
        return f"{commit} is reproduced: {artifacts} artifacts of {len(stages)} stages, same bytes"
    if verdict == WITHIN:
        return f"{commit} is reproduced: all artifacts are the same within the tolerance"
    if verdict == IN_BAND:
        return (
            f"{commit} is reproduced: all artifacts are the same within the tolerance, and "
            "trained models within the band"
        )
    first = report.first()
    if first is None:
        ended = [f"{n} ({r.state})" for n, r in stages.items() if r.ended]
        return f"{commit} could not be judged as a whole: {', '.join(ended)}"
    rerun, path, comparison = first
    where = comparison.note if comparison.first is None else str(comparison.first)
    why = f" ({rerun.why})" if rerun.why else ""
    causes = report.causes()
    by_itself = f"; on recorded inputs, {', '.join(causes)}" if report.alone and causes else ""
    verb = f"{by_itself} differ{'s' if len(causes) == 1 else ''}" if by_itself else ""
    return f"{commit} is not reproduced: first at {rerun.name}, {path}: {where}{why}{verb}"


def content(report: Report) -> dict[str, Any]:
    """Give a report as JSON can hold it; docs/reproduction.md lists the keys."""
    first = report.first()
    return {
        "commit": report.commit,
        "verdict": report.verdict,
        "sentence": sentence(report),
        "recorded_on": report.recorded_on,
        "here": report.here,
        "first": None if first is None else {"stage": first[0].name, "artifact": first[1]},
        "causes": report.causes(),
        "from_the_start": {name: _rerun(rerun) for name, rerun in report.whole.items()},
        "on_recorded_inputs": {name: _rerun(rerun) for name, rerun in report.alone.items()},
        "metrics": [{"file": p, **_difference(d)} for p, d in metric_differences(report)],
    }


def _rerun(rerun: Rerun) -> dict[str, Any]:
    return {
        "state": rerun.state,
        "seconds": round(rerun.seconds, 3),
        "why": rerun.why or None,
        "changed_inputs": list(rerun.changed),
        "artifacts": {path: _comparison(c) for path, c in sorted(rerun.artifacts.items())},
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    first = comparison.first
    return {
        "state": comparison.state,
        "note": comparison.note or None,
        "first": None if first is None else _difference(first),
        "differences": len(comparison.differences),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "place": difference.place,
        "recorded": difference.recorded,
        "rerun": difference.rerun,
        "within": difference.within,
        "more": difference.more or None,
    }
