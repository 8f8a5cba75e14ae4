"""`saliency-audit worker`: a clone that takes stages from a work pool."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.execution.gpus import gpus_here
from flows.execution.placement import memory_here, slots_here
from flows.ground.console import Voice, interruptible
from flows.ground.server import answers, use_running
from saliency_audit.errors import AuditError, ParameterError
from tasks.stage import INTERRUPTED


def command(
    pool: Annotated[str, typer.Option(help="Work pool to take stages from.")],
    name: Annotated[
        str | None, typer.Option(help="Name of this worker; default: the machine's.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Stages side by side; default: as in `run`.")
    ] = None,
) -> None:
    """Run stages that a run on another machine sends, in this clone, until interrupted.

    A run sends the stages whose meta in dvc.yaml says `pool`. Set PREFECT_API_URL (and
    PREFECT_API_AUTH_STRING) to the server of both, and give both clones the same DVC remote.
    """
    sys.exit(work_for(Path.cwd(), pool, name, slots))


def work_for(root: Path, pool: str, name: str | None, slots: int | None) -> int:
    """Take stages from a pool until interrupted; gives the exit code."""
    console = Voice()
    interruptible()
    try:
        use_running(root)
        url = os.environ.get("PREFECT_API_URL", "")
        if not answers(url):
            raise ParameterError(
                f"no Prefect server answers at {url or 'PREFECT_API_URL, which is not set'}: a "
                "worker takes its stages from one"
            )
        from flows.workers.worker import refuse_without_cuda, refuse_without_remote, serve_stages

        refuse_without_remote(root)
        refuse_without_cuda(root, pool)
        number = slots or slots_here(root)
        gpus = gpus_here()
        console.say(
            f"taking stages from the pool {pool}, {number} at a time; GPUs: {', '.join(gpus)}"
        )
        return serve_stages(root, pool, name, number, len(gpus), memory_here())
    except AuditError as error:
        return console.complain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
