"""The audit as a Prefect flow: DVC's graph, a task per stage, started when its inputs are there."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from uuid import UUID

import httpx
from prefect import flow, tags, task
from prefect.artifacts import (
    create_link_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.execution.gates import broken_rules, gate_results, in_words
from flows.execution.graph import Node
from flows.execution.observers import Observer
from flows.execution.placement import Machine, Need, Place
from flows.execution.stage import Listener, Outcome, Runner, Running
from flows.ground.hold import hold
from flows.ground.server import ServerError
from tasks import places

#: Seconds between two looks at the running stages.
POLL = 0.2
#: Seconds between two updates of a stage's progress on Prefect's page: each is work for its server.
SHOW = 5.0
#: What Prefect's client raises where its server, or the server's database, does not answer.
UNANSWERED = (httpx.HTTPError, PrefectHTTPStatusError, ConcurrencySlotAcquisitionError)
#: Seconds between two attempts to start a stage then, and for which it is tried.
PAUSE, PATIENCE = 2.0, 180.0


class Pools(Protocol):
    """Where stages are sent that another machine is to run."""

    def send(
        self, name: str, needs: frozenset[str], need: Need, runner: Runner, listener: Listener
    ) -> Outcome:
        """Have a stage run elsewhere, and take in its result."""
        ...


class Telling(Listener):
    """Gives a stage's output to Prefect's log, and its progress to Prefect's page."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._log = get_run_logger()
        self._artifact: UUID | None = None
        self._shown = 0.0

    def line(self, text: str) -> None:
        """Log a line."""
        self._log.info(text)

    def progress(self, done: int, total: int | None) -> None:
        """Show the fraction that is done, once it is known of how many."""
        if total and time.monotonic() - self._shown >= SHOW:
            self._show(100 * done / total)

    def finished(self) -> None:
        """Show that all is done, where a fraction was shown."""
        if self._artifact is not None:
            self._show(100.0)

    def _show(self, percent: float) -> None:
        self._shown = time.monotonic()
        try:
            if self._artifact is None:
                what = f"{self._name}: share of its images"
                self._artifact = create_progress_artifact(percent, description=what)  # type: ignore[assignment]
            else:
                update_progress_artifact(self._artifact, percent)
        except Exception as error:
            # A page that cannot be drawn is no reason to stop a stage.
            self._log.warning("progress is not shown: %s", error)


@task(name="stage", task_run_name="{node.name}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(
    runner: Runner, node: Node, environment: Mapping[str, str], need: Need, pools: Pools | None
) -> State[Outcome]:
    """Run one stage through DVC, here or in a work pool; failed where DVC or the stage failed."""
    telling = Telling(node.name)
    if need.pool is None:
        outcome = runner.run(node.name, environment, need.minutes, telling)
    else:
        assert pools is not None
        outcome = pools.send(node.name, node.needs, need, runner, telling)
    if outcome.state == "failed":
        return Failed(message=outcome.error, data=outcome)
    telling.finished()
    return Completed(message=outcome.state, data=outcome)


def audit(
    root: Path,
    graph: Mapping[str, Node],
    plan: list[str],
    machine: Machine,
    needs: Mapping[str, Need],
    observer: Observer,
    pools: Pools | None = None,
) -> dict[str, Outcome]:
    """Run the stages of ``plan``, as many side by side as ``machine`` holds.

    ``needs``: what each stage needs of it; ``pools``: takes those that are for a work pool. One
    that fails stops what depends on it and nothing else. Gives the outcomes by name; a stage
    without one was not reached.
    """
    run = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = root / ".saliency" / "logs" / run
    running = Running()
    ended: list[dict[str, Outcome]] = []
    # A stage that was sent away waits in a thread, and takes no slot.
    sent = sum(needs[name].pool is not None for name in plan)

    @flow(
        name="saliency-audit",
        flow_run_name=run,
        task_runner=ThreadPoolTaskRunner(max_workers=machine.slots + sent),  # type: ignore[arg-type]
        persist_result=False,
        validate_parameters=False,
    )
    def saliency_audit() -> State[dict[str, Outcome]]:
        try:
            submit = _submit(Runner(root, folder, running, held), graph, needs, observer, pools)
            outcomes = _schedule(graph, plan, machine, needs, submit, observer)
        except BaseException:
            # Prefect waits for its tasks before it gives an interrupt on: end what they wait for.
            running.stop()
            raise
        ended.append(outcomes)
        _show(root, graph, plan, outcomes)
        failed = [name for name, outcome in outcomes.items() if outcome.state == "failed"]
        if failed:
            return Failed(message=f"failed: {', '.join(failed)}", data=outcomes)
        return Completed(message=_counts(plan, outcomes), data=outcomes)

    with hold(folder / "alive.lock") as held:
        try:
            state = saliency_audit(return_state=True)
        except Exception as error:
            if not _is_unanswered(error):
                raise
            if not ended:
                raise ServerError(f"{_unanswered(error)}; finished stages are kept") from None
        finally:
            running.stop()
    if not ended:
        found: object = state.result(raise_on_failure=False)
        if _is_unanswered(found):
            raise ServerError(f"{_unanswered(found)}; finished stages are kept")
        assert isinstance(found, BaseException)
        raise found
    # The stages have ended, whether Prefect's server has heard of it or not.
    return ended[0]


def _is_unanswered(error: object) -> bool:
    """Say whether an error is that Prefect's server did not answer.

    The first request of all of Prefect's client breaks by a RuntimeError with the reason behind it.
    """
    behind = error.__cause__ if isinstance(error, RuntimeError) else error
    return isinstance(behind, UNANSWERED)


