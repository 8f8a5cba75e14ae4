"""`saliency-audit backfill`: models × data, each pair audited once, compared in one table."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.ground.console import Voice, interruptible
from flows.ground.git import commit_of, entries, git, identity, refuse_dirty, show
from flows.ground.hold import hold
from flows.ground.server import free_port, served
from flows.ground.worktrees import create
from flows.history.reaudit import Finding, metrics_of, reaudit
from saliency_audit.errors import AuditError, ParameterError
from tasks import places
from tasks.artifacts import partial
from tasks.stage import FAILED, INTERRUPTED
from tasks.supervision import RUN

FOLDER = places.LOCAL / "backfill"
DIGEST = re.compile(r"(sha256:|md5:)?([0-9a-f]{8,64})")


@dataclass(frozen=True)
class Pair:
    """A revision of the classifiers and one of the data, by the names that a person gave."""

    models: str
    data: str


def command(
    models: Annotated[
        list[str] | None,
        typer.Option(help="Revision or digest of classifiers; may be given several times."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Revision or digest of data; may be given several times."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print pairs and metrics as JSON on standard output.")
    ] = False,
) -> None:
    """Audit former models and data: every pair of --models and --data, compared in one table.

    A revision of models is its folder classifiers/; one of data is the datasets of its params.yaml
    and what DVC tracks of them. Code and all other parameters are those of HEAD. What a pair shares
    with another audit is not computed again. Left out, each is HEAD. Exit codes: 0 done, 2 no such
    revision, 3 an audit failed; the others are kept.

    Example: saliency-audit backfill --models v1 --models v2 --data main
    """
    sys.exit(backfill(Path.cwd(), models or ["HEAD"], data or ["HEAD"], as_json))


def backfill(root: Path, models: Sequence[str], data: Sequence[str], as_json: bool) -> int:
    """Audit every pair of a revision of models and one of data; gives the exit code."""
    console = Voice()
    interruptible()
    try:
        refuse_dirty(root, "backfill")
        head = commit_of(root, "HEAD")
        pairs = {
            Pair(model, datum): _combined(root, head, resolve(root, model), resolve(root, datum))
            for model in models
            for datum in data
        }
        with _server(root):
            findings = _audit_all(root, pairs, console)
        table = compare(root, findings)
        folder = root / FOLDER / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        _write(table, list(findings), folder / "comparison.csv")
        _say(console, table, findings, folder / "comparison.csv")
        if as_json:
            sys.stdout.write(_as_json(table, findings) + "\n")
    except AuditError as error:
        return console.complain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED if any(found.state == "failed" for found in findings.values()) else 0


def resolve(root: Path, name: str) -> str:
    """Give the commit of a revision, or the one that brought weights or data of a digest in.

    Raises ParameterError where there is neither.
    """
    try:
        return commit_of(root, name)
    except ParameterError:
        found = DIGEST.fullmatch(name)
        if found is None:
            raise
    digest = found.group(2)
    # The .dvc file of a git history has md5; the message of an audit's commit has sha256.
    for search in (["-S", digest, "--", "*.dvc"], ["--grep", digest]):
        commits = git(root, "log", "--all", "--reverse", "--format=%H", *search).split()
        if commits:
            return commits[0]
    raise ParameterError(f"{name}: no commit and no audit here has weights or data of this digest")


def _combined(root: Path, head: str, models: str, data: str) -> str:
    """Give a commit with the code of one revision, the classifiers of another, the data of a third.

    Its ``datasets`` in params.yaml, their ``.dvc`` files and the sources that are in git are those
    of ``data``; all else but ``classifiers`` is that of ``head``.
    """
    if models == data == head:
        return head
    worktree = create(root, head, f"combine-{os.getpid()}")
    try:
        path = worktree.path
        _take(path, models, [str(places.CLASSIFIERS)])
        datasets = _datasets(root, data)
        sources = [str(dataset["source"]) for dataset in datasets.values()]
        there = entries(root, data)
        _take(
            path,
            data,
            [
                known
                for source in sources
                for known in (source, f"{source}.dvc")
                # What draws phantoms is code, not data.
                if not source.startswith("saliency_audit/")
                and any(file == known or file.startswith(f"{known}/") for file in there)
            ],
        )
        _put_datasets(path / places.PARAMS, datasets)
        if not git(path, "status", "--porcelain").strip():
            return head
        git(path, "add", "--all")
        message = f"Classifiers of {models[:12]}, data of {data[:12]}"
        git(path, *identity(path), "commit", "--quiet", "--no-verify", "--message", message)
        return commit_of(path, "HEAD")
    finally:
        worktree.remove()


def _take(path: Path, commit: str, names: Sequence[str]) -> None:
    """Make some paths of a checkout those of another commit, without what that does not have."""
    for name in names:
        git(path, "rm", "-r", "-q", "--ignore-unmatch", "--", name)
        git(path, "checkout", "--quiet", commit, "--", name)


def _datasets(root: Path, commit: str) -> dict[str, Any]:
    import yaml

    datasets: dict[str, Any] = yaml.safe_load(show(root, commit, str(places.PARAMS)))["datasets"]
    return datasets


def _put_datasets(path: Path, datasets: Mapping[str, Any]) -> None:
    """Replace ``datasets`` and leave every other line of params.yaml as it is."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    tree = yaml.load(path.read_text("utf-8"))
    if tree["datasets"] != datasets:
        tree["datasets"] = dict(datasets)
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(tree, file)


