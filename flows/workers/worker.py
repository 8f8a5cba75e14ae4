"""A worker: it runs stages that a run on another machine sends, in a clone of its own.

It is sent a commit, the name of a stage, and the digests of what that stage reads. It fetches the
files by digest from the DVC remote, runs the stage by DVC in a worktree of the commit, and pushes
what came of it, with DVC's run-cache, to the same remote.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    stop_after_attempt,
    wait_exponential,
)

from flows.execution.gpus import Gpus, gpus_here
from flows.execution.placement import Need, Place
from flows.execution.stage import Listener, Outcome, Runner, Running, error_of
from flows.ground.git import GitError, commit_of, git
from flows.ground.hold import hold
from flows.ground.prefect_client import forget_worker
from flows.ground.worktrees import FOLDER, Worktree, create
from flows.records.dvc_lock import put
from saliency_audit.compute import Compute
from saliency_audit.errors import AuditError, DataError, ParameterError
from tasks import places
from tasks.params import load
from tasks.supervision import end_self, follow_run

#: The worker's clone, for the processes that Prefect starts for it, and its name.
CLONE, NAME = "SALIENCY_CLONE", "SALIENCY_WORKER"
#: Seconds between two signs of life.
BEAT = 5.0
#: Seconds after which Prefect takes back what a worker that died held; it allows no fewer.
LEASE = 60.0
#: Attempts to push to the remote, and seconds before the second; doubled each time.
PUSHES, PAUSE = 6, 2.0
#: What a stage that the flow sends holds, as its name in Prefect.
ENTRYPOINT = "flows.workers.worker.work"


def gpu_limit(worker: str) -> str:
    """Give the name of the limit that counts a worker's GPUs."""
    return f"gpu:{worker}"


def memory_limit(worker: str) -> str:
    """Give the name of the limit that counts a worker's memory, in GiB."""
    return f"memory:{worker}"


def mutex_limit(mutex: str) -> str:
    """Give the name of the limit of a mutex, over all workers."""
    return f"mutex:{mutex}"


