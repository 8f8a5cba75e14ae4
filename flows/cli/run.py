"""`saliency-audit run`: one run in this checkout: check, plan, run, and say how it went."""

from __future__ import annotations

import errno
import json
import sqlite3
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from flows.execution.estimate import Estimate, Left, Underway, former_seconds, share_done, time_left
from flows.execution.gates import broken_rules, gate_results, moved
from flows.execution.gpus import Gpus, gpus_here
from flows.execution.graph import Node, plan, read_graph
from flows.execution.placement import Machine, Need, memory_here, slots_here, slots_of
from flows.execution.recovery import await_orphans, mend, remember
from flows.execution.stage import Outcome
from flows.ground.console import BUSY, DONE, Voice, interruptible
from flows.ground.hold import BusyError, alone_in
from flows.ground.parameters import check_parameters
from flows.ground.server import use_running
from saliency_audit.compute import Compute
from saliency_audit.errors import AuditError, DataError, ParameterError
from saliency_audit.problem import Severity
from tasks import places
from tasks.params import load
from tasks.stage import FAILED, INTERRUPTED, STOPPED
from tasks.supervision import end_self, follow_run

#: What a machine refuses that is no bug of ours; any other OSError is one.
REFUSALS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
}


def command(
    jobs: Annotated[
        int | None,
        typer.Option(help="Stages side by side; default: processor cores ÷ compute.threads."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and why, and run nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another run in this checkout to end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what ran, and why, as JSON on standard output.")
    ] = False,
) -> None:
    """Bring every audit of params.yaml up to date, and print where the report is.

    Runs the stages of dvc.yaml that are not up to date, through a Prefect flow; the result is
    that of `dvc repro`. Exit codes: 0 done or up to date, 2 bad parameter, 3 a stage failed,
    4 a quality gate stopped it, 6 another run is in progress, 130 interrupted.
    """
    sys.exit(run_audit(Path.cwd(), jobs, dry_run, wait, as_json))


def check_only(root: Path) -> int:
    """Check params.yaml and say so; gives the exit code."""
    console = Voice()
    try:
        check_parameters(root)
    except AuditError as error:
        return console.complain(error)
    console.print("params.yaml is in order")
    return DONE


def run_audit(root: Path, jobs: int | None, dry_run: bool, wait: bool, as_json: bool) -> int:
    """Bring every audit up to date; gives the exit code.

    ``wait``: until another run in this checkout has ended, instead of refusing. ``as_json``: says
    on standard output, for a program, what it says to a person on standard error.
    """
    console = Voice()
    interruptible()
    follow_run(end_self)
    try:
        with alone_in(root, console, wait):
            return _run(root, jobs, dry_run, as_json, console)
    except BusyError as error:
        console.error(error)
        return BUSY
    except AuditError as error:
        return console.complain(error)
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, OSError) and error.errno not in REFUSALS:
            raise
        # SQLite, which DVC and the store of maps keep their notes in, has errors of its own for a
        # disk that is full.
        return console.complain(
            DataError(
                f"the machine refused: {error}: see that the disk of {root} has space and can be "
                "written; finished stages are kept"
            )
        )
    except KeyboardInterrupt:
        console.say("interrupted: finished stages are kept; run again to go on", "red")
        return INTERRUPTED


def _run(root: Path, jobs: int | None, dry_run: bool, as_json: bool, console: Voice) -> int:
    started = time.monotonic()
    check_parameters(root)
    for what in chain(mend(root), await_orphans(root)):
        console.note(what)
    graph = read_graph(root)
    names = plan(graph)
    _say_plan(graph, names, console)
    if names:
        left = _estimate(root, graph, names, jobs or slots_here(root))([], {}, [])
        console.say(f"time, if all of them run: {left}")
    if not names or dry_run:
        if as_json:
            sys.stdout.write(summary(root, graph, names, {}) + "\n")
        _say_place(root, console)
        return DONE
    outcomes = _run_flow(root, graph, names, jobs, console)
    if as_json:
        sys.stdout.write(summary(root, graph, names, outcomes) + "\n")
    return _say_end(root, graph, names, outcomes, time.monotonic() - started, console)


def summary(
    root: Path, graph: Mapping[str, Node], names: list[str], outcomes: Mapping[str, Outcome]
) -> str:
    """Give a plan, and how its stages ended, as JSON; docs/commands.md lists the keys."""
    stages = {}
    for name in names:
        outcome = outcomes.get(name)
        stages[name] = {
            "why": list(graph[name].stale),
            "state": outcome.told if outcome else "not reached" if outcomes else "planned",
            "seconds": round(outcome.seconds, 3) if outcome else None,
            "error": outcome.error or None if outcome else None,
            "where": outcome.where or None if outcome else None,
            "log": str(outcome.log) if outcome else None,
        }
    page = _page(root)
    return json.dumps(
        {
            "up_to_date": len(graph) - len(names),
            "stages": stages,
            "report": str(page) if page.is_file() else None,
        }
    )


