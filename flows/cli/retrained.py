"""`saliency-audit retrained`: what a training pipeline says when it has new weights."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from flows.ground.console import complain
from flows.ground.server import use_running
from flows.history.releases import Release, adopt_release, permitted, sha256_of, weights_of
from flows.serving.schedule import read_schedule
from saliency_audit.errors import AuditError, ParameterError


def announce_retrained(
    root: Path, classifier: str, weights: str, digest: str | None, update: bool, event: bool
) -> int:
    """Put new weights into the registry and send the event; gives the exit code."""
    console = Console(stderr=True)
    try:
        release = _release(root, classifier, weights, digest)
        if update:
            file = adopt_release(root, release, read_schedule(root).models, root)
            console.print(f"{file} is now {release.digest}", highlight=False, soft_wrap=True)
        if event:
            from flows.serving.events import RETRAINED, emit

            url = use_running(root)
            emit(RETRAINED, classifier, asdict(release))
            console.print(f"sent {RETRAINED} to {url}", highlight=False, soft_wrap=True)
    except AuditError as error:
        return complain(console, error)
    return 0


def _release(root: Path, classifier: str, weights: str, digest: str | None) -> Release:
    weights_of(root, classifier)
    reference = permitted(root, weights, read_schedule(root).models)
    if digest is None:
        if "://" in reference or not Path(reference).is_file():
            raise ParameterError(
                f"{weights} is no file here: say which weights it holds by --digest sha256:…"
            )
        digest = sha256_of(Path(reference))
    return Release(classifier, reference, digest)