@contextmanager
def _server(root: Path) -> Iterator[None]:
    """Have one Prefect server for all audits: one for each would take longer than some audits."""
    with hold(root / places.LOCAL / "backfill.lock") as held:
        os.environ[RUN] = str(held.resolve())
        with served(root, "127.0.0.1", free_port()):
            yield


def _audit_all(root: Path, pairs: Mapping[Pair, str], console: Voice) -> dict[Pair, Finding]:
    """Audit the pairs, one after the other, as one Prefect flow."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE
    from prefect.logging.handlers import APILogHandler

    findings: dict[Pair, Finding] = {}

    def tell(line: str) -> None:
        console.say(f"  {line}")

    @task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
    def audit_pair(name: str, pair: Pair, commit: str) -> str:
        try:
            findings[pair] = reaudit(root, commit, tell=tell)
        except AuditError as error:
            # One pair that cannot be audited is no reason to leave out the others.
            findings[pair] = Finding("failed", "unknown", error=str(error))
        return findings[pair].state

    @flow(name="backfill", persist_result=False)
    def audit_pairs() -> None:
        for number, (pair, commit) in enumerate(pairs.items(), start=1):
            name = f"models {pair.models}, data {pair.data}"
            console.say(f"[{number}/{len(pairs)}] {name}")
            audit_pair(name, pair, commit)

    audit_pairs()
    # Prefect sends what is left of its log as this process ends, and the server ends before.
    APILogHandler().flush()
    return findings


def compare(root: Path, findings: Mapping[Pair, Finding]) -> dict[str, list[Any]]:
    """Give each metric of the pairs' reports, one value per pair; None where one has none."""
    found = [metrics_of(root, f.branch) if f.branch else {} for f in findings.values()]
    keys = sorted({key for metrics in found for key in metrics})
    return {key: [metrics.get(key) for metrics in found] for key in keys}


def _write(table: Mapping[str, list[Any]], pairs: Sequence[Pair], path: Path) -> None:
    with partial(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["metric", *[f"models {p.models}, data {p.data}" for p in pairs]])
        rows.writerows([key, *["" if v is None else v for v in row]] for key, row in table.items())


def _say(
    console: Voice,
    table: Mapping[str, list[Any]],
    findings: Mapping[Pair, Finding],
    path: Path,
) -> None:
    for pair, finding in findings.items():
        console.say(f"models {pair.models}, data {pair.data}: {finding.error or finding.branch}")
    differ = sum(len({json.dumps(value) for value in row}) > 1 for row in table.values())
    console.say(f"{differ} of {len(table)} metrics differ between the pairs: {path}")


def _as_json(table: Mapping[str, list[Any]], findings: Mapping[Pair, Finding]) -> str:
    pairs = [
        {"models": pair.models, "data": pair.data, **finding.payload()}
        for pair, finding in findings.items()
    ]
    return json.dumps({"pairs": pairs, "metrics": table})