class Heart(Listener):
    """Shows on Prefect's page how far a stage is, and that its worker is alive."""

    def __init__(self, stage: str) -> None:
        self._log = get_run_logger()
        self._percent = 0.0
        self._done = threading.Event()
        self._artifact: Any = create_progress_artifact(0.0, description=f"{stage}: progress")
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heart:
        """Start to beat."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._done.set()
        self._thread.join()

    def line(self, text: str) -> None:
        """Log a line."""
        self._log.info(text)

    def progress(self, done: int, total: int | None) -> None:
        """Take note of how far the stage is."""
        if total:
            self._percent = 100 * done / total

    def _beat(self) -> None:
        while not self._done.wait(BEAT):
            try:
                update_progress_artifact(self._artifact, self._percent)
            except Exception as error:
                # The server may come back; the run that waits decides for how long to wait.
                self._log.warning("no sign of life could be given: %s", error)


@flow(name="stage", flow_run_name="{stage}", persist_result=False)
def work(
    stage: str,
    commit: str,
    recorded: dict[str, Any],
    gpus: int = 0,
    memory_gib: float = 0.0,
    mutex: str | None = None,
    minutes: float | None = None,
) -> State[Any]:
    """Run a stage of a commit and push what came of it.

    ``recorded``: what DVC recorded of the stages that this one needs, as in dvc.lock. The state's
    message is JSON: ``state``, ``seconds``, ``error``, ``worker``.
    """
    follow_run(end_self)
    clone, name = Path(os.environ[CLONE]), os.environ[NAME]
    need = Need(gpus, memory_gib, mutex, minutes)
    with Heart(stage) as heart:
        try:
            worktree = _checkout(clone, commit)
            with _holding(clone, name, need) as place:
                outcome = _work(worktree, stage, recorded, place, need, heart)
        except AuditError as error:
            outcome = Outcome(stage, "failed", 0.0, Path(), str(error))
    told = json.dumps(
        {
            "state": outcome.state,
            "seconds": outcome.seconds,
            "error": outcome.error,
            "worker": name,
            "gated": outcome.gated,
        }
    )
    return Failed(message=told) if outcome.state == "failed" else Completed(message=told)


def _checkout(clone: Path, commit: str) -> Worktree:
    """Give the worktree of a commit, shared by its stages; raises where git does not have it."""
    name = f"stages-{commit[:12]}"
    with hold(clone / places.LOCAL / "worktree.lock"):
        try:
            commit_of(clone, commit)
        except ParameterError:
            # One at a time: git refuses the second of two that move the same branch.
            git(clone, "fetch", "--quiet", "--all")
            commit_of(clone, commit)
        base = clone.resolve() / FOLDER / name
        there = Worktree(clone.resolve(), base, base / clone.resolve().relative_to("/"))
        if (there.path / "dvc.yaml").is_file():
            return there
        made = create(clone, commit, name)
        made.link_sources()
        return made


@contextmanager
def _holding(clone: Path, worker: str, need: Need) -> Iterator[Place]:
    """Hold what a stage needs of this worker; Prefect counts, and files name the GPUs.

    A lease that Prefect's server has lost ends no healthy stage, and the files see to it that no
    two stages get one GPU then.
    """
    with ExitStack() as held:
        for limit, number in (
            (gpu_limit(worker), need.gpus),
            (memory_limit(worker), ceil(need.memory_gib)),
            (mutex_limit(need.mutex or ""), int(need.mutex is not None)),
        ):
            if number:
                held.enter_context(
                    concurrency(
                        limit,
                        occupy=number,
                        lease_duration=LEASE,
                        strict=True,
                        raise_on_lease_renewal_failure=False,
                    )
                )
        gpus = Gpus(clone, gpus_here())
        yield Place(0, held.enter_context(gpus.await_free(need.gpus)))


def _work(
    worktree: Worktree,
    stage: str,
    recorded: Mapping[str, Any],
    place: Place,
    need: Need,
    heart: Heart,
) -> Outcome:
    """Fetch what a stage needs, run it, push what it made."""
    put(worktree.path, recorded)
    needed = [out["path"] for entry in recorded.values() for out in entry.get("outs", ())]
    if needed:
        _dvc(worktree, heart, "pull", "--force", "--run-cache", *recorded)
    running = Running()
    folder = worktree.path / places.LOCAL / "logs" / "worker"
    with hold(folder / f"{os.getpid()}.lock") as held:
        runner = Runner(worktree.path, folder, running, held)
        environment = {**worktree.environment(), **place.environment()}
        try:
            outcome = runner.run(stage, environment, need.minutes, heart)
        finally:
            running.stop()
    if outcome.state != "failed":
        _dvc(worktree, heart, "push", "--run-cache", stage)
    return outcome


def _dvc(worktree: Worktree, heart: Heart, verb: str, *arguments: str) -> None:
    """Fetch from the remote or push to it; again where it does not answer, then DataError."""

    def tell(state: RetryCallState) -> None:
        heart.line(f"dvc {verb} failed ({state.attempt_number} of {PUSHES}): {_said(state)}")

    def give_up(state: RetryCallState) -> None:
        raise DataError(
            f"dvc {verb} of {arguments[-1]} failed {PUSHES} times: {_said(state)}: what was "
            "computed is kept in the worker's cache, and is pushed when the stage is sent again"
        )

    trying = Retrying(
        retry=retry_if_result(lambda found: found.returncode != 0),
        stop=stop_after_attempt(PUSHES),
        wait=wait_exponential(multiplier=PAUSE),
        after=tell,
        retry_error_callback=give_up,
    )
    trying(worktree.call, "dvc", "--wait-for-lock", verb, *arguments)


def _said(state: RetryCallState) -> str:
    """Say what went wrong in the last attempt."""
    assert state.outcome is not None
    found = state.outcome.result()
    return error_of(found.stderr.strip() or found.stdout)


def serve_stages(root: Path, pool: str, name: str | None, slots: int, gpus: int, gib: float) -> int:
    """Take stages from a work pool until interrupted; gives the exit code."""
    import subprocess
    import sys

    from prefect.client.orchestration import get_client

    name = name or socket.gethostname()
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(gpu_limit(name), gpus)
        client.upsert_global_concurrency_limit_by_name(memory_limit(name), int(gib))
    with hold(root / places.LOCAL / f"worker-{pool}.lock") as held:
        command = ["worker", "start", "--type", "process", "--pool", pool, "--name", name]
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.workers.process", *command, "--limit", str(slots)],
            cwd=root,
            env={
                **os.environ,
                CLONE: str(root.resolve()),
                NAME: name,
                "PYTHONPATH": str(root.resolve()),
                "SALIENCY_RUN": str(held.resolve()),
                "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
            },
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            _say_goodbye(pool, name)
            raise
        finally:
            process.terminate()
            process.wait()


def _say_goodbye(pool: str, name: str) -> None:
    """Have the server forget a worker that was ended: it has not gone silent."""
    import httpx
    from prefect.client.orchestration import get_client

    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
        forget_worker(client, pool, name)


def refuse_without_remote(root: Path) -> None:
    """Raise GitError where DVC has no remote: results could not come back."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        if not repo.config["core"].get("remote"):
            raise GitError(
                "stages for a work pool travel through a DVC remote, and this clone has none: "
                "`dvc remote add --default store <folder or s3://…>`"
            )


def refuse_without_cuda(root: Path, pool: str) -> None:
    """Raise ParameterError where stages of a pool run on GPUs and PyTorch sees none here.

    It would take them, and each would end with an error of PyTorch's.
    """
    from dvc.repo import Repo

    if load(["compute"], root / places.PARAMS).read("compute", Compute).device != "cuda":
        return
    with Repo(str(root)) as repo:
        needs = {s.addressing: Need.of(s.addressing, s.meta or {}) for s in repo.index.stages}
    asking = [name for name, need in needs.items() if need.pool == pool and need.gpus]
    if not asking:
        return
    import torch

    if not torch.cuda.is_available():
        raise ParameterError(
            f"{asking[0]} is for the pool {pool} and runs on a GPU (meta.gpu in dvc.yaml, "
            f"compute.device cuda), and PyTorch {torch.__version__} sees none here: see whether "
            "`nvidia-smi` lists one, whether this PyTorch is built for CUDA, and what "
            "CUDA_VISIBLE_DEVICES says"
        )
