"""Sending a stage to a work pool: what it reads goes to the DVC remote, what it made comes back."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from flows.execution.placement import Need
from flows.execution.stage import Listener, Outcome, Runner
from flows.ground.git import WRITTEN, GitError, changes, commit_of
from flows.ground.prefect_client import ask
from flows.records.dvc_lock import entries_of
from flows.workers.worker import ENTRYPOINT, mutex_limit, refuse_without_remote
from saliency_audit.errors import ParameterError
from tasks.supervision import ELSEWHERE

#: Seconds between two looks at a stage that was sent.
LOOK = 2.0
#: Seconds without a sign of life after which a stage's worker counts as dead, and what sets them.
SILENCE, SILENCE_VARIABLE = 60.0, "SALIENCY_WORKER_SILENCE"
#: How often a stage is sent, where its worker dies.
ATTEMPTS = 3


class WorkerDiedError(Exception):
    """A worker has ended, or gives no sign of life."""


@dataclass(frozen=True)
class Pools:
    """The work pools that stages of a run are sent to.

    ``commit``: what workers check out.
    """

    root: Path
    commit: str

    def send(
        self, name: str, needs: frozenset[str], need: Need, runner: Runner, listener: Listener
    ) -> Outcome:
        """Have a worker run a stage, and take in its result; again where a worker dies."""
        started = time.monotonic()
        pushed = runner.dvc(name, ["push", *sorted(needs)], listener) if needs else 0
        if pushed != 0:
            error = "what it reads could not be pushed to the DVC remote: see the log"
            return Outcome(name, "failed", 0.0, runner.log(name), error)
        told = self._ask_until_told(name, needs, need, listener)
        seconds = time.monotonic() - started
        if told is None:
            error = f"{ATTEMPTS} workers of the pool {need.pool} died over it: see their logs"
            return Outcome(name, "failed", seconds, runner.log(name), error)
        worker = str(told.get("worker", need.pool))
        if told["state"] == "failed":
            error, gated = str(told["error"]), bool(told.get("gated"))
            return Outcome(name, "failed", seconds, runner.log(name), error, worker, gated)
        # What the worker recorded is in the run-cache now: DVC takes it from there.
        outcome = runner.run(name, {ELSEWHERE: worker}, None, listener, "--pull")
        state = outcome.state if outcome.state == "failed" else str(told["state"])
        return replace(outcome, state=state, seconds=time.monotonic() - started, where=worker)

    def _ask_until_told(
        self, name: str, needs: frozenset[str], need: Need, listener: Listener
    ) -> dict[str, Any] | None:
        """Send a stage, again where a worker dies; None where too many have."""

        def tell(state: RetryCallState) -> None:
            death = state.outcome.exception() if state.outcome else None
            listener.line(f"{death}: attempt {state.attempt_number} of {ATTEMPTS}")

        trying = Retrying(
            retry=retry_if_exception_type(WorkerDiedError),
            stop=stop_after_attempt(ATTEMPTS),
            after=tell,
            retry_error_callback=lambda _: None,
        )
        return trying(self._ask, name, needs, need, listener)

    def _ask(
        self, name: str, needs: frozenset[str], need: Need, listener: Listener
    ) -> dict[str, Any]:
        """Send a stage and wait; gives what its worker says. Raises WorkerDiedError."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(
                _deployment(client, need),
                name=name,
                parameters={
                    "stage": name,
                    "commit": self.commit,
                    "recorded": entries_of(self.root, sorted(needs)),
                    "gpus": need.gpus,
                    "memory_gib": need.memory_gib,
                    "mutex": need.mutex,
                    "minutes": need.minutes,
                },
                tags=[*name.split("@", 1), "saliency-audit"],
            )
            listener.line(f"sent to the work pool {need.pool}: flow run {run.id}")
            try:
                return _await(client, run.id, listener)
            except BaseException:
                _cancel(client, run.id)
                raise


