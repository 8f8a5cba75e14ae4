"""`saliency-audit worker`: a clone that takes stages from a work pool."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from flows.execution.placement import gpus_here, memory_here, slots_here
from flows.ground.console import complain, interruptible
from flows.ground.server import answers, use_running
from saliency_audit.errors import AuditError, ParameterError
from tasks.stage import INTERRUPTED


def work_for(root: Path, pool: str, name: str | None, slots: int | None) -> int:
    """Take stages from a pool until interrupted; gives the exit code."""
    console = Console(stderr=True)
    interruptible()
    try:
        use_running(root)
        url = os.environ.get("PREFECT_API_URL", "")
        if not answers(url):
            raise ParameterError(
                f"no Prefect server answers at {url or 'PREFECT_API_URL, which is not set'}: a "
                "worker takes its stages from one"
            )
        from flows.workers.worker import refuse_without_remote, serve_stages

        refuse_without_remote(root)
        number = slots or slots_here(root)
        gpus = gpus_here()
        console.print(
            f"taking stages from the pool {pool}, {number} at a time; GPUs: {', '.join(gpus)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return serve_stages(root, pool, name, number, len(gpus), memory_here())
    except AuditError as error:
        return complain(console, error)
    except KeyboardInterrupt:
        return INTERRUPTED
