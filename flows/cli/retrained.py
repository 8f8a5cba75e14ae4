"""`saliency-audit retrained`: what a training pipeline says when it has new weights."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.paths import file_or_address
from flows.ground.console import Voice
from flows.ground.server import use_running
from flows.history.releases import Release, adopt_release, permitted, sha256_of, weights_of
from flows.serving.schedule import read_schedule
from saliency_audit.errors import AuditError, ParameterError


def command(
    classifier: Annotated[str, typer.Argument(help="Folder of classifiers/.")],
    weights: Annotated[
        str, typer.Argument(callback=file_or_address, help="File or address of the new weights.")
    ],
    digest: Annotated[
        str | None, typer.Option(help="sha256:… of the weights; default: of the file.")
    ] = None,
    update: Annotated[
        bool, typer.Option(help="Put the weights into classifiers/<name>/ of this checkout, too.")
    ] = True,
    event: Annotated[
        bool, typer.Option(help="Send classifier.retrained to the server that audits.")
    ] = True,
) -> None:
    """Tell that a classifier was retrained: for a training pipeline or CI.

    Checks that the weights come from a source that deploy/serve.yaml names, puts them into the
    registry here (commit that when you like), and sends the event that starts an audit. The event
    holds the reference and the digest. Exit codes: 0 done, 2 wrong name, reference or digest,
    3 the weights are others than the digest says, or no server took the event.
    """
    sys.exit(announce_retrained(Path.cwd(), classifier, weights, digest, update, event))


def announce_retrained(
    root: Path, classifier: str, weights: str, digest: str | None, update: bool, event: bool
) -> int:
    """Put new weights into the registry and send the event; gives the exit code."""
    console = Voice()
    try:
        release = _release(root, classifier, weights, digest)
        if update:
            file = adopt_release(root, release, read_schedule(root).models, root)
            console.say(f"{file} is now {release.digest}")
        if event:
            from flows.serving.events import RETRAINED, emit

            url = use_running(root)
            emit(RETRAINED, classifier, asdict(release))
            console.say(f"sent {RETRAINED} to {url}")
    except AuditError as error:
        return console.complain(error)
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
