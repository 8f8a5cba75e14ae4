"""The flows that `saliency-audit serve` offers: one audits again, one watches what may be newer.

They take references and digests, and nothing that says what to do: where weights may come from,
and which revision is audited, stands in deploy/serve.yaml of the clone that serves.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.ground.git import commit_of
from flows.history.imports import newest
from flows.history.reaudit import Finding, branch_of, reaudit
from flows.history.releases import Release, permitted, sha256_of, weights_of
from flows.history.subject import Subject, subject_of
from flows.serving.alerts import letter, plain
from flows.serving.events import DATASET_CHANGED, FAILED, FINISHED, RETRAINED, EventError, emit
from flows.serving.pending import announce, pending, withdraw
from flows.serving.schedule import AUDITS, Schedule, read_schedule
from saliency_audit.errors import AuditError
from tasks import places
from tasks.supervision import end_self, follow_run

#: The file of `saliency-audit serve --config`, for the processes that it starts.
CONFIG = "SALIENCY_SERVE_CONFIG"
#: The subject that was announced last.
ANNOUNCED = places.LOCAL / "announced"


@flow(name=AUDITS, flow_run_name=AUDITS + ", {reason}", persist_result=False)
def re_audit(
    reason: str = "schedule",
    classifier: str = "",
    reference: str = "",
    digest: str = "",
    at: str = "",
) -> State[Any]:
    """Audit the revision that is served, with the newest weights that were announced.

    ``classifier``, ``reference``, ``digest`` and ``at``: weights that are new, and when that was
    announced; empty where something else is. Nothing new is a matter of seconds.
    """
    follow_run(end_self)
    main, tell = Path.cwd(), get_run_logger().info
    schedule = served_schedule(main)
    release = None
    try:
        commit = commit_of(main, schedule.revision)
        if classifier:
            release = Release(classifier, reference, digest)
            permitted(main, reference, schedule.models)
            weights_of(main, classifier)
            when = datetime.fromisoformat(at) if at else datetime.now(UTC)
            announce(main, commit, release, when)
        finding = reaudit(main, commit, pending(main, commit), schedule.models, schedule.push, tell)
    except AuditError as error:
        if release is not None:
            withdraw(main, release)
        finding = Finding("failed", "unknown", error=str(error))
    except Exception as error:
        # A bug must not be the one failure that nobody is told of.
        _tell(main, Finding("failed", "unknown", error=f"a bug: {error!r}"), reason)
        raise
    return _ended(main, finding, reason)


def _ended(main: Path, finding: Finding, reason: str) -> State[Any]:
    """Tell who listens how an audit ended, if there was one."""
    if finding.state in ("unchanged", "busy"):
        return Completed(message=finding.state)
    if _tell(main, finding, reason) == FAILED:
        return Failed(message=finding.error or finding.state)
    return Completed(message=f"{finding.state}: {finding.branch}")


def _tell(main: Path, finding: Finding, reason: str) -> str:
    """Send the event that an audit ends with; gives its name.

    A server that does not take it does not undo the audit, which is committed by now.
    """
    name = FAILED if finding.state in ("failed", "stopped") else FINISHED
    facts = {"reason": reason, **finding.payload()}
    if finding.error:
        facts["error"] = plain(finding.error)
    told = {**facts, **letter(finding.state, main, facts)}
    try:
        emit(name, finding.branch or finding.subject, told, finding.state)
    except EventError as error:
        get_run_logger().warning("nobody could be told: %s", error)
    return name


@flow(name="watch", persist_result=False)
def watch() -> State[Any]:
    """Look whether imports, watched files or raw data are newer than the last audit, and say so."""
    main = Path.cwd()
    schedule = served_schedule(main)
    try:
        commit = commit_of(main, schedule.revision)
        releases = _watched(main, commit, schedule)
        models = {r.classifier: r.digest for r in (*pending(main, commit), *releases)}
        subject = subject_of(main, commit, models, newest(main, commit))
    except AuditError as error:
        return Failed(message=str(error))
    announced = main / ANNOUNCED
    known = branch_of(main, subject.digest) is not None
    if known or (announced.is_file() and announced.read_text() == subject.digest):
        return Completed(message="nothing is newer")
    for release in releases:
        emit(RETRAINED, release.classifier, vars(release))
    if not releases:
        emit(DATASET_CHANGED, "data", _newer(subject))
    announced.write_text(subject.digest)
    return Completed(message=f"newer: {subject.digest}")


def _newer(subject: Subject) -> dict[str, Any]:
    return {"subject": subject.digest, "data": dict(subject.data), **dict(subject.imports)}


def _watched(main: Path, commit: str, schedule: Schedule) -> list[Release]:
    """Give the watched files that are neither in the revision nor announced."""
    known = {r.classifier: r.digest for r in pending(main, commit)}
    found = []
    for classifier, file in schedule.watch.items():
        path = Path(permitted(main, file, schedule.models))
        if not path.is_file():
            continue
        digest = sha256_of(path)
        here = main / weights_of(main, classifier)
        if known.get(classifier, sha256_of(here) if here.is_file() else None) != digest:
            found.append(Release(classifier, file, digest))
    return found


def served_schedule(main: Path) -> Schedule:
    """Give what is served here."""
    config = os.environ.get(CONFIG)
    return read_schedule(main, Path(config) if config else None)
