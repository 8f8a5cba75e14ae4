"""The audit as a Prefect flow: DVC's graph, a task per stage, started when its inputs are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.graph import Node
from flows.placement import Machine, Need, Place
from flows.stages import Outcome, Running, run_stage

#: Seconds between two looks at the running stages.
POLL = 0.2


class Watch:
    """Told what happens in a flow, as it happens; the default says nothing."""

    def started(self, name: str, folder: Path) -> None:
        """Take note that a stage has started; its progress lies in ``folder``."""

    def finished(self, outcome: Outcome) -> None:
        """Take note of how a stage ended."""

    def tick(self) -> None:
        """Take the occasion to draw."""


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(
    name: str, root: Path, folder: Path, running: Running, place: Place, minutes: float | None
) -> State[Outcome]:
    """Run one stage through DVC; failed where DVC or the stage failed."""
    tell = get_run_logger().info
    outcome = run_stage(root, name, folder, running, tell, place.environment(), minutes)
    if outcome.state == "failed":
        return Failed(message=outcome.error, data=outcome)
    return Completed(message=outcome.state, data=outcome)


def audit(
    root: Path,
    graph: Mapping[str, Node],
    plan: list[str],
    machine: Machine,
    needs: Mapping[str, Need],
    watch: Watch,
) -> dict[str, Outcome]:
    """Run the stages of ``plan``, as many side by side as ``machine`` holds.

    ``needs``: what each stage needs of it. One that fails stops what depends on it and nothing
    else. Gives the outcomes by name; a stage without one was not reached.
    """
    run = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = root / ".saliency" / "logs" / run
    running = Running()

    @flow(
        name="saliency-audit",
        flow_run_name=run,
        task_runner=ThreadPoolTaskRunner(max_workers=machine.slots),  # type: ignore[arg-type]
        persist_result=False,
        validate_parameters=False,
    )
    def saliency_audit() -> State[dict[str, Outcome]]:
        try:
            submit = _submit(root, folder, running, needs, watch)
            outcomes = _schedule(graph, plan, machine, needs, submit, watch)
        except BaseException:
            # Prefect waits for its tasks before it gives an interrupt on: end what they wait for.
            running.stop()
            raise
        failed = [name for name, outcome in outcomes.items() if outcome.state == "failed"]
        if failed:
            return Failed(message=f"failed: {', '.join(failed)}", data=outcomes)
        return Completed(message=f"{len(outcomes)} stages", data=outcomes)

    try:
        state = saliency_audit(return_state=True)
    finally:
        running.stop()
    return state.result(raise_on_failure=False)  # type: ignore[return-value]


Submit = Callable[[str, Place], "PrefectFuture[Outcome]"]


def _submit(
    root: Path, folder: Path, running: Running, needs: Mapping[str, Need], watch: Watch
) -> Submit:
    def submit(name: str, place: Place) -> PrefectFuture[Outcome]:
        watch.started(name, folder)
        limit = needs[name].minutes
        return stage_task.submit(name, root, folder, running, place, limit)  # type: ignore[return-value]

    return submit


def _schedule(
    graph: Mapping[str, Node],
    plan: list[str],
    machine: Machine,
    needs: Mapping[str, Need],
    submit: Submit,
    watch: Watch,
) -> dict[str, Outcome]:
    """Submit each stage when all that it reads has finished well and the machine can hold it.

    Of several, the one that most passes of a model wait for: so that none of them is left for the
    end, when there is nothing to do beside it.
    """
    waiting = sorted(plan, key=lambda name: -graph[name].passes)
    active: dict[str, PrefectFuture[Outcome]] = {}
    outcomes: dict[str, Outcome] = {}
    # A future's state asks the server each time; its callback costs nothing.
    ended: SimpleQueue[str] = SimpleQueue()
    while waiting or active:
        for name in [n for n in waiting if _ready(graph[n], plan, outcomes)]:
            place = machine.place(name, needs[name])
            if place is not None:
                waiting.remove(name)
                active[name] = submit(name, place)
                active[name].add_done_callback(partial(_note, ended, name))
        if not active:
            break
        try:
            name = ended.get(timeout=POLL)
        except Empty:
            watch.tick()
            continue
        machine.release(name)
        outcomes[name] = _outcome(name, active.pop(name))
        watch.finished(outcomes[name])
    return outcomes


def _note(ended: SimpleQueue[str], name: str, _future: PrefectFuture[Outcome]) -> None:
    ended.put(name)


def _ready(node: Node, plan: list[str], outcomes: Mapping[str, Outcome]) -> bool:
    return all(
        needed in outcomes and outcomes[needed].state != "failed"
        for needed in node.needs
        if needed in plan
    )


def _outcome(name: str, future: PrefectFuture[Outcome]) -> Outcome:
    result: object = future.result(raise_on_failure=False)
    if isinstance(result, Outcome):
        return result
    # The task itself broke, not the stage.
    return Outcome(name, "failed", 0.0, Path(), str(result))