def _unanswered(error: object) -> str:
    where = os.environ.get("PREFECT_API_URL", "of this run")
    return f"the Prefect server at {where} does not answer ({error or type(error).__name__})"


def _counts(plan: list[str], outcomes: Mapping[str, Outcome]) -> str:
    states = Counter(o.told for o in outcomes.values())
    states["not reached"] = len(plan) - len(outcomes)
    return ", ".join(f"{number} {state}" for state, number in states.items() if number)


def _show(
    root: Path, graph: Mapping[str, Node], plan: list[str], outcomes: Mapping[str, Outcome]
) -> None:
    """Leave on Prefect's page how each stage ended, and where the reports are."""
    rows: list[dict[str, Any]] = []
    for name in plan:
        outcome = outcomes.get(name)
        rows.append(
            {
                "stage": name,
                "state": outcome.told if outcome else "not reached",
                "seconds": round(outcome.seconds, 1) if outcome else None,
                "why": "; ".join(graph[name].stale[:3]),
                "error": outcome.error if outcome else "",
                "where": outcome.where if outcome else "",
            }
        )
    try:
        create_table_artifact(rows, key="stages", description=_counts(plan, outcomes))
        gates = list(gate_results(root, graph))
        create_table_artifact(broken_rules(gates), key="quality", description=in_words(gates))
        for page in sorted((root / places.REPORTS).rglob("index.html")):
            dataset = page.parent.name.replace("_", "-")
            create_link_artifact(
                page.resolve().as_uri(), page.parent.name, key=f"report-{dataset}".lower()
            )
    except Exception as error:
        # The audit is done; only its page in Prefect is not.
        get_run_logger().warning("tables and links are not shown: %s", error)


Submit = Callable[[str, Place], "PrefectFuture[Outcome]"]


def _submit(
    runner: Runner,
    graph: Mapping[str, Node],
    needs: Mapping[str, Need],
    observer: Observer,
    pools: Pools | None,
) -> Submit:
    def submit(name: str, place: Place) -> PrefectFuture[Outcome]:
        observer.started(name, runner.folder)
        # The stage's kind, and what it is of: both are filters on Prefect's page.
        with tags(*name.split("@", 1)):
            return stage_task.with_options(description=graph[name].description).submit(
                runner, graph[name], place.environment(), needs[name], pools
            )  # type: ignore[return-value]

    return submit


def _schedule(
    graph: Mapping[str, Node],
    plan: list[str],
    machine: Machine,
    needs: Mapping[str, Need],
    submit: Submit,
    observer: Observer,
) -> dict[str, Outcome]:
    """Submit each stage when all that it reads has finished well and the machine can hold it.

    Of several, the one that most passes of a model wait for: so that no long way is left for the
    end, when there is nothing to do beside it.
    """
    waiting = sorted(plan, key=lambda name: -graph[name].effort)
    unanswered = Unanswered()
    active: dict[str, PrefectFuture[Outcome]] = {}
    outcomes: dict[str, Outcome] = {}
    # A future's state asks the server each time; its callback costs nothing.
    ended: SimpleQueue[str] = SimpleQueue()
    while waiting or active:
        ready = [n for n in waiting if _ready(graph[n], plan, outcomes)]
        for name in ready:
            if not unanswered.due(name):
                continue
            place = machine.place(name, needs[name])
            if place is not None:
                waiting.remove(name)
                active[name] = submit(name, place)
                active[name].add_done_callback(partial(_note, ended, name))
        # One that is ready waits for Prefect's server, or for a GPU that a worker has.
        if not active and not ready:
            break
        try:
            name = ended.get(timeout=POLL)
        except Empty:
            observer.tick()
            continue
        machine.release(name)
        result = _result(active.pop(name))
        if unanswered.again(name, result):
            waiting.insert(0, name)
            continue
        outcomes[name] = _outcome(name, result)
        observer.finished(outcomes[name])
    return outcomes


def _note(ended: SimpleQueue[str], name: str, _future: PrefectFuture[Outcome]) -> None:
    ended.put(name)


def _ready(node: Node, plan: list[str], outcomes: Mapping[str, Outcome]) -> bool:
    return all(
        needed in outcomes and outcomes[needed].state != "failed"
        for needed in node.needs
        if needed in plan
    )


class Unanswered:
    """Stages that could not start because Prefect's server did not answer: tried again for a time.

    Its tasks ask it before they start. A server that is restarted ends no run so.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._next: dict[str, float] = {}

    def again(self, name: str, result: object) -> bool:
        """Say whether a stage whose task gave ``result`` is to be tried again."""
        if not _is_unanswered(result):
            return False
        now = time.monotonic()
        self._next[name] = now + PAUSE
        return now - self._since.setdefault(name, now) < PATIENCE

    def due(self, name: str) -> bool:
        """Say whether a stage may be tried now."""
        return time.monotonic() >= self._next.get(name, 0.0)


def _result(future: PrefectFuture[Outcome]) -> object:
    """Give what a task gave, or what it broke by: a task may break before it has a state."""
    try:
        return future.result(raise_on_failure=False)
    except Exception as error:
        if not _is_unanswered(error):
            raise
        return error


def _outcome(name: str, result: object) -> Outcome:
    if isinstance(result, Outcome):
        return result
    if _is_unanswered(result):
        return Outcome(name, "failed", 0.0, Path(), _unanswered(result))
    # The task itself broke, not the stage.
    return Outcome(name, "failed", 0.0, Path(), str(result))