def pools_of(root: Path) -> Pools:
    """Give the pools that this clone can send to.

    Raises ParameterError without a server, GitError without a DVC remote, and for what is not
    committed: workers get a commit.
    """
    if "PREFECT_API_URL" not in os.environ:
        raise ParameterError(
            "stages are sent to work pools by a Prefect server: start `saliency-audit serve`, or "
            "set PREFECT_API_URL"
        )
    refuse_without_remote(root)
    found = [line for line in changes(root) if not line[3:].startswith(WRITTEN)]
    if found:
        listed = "\n  ".join(found[:20])
        raise GitError(
            f"workers get a commit, and these files are not committed:\n  {listed}\ncommit them"
        )
    return Pools(root, commit_of(root, "HEAD"))


def _deployment(client: Any, need: Need) -> UUID:
    """Register the flow that workers run, for a pool; gives its id."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    assert need.pool is not None
    try:
        client.read_work_pool(need.pool)
    except ObjectNotFound:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=need.pool, type="process"))
    if need.mutex is not None:
        # Another stage of the same mutex may make it at this moment.
        with suppress(ObjectAlreadyExists):
            client.upsert_global_concurrency_limit_by_name(mutex_limit(need.mutex), 1)
    flow = client.create_flow_from_name("stage")
    return UUID(
        str(
            client.create_deployment(
                flow, name=need.pool, work_pool_name=need.pool, entrypoint=ENTRYPOINT
            )
        )
    )


def _await(client: Any, run: UUID, listener: Listener) -> dict[str, Any]:
    """Wait until a flow run has ended, or gives no more sign of life."""
    import httpx

    silence = float(os.environ.get(SILENCE_VARIABLE, SILENCE))
    seen: object = None
    since = time.monotonic()
    while True:
        time.sleep(LOOK)
        try:
            state = client.read_flow_run(run).state
            beat = _beat(client, run) if state.is_running() else None
        except httpx.HTTPError as error:
            # The server may be on its way back; the worker's own signs of life need it, too.
            if time.monotonic() - since > silence:
                raise WorkerDiedError(f"the Prefect server does not answer: {error}") from None
            continue
        if state.is_completed() or (state.is_failed() and _told(state.message)):
            return _told(state.message) or {"state": "failed", "error": state.message}
        if state.is_final():
            raise WorkerDiedError(f"the worker ended as {state.name}: {state.message}")
        # As long as it waits for a worker, it may wait as long as it takes. Pending it has one: if
        # that dies before it has begun, no other takes it.
        if state.is_scheduled() or (state.type, beat) != seen:
            if beat is not None:
                listener.progress(round(float(beat[1] or 0)), 100)
            seen, since = (state.type, beat), time.monotonic()
        elif time.monotonic() - since > silence:
            raise WorkerDiedError(f"its worker gave no sign of life for {silence:.0f} s")


def _beat(client: Any, run: UUID) -> tuple[str, float] | None:
    """Give when a worker last showed its progress, and that."""
    chosen = {"artifacts": {"flow_run_id": {"any_": [str(run)]}}}
    found = ask(client, "/artifacts/filter", chosen)
    return (found[0]["updated"], found[0]["data"]) if found else None


def _told(message: str | None) -> dict[str, Any]:
    try:
        told = json.loads(message or "")
    except ValueError:
        return {}
    return told if isinstance(told, dict) and "state" in told else {}


def _cancel(client: Any, run: UUID) -> None:
    """End a flow run that nobody waits for; a worker that is alive stops its stage."""
    from prefect.exceptions import PrefectException
    from prefect.states import Cancelling, Crashed

    try:
        state = client.read_flow_run(run).state
        if state is not None and not state.is_final():
            wanted: Any = Cancelling() if state.is_running() else Crashed(message="not waited for")
            client.set_flow_run_state(run, wanted, force=True)
    except (PrefectException, OSError):
        return