def _run_flow(
    root: Path, graph: Mapping[str, Node], names: list[str], jobs: int | None, console: Voice
) -> dict[str, Outcome]:
    # Prefect takes seconds to import and to start: only where there is work.
    use_running(root)
    from flows.execution.display import Display
    from flows.execution.flow import audit
    from flows.execution.observers import Observers
    from flows.execution.run_record import RunRecord
    from flows.lineage.openlineage_events import Events
    from flows.lineage.openlineage_sending import Sender
    from flows.workers.pools import pools_of

    compute = load(["compute"], root / places.PARAMS).read("compute", Compute)
    machine = Machine(jobs or slots_of(compute), Gpus(root, gpus_here()), memory_here())
    needs = _needs(graph, names, compute)
    for name, need in needs.items():
        machine.check(name, need)
        if need.pool and not graph[name].kept:
            raise ParameterError(
                f"dvc.yaml, stage {name}: meta.pool is {need.pool}, and its result comes back by "
                "DVC's run-cache, which keeps none of a stage without deps or outs, with "
                "always_changed, or with outs that persist: give it both, or take meta.pool away"
            )
    pools = pools_of(root) if any(need.pool for need in needs.values()) else None
    record = RunRecord(root, names)
    estimate = _estimate(root, graph, names, machine.slots)
    sender = Sender(root, console.warn)
    try:
        with (
            Display(console, len(names), estimate) as display,
            Events(root, graph, sender) as events,
        ):
            observers = Observers(record, display, events)
            outcomes = audit(root, graph, names, machine, needs, observers, pools)
    finally:
        record.close()
    remember(root)
    return outcomes


def _estimate(root: Path, graph: Mapping[str, Node], names: list[str], slots: int) -> Estimate:
    """Give what says how long the rest of a run may take, by former runs of this checkout."""
    former = former_seconds(root)
    # As the flow starts them: first those that most passes of a model wait for.
    order = sorted(names, key=lambda name: -graph[name].effort)
    needs = {name: graph[name].needs for name in names}
    away = [name for name in names if graph[name].meta.get("pool")]
    passes = {name: graph[name].passes for name in names}

    def estimate(
        done: Collection[str], underway: Mapping[str, Underway], failed: Collection[str]
    ) -> Left:
        left = time_left(order, needs, former, slots, done, underway, failed, away)
        # Before anything has begun nobody asks how much is done.
        begun = bool(done or underway)
        return replace(left, share=share_done(passes, done, underway) if begun else None)

    return estimate


def _needs(graph: Mapping[str, Node], names: list[str], compute: Compute) -> dict[str, Need]:
    """Give what each stage needs of a machine; GPUs only where models run on them."""
    needs = {name: Need.of(name, graph[name].meta) for name in names}
    if compute.device == "cuda":
        return needs
    return {name: replace(need, gpus=0) for name, need in needs.items()}


def _say_plan(graph: Mapping[str, Node], names: list[str], console: Voice) -> None:
    if not names:
        console.say(f"all {len(graph)} stages are up to date")
        return
    console.say(f"{len(names)} of {len(graph)} stages may have to run:")
    for name in names:
        reasons = graph[name].stale
        if reasons:
            more = f" and {len(reasons) - 2} more" if len(reasons) > 2 else ""
            console.say(f"  {name}: {'; '.join(reasons[:2])}{more}")


def _say_end(
    root: Path,
    graph: Mapping[str, Node],
    names: list[str],
    outcomes: Mapping[str, Outcome],
    seconds: float,
    console: Voice,
) -> int:
    by_state = {
        state: [name for name, outcome in outcomes.items() if outcome.told == state]
        for state in ("ran", "cached", "unchanged", "stopped", "failed")
    }
    not_reached = [name for name in names if name not in outcomes]
    counts = ", ".join(f"{len(names)} {state}" for state, names in by_state.items() if names)
    console.say(f"{counts} in {seconds:.0f} s")
    if not_reached:
        console.say(f"not reached: {', '.join(not_reached)}")
    _say_gates(root, graph, outcomes, console)
    for name in [*by_state["stopped"], *by_state["failed"]]:
        console.error(f"{name}: {outcomes[name].error}")
    if by_state["failed"]:
        return FAILED
    if by_state["stopped"]:
        return STOPPED
    _say_place(root, console)
    return DONE


def _say_gates(
    root: Path, graph: Mapping[str, Node], outcomes: Mapping[str, Outcome], console: Voice
) -> None:
    """Say what the gates that ran warn of, and what has drifted; what stops is an error."""
    warnings = [
        f"{row['of']}: {row['meaning']} {row['broken']} do not ({row['rule']}): {row['first']}"
        for row in broken_rules(list(gate_results(root, graph, outcomes)))
        if row["severity"] == Severity.WARN
    ]
    for said in [*warnings, *moved(root, outcomes)]:
        console.warn(said)


def _page(root: Path) -> Path:
    return root / places.REPORTS / "index.html"


def _say_place(root: Path, console: Voice) -> None:
    page = _page(root)
    if page.is_file():
        console.say(f"report: {page}")
