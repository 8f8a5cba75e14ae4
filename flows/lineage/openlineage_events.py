"""OpenLineage events of a run: what each stage read and wrote, for a lineage back end.

What an event says is built here; ``openlineage_sending`` takes it away, so that a back end that
does not answer holds no stage up. Only events have dates: nothing of this is an output of DVC.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import attr
from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    dataset_type_dataset,
    dataset_version_dataset,
    documentation_job,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
)
from openlineage.client.generated.base import RunFacet
from openlineage.client.uuid import generate_new_uuid, generate_static_uuid

from flows.execution.graph import Node
from flows.execution.observers import Observer
from flows.execution.stage import Outcome
from flows.ground.git import WRITTEN, GitError, changes, git
from flows.lineage.openlineage_sending import Sender
from flows.records.artifacts import FOLDER, Artifacts
from flows.records.stages import lock_entries

#: The namespace of jobs and datasets, and what sets another.
NAMESPACE, NAMESPACE_VARIABLE = "saliency-audit", "OPENLINEAGE_NAMESPACE"
#: The name of the whole run as a job; a stage's job is named after the stage.
FLOW = "audit"
PRODUCER = f"urn:saliency-audit:{version('saliency-audit')}"
#: The schema of the facet of our own; docs/lineage.md says what it holds.
STAGE_FACET, STAGE_SCHEMA = "saliencyAudit_stage", "urn:saliency-audit:lineage:1-0-0:StageRunFacet"

#: What an error's text may hold that nobody else should read.
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
#: How git writes an address for short: host:path, with or without a name.
_SHORT = re.compile(r"(?:[^@/]+@)?([^:/]+):(.+)")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
#: Looks at dvc.lock until it has a stage's record whole: another DVC may be writing it.
LOOKS, PAUSE = 20, 0.1

_END = {
    "ran": event_v2.RunState.COMPLETE,
    "cached": event_v2.RunState.COMPLETE,
    "unchanged": event_v2.RunState.COMPLETE,
    "failed": event_v2.RunState.FAIL,
}


@attr.define
class StageRunFacet(RunFacet):
    """How a stage came to its result: ran, cached, unchanged, failed or interrupted, and where."""

    state: str
    commit: str | None = attr.field(default=None)
    dirty: bool | None = attr.field(default=None)
    seconds: float | None = attr.field(default=None)
    worker: str | None = attr.field(default=None)
    why: list[str] = attr.field(factory=list)

    @staticmethod
    def _get_schema() -> str:
        return STAGE_SCHEMA


def redacted(text: str) -> str:
    """Take credentials out of a text: those in addresses, and values of secret variables.

    >>> redacted("cannot read https://me:word@host/data")
    'cannot read https://…@host/data'
    """
    text = _IN_ADDRESS.sub("…@", text)
    for name, value in os.environ.items():
        if len(value) >= 6 and _SECRET.search(name):
            text = text.replace(value, "…")
    return text


@dataclass(frozen=True)
class Code:
    """Which code a run is of: ``commit`` None without git; ``dirty``: files that differ from it."""

    commit: str | None
    dirty: bool | None
    repository: str | None

    @classmethod
    def of(cls, root: Path) -> Code:
        """Ask git."""
        try:
            commit = git(root, "rev-parse", "HEAD").strip()
            dirty = any(not line[3:].startswith(WRITTEN) for line in changes(root))
        except GitError:
            return cls(None, None, None)
        try:
            return cls(commit, dirty, address(git(root, "remote", "get-url", "origin").strip()))
        except GitError:
            return cls(commit, dirty, None)


def address(remote: str) -> str:
    """Give a repository's address as a URI without a person's name or password.

    >>> address("https://me:word@example.org/a.git"), address("git@example.org:lab/a.git")
    ('https://example.org/a.git', 'ssh://example.org/lab/a.git')
    """
    short = _SHORT.fullmatch(remote)
    if short and "://" not in remote:
        return f"ssh://{short[1]}/{short[2].lstrip('/')}"
    parts = urlsplit(remote)
    if parts.scheme in ("http", "https", "ssh"):
        host = parts.hostname or ""
        place = f"{host}:{parts.port}" if parts.port else host
        return urlunsplit((parts.scheme, place, parts.path, "", ""))
    return redacted(remote) if parts.scheme else Path(remote).resolve().as_uri()


@dataclass
class Datasets:
    """Names the files of stages as datasets, with digest, columns and size.

    ``graph``: says which files stages pass on; ``files``: where DVC keeps their digests.
    """

    root: Path
    graph: Mapping[str, Node]
    namespace: str

    @cached_property
    def _written(self) -> set[str]:
        return {path for node in self.graph.values() for path in node.writes}

    @cached_property
    def _passed(self) -> set[str]:
        return self._written | {path for node in self.graph.values() for path in node.reads}

    @cached_property
    def _files(self) -> Artifacts:
        from dvc.repo import Repo

        return Artifacts(self.root, Repo(str(self.root)), {})

    def inputs(
        self, entries: list[Mapping[str, Any]], recorded: Mapping[str, str]
    ) -> list[event_v2.InputDataset]:
        """Give datasets for what dvc.lock says that a stage read.

        ``recorded``: digests of what all stages wrote, by path.
        """
        return [
            event_v2.InputDataset(
                self.namespace, path, facets=self._facets(path, md5 or recorded.get(path))
            )
            for path, md5, _ in self._parts(entries)
        ]

    def digests(self, entries: list[Mapping[str, Any]]) -> dict[str, str]:
        """Give digests of what dvc.lock says that stages wrote, and of the parts, by path."""
        parts = self._parts(entries)
        return {path: md5 for path, md5, _ in parts if md5 is not None}

    def outputs(self, entries: list[Mapping[str, Any]]) -> list[event_v2.OutputDataset]:
        """Give datasets for what dvc.lock says that a stage wrote."""
        return [
            event_v2.OutputDataset(
                self.namespace,
                path,
                facets=self._facets(path, md5),
                outputFacets=self._statistics(path, md5, entry),
            )
            for path, md5, entry in self._parts(entries)
        ]

    def _parts(
        self, entries: list[Mapping[str, Any]]
    ) -> Iterator[tuple[str, str | None, Mapping[str, Any]]]:
        """Give each path with its digest; of a folder, the tables and what is passed on, too.

        A folder that several stages write into is no dataset itself: its parts are.
        """
        for entry in entries:
            path, md5 = str(entry["path"]), entry.get("md5")
            within = self._files.within(md5) if md5 and md5.endswith(FOLDER) else {}
            tables = {f"{path}/{name}" for name in within if name.endswith(".parquet")}
            passed = {other for other in self._passed if other.startswith(f"{path}/")}
            if path in self._written or not passed & self._written:
                yield path, md5, entry
            for part in sorted(tables | passed):
                digest = within.get(part.removeprefix(f"{path}/"))
                if digest is None:  # it may be a folder within
                    paths = {f"{path}/{name}": own for name, own in within.items()}
                    below = {p: own for p, own in paths.items() if p.startswith(f"{part}/")}
                    digest = self._files.digest_of_parts(part, below) if below else None
                yield part, digest, {}

    def _facets(self, path: str, md5: str | None) -> dict[str, Any]:
        kind = "TABLE" if path.endswith(".parquet") else "FILE"
        if md5 is not None and md5.endswith(FOLDER):
            kind = "FOLDER"
        facets: dict[str, Any] = {
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet(datasetType=kind)
        }
        if md5 is None:
            # Before a stage has run nothing of its files is known: what lies there is older.
            return facets
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=md5)
        columns = self._columns(path) if kind == "TABLE" else []
        if columns:
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=columns)
        return facets

    def _columns(self, path: str) -> list[Any]:
        """Give a Parquet table's columns, with what the data dictionary says of them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(self.root / path)
        except (OSError, pa.ArrowInvalid):
            return []
        meanings = self._meanings.get(tuple(schema.names), {})
        return [
            schema_dataset.SchemaDatasetFacetFields(
                name=column.name,
                type=str(column.type),
                description=meanings.get(column.name),
                ordinal_position=number,
            )
            for number, column in enumerate(schema, start=1)
        ]

    @cached_property
    def _meanings(self) -> dict[tuple[str, ...], dict[str, str]]:
        from tasks.tables.dictionary import declared

        return {
            tuple(c.name for c in table.columns): {c.name: c.meaning for c in table.columns}
            for table in declared()
        }

    def _statistics(self, path: str, md5: str | None, entry: Mapping[str, Any]) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = None
        if path.endswith(".parquet") and md5 is not None:
            try:
                rows = pq.read_metadata(self.root / path).num_rows
            except (OSError, pa.ArrowInvalid):
                rows = None
        if rows is None and "size" not in entry:
            return {}
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=rows, size=entry.get("size"), fileCount=entry.get("nfiles")
        )
        return {"outputStatistics": statistics}


@dataclass
class Events(Observer):
    """Watches a run and sends what happens.

    A stage has one START, and one COMPLETE, FAIL or, where it was interrupted, ABORT. One that DVC
    found unchanged wrote nothing, and names no output.
    """

    root: Path
    graph: Mapping[str, Node]
    sender: Sender
    namespace: str = field(default_factory=lambda: os.environ.get(NAMESPACE_VARIABLE) or NAMESPACE)
    _flow: UUID | None = None
    _runs: dict[str, str] = field(default_factory=dict)
    _failed: list[str] = field(default_factory=list)

    def __enter__(self) -> Events:
        """Ask which code this is, before stages write files."""
        event_v2.set_producer(PRODUCER)
        self._code = Code.of(self.root)
        self._datasets = Datasets(self.root, self.graph, self.namespace)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End what is open, and wait a little for what is not sent yet."""
        state = event_v2.RunState
        for name in list(self._runs):
            facets = self._stage_facets(name, StageRunFacet(state="interrupted"))
            self._send(name, state.ABORT, facets, (), ())
        if self._flow is not None:
            ended = state.ABORT if kind else state.FAIL if self._failed else state.COMPLETE
            error = f"failed: {', '.join(self._failed)}" if self._failed else None
            self._send_flow(ended, error)
        self.sender.close()

    def started(self, name: str, folder: Path) -> None:
        """Send a stage's START, and before the first one the run's."""
        now = datetime.now(UTC)
        if self._flow is None:
            self._flow = generate_new_uuid(now)
            self.sender.open(folder.name)
            self._send_flow(event_v2.RunState.START, None)
        seed = f"{self.namespace}.{name}.{self._flow}".encode()
        self._runs[name] = str(generate_static_uuid(now, seed))
        node = self.graph[name]
        facets = self._stage_facets(name, StageRunFacet(state="started", why=list(node.stale)))
        self._send(name, event_v2.RunState.START, facets, node.reads, node.writes)

    def finished(self, outcome: Outcome) -> None:
        """Send how a stage ended."""
        name = outcome.name
        own = StageRunFacet(
            state=outcome.state,
            seconds=round(outcome.seconds, 3),
            worker=outcome.where or None,
            why=list(self.graph[name].stale),
        )
        facets = self._stage_facets(name, own)
        node = self.graph[name]
        if outcome.state == "failed":
            self._failed.append(name)
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=redacted(outcome.error), programmingLanguage="PYTHON"
            )
            self._send(name, _END[outcome.state], facets, node.reads, ())
        else:
            self._send_recorded(name, facets, wrote=outcome.state != "unchanged")
        self._runs.pop(name, None)

    def _send(
        self,
        name: str,
        state: event_v2.RunState,
        facets: dict[str, Any],
        reads: tuple[str, ...],
        writes: tuple[str, ...],
    ) -> None:
        """Send an event with the names of what is read and written, as digests are not known."""
        now, run, job = _now(), self._runs[name], self._job(name)

        def make() -> event_v2.RunEvent:
            return event_v2.RunEvent(
                eventTime=now,
                producer=PRODUCER,
                eventType=state,
                run=event_v2.Run(run, facets),
                job=job,
                inputs=self._datasets.inputs([{"path": path} for path in reads], {}),
                outputs=self._datasets.outputs([{"path": path} for path in writes]),
            )

        self.sender.put(make)

    def _send_recorded(self, name: str, facets: dict[str, Any], *, wrote: bool) -> None:
        """Send a stage's COMPLETE with what DVC recorded of it."""
        now, run, job = _now(), self._runs[name], self._job(name)

        def make() -> event_v2.RunEvent:
            entries = _entries(self.root, name)
            entry = entries.get(name, {})
            outs = [out for other in entries.values() for out in other.get("outs", [])]
            recorded = self._datasets.digests(outs)
            parameters = _parameters(entry)
            if parameters:
                facets["executionParameters"] = parameters
            return event_v2.RunEvent(
                eventTime=now,
                producer=PRODUCER,
                eventType=event_v2.RunState.COMPLETE,
                run=event_v2.Run(run, facets),
                job=job,
                inputs=self._datasets.inputs(entry.get("deps", []), recorded),
                outputs=self._datasets.outputs(entry.get("outs", []) if wrote else []),
            )

        self.sender.put(make)

    def _send_flow(self, state: event_v2.RunState, error: str | None) -> None:
        now, run = _now(), str(self._flow)
        facets: dict[str, Any] = {"processing_engine": _engine("prefect")}
        if error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=error, programmingLanguage="PYTHON"
            )
        job = event_v2.Job(self.namespace, FLOW, self._job_facets("FLOW", "", None))

        def make() -> event_v2.RunEvent:
            return event_v2.RunEvent(
                eventTime=now,
                producer=PRODUCER,
                eventType=state,
                run=event_v2.Run(run, facets),
                job=job,
            )

        self.sender.put(make)

    def _stage_facets(self, name: str, own: StageRunFacet) -> dict[str, Any]:
        own.commit, own.dirty = self._code.commit, self._code.dirty
        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(str(self._flow)), job=parent_run.Job(self.namespace, FLOW)
        )
        return {"parent": parent, "processing_engine": _engine("dvc"), STAGE_FACET: own}

    def _job(self, name: str) -> event_v2.Job:
        node = self.graph[name]
        return event_v2.Job(
            self.namespace, name, self._job_facets("STAGE", node.description, "dvc.yaml")
        )

    def _job_facets(self, kind: str, description: str, path: str | None) -> dict[str, Any]:
        facets: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="SALIENCY_AUDIT", jobType=kind
            )
        }
        if description:
            facets["documentation"] = documentation_job.DocumentationJobFacet(
                description=description
            )
        if self._code.repository:
            facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
                type="git",
                url=self._code.repository,
                repoUrl=self._code.repository,
                path=path,
                version=self._code.commit,
            )
        return facets


def _engine(package: str) -> processing_engine_run.ProcessingEngineRunFacet:
    return processing_engine_run.ProcessingEngineRunFacet(
        version=version(package),
        name={"dvc": "DVC", "prefect": "Prefect"}[package],
        openlineageAdapterVersion=version("saliency-audit"),
    )


def _parameters(entry: Mapping[str, Any]) -> Any:
    """Give the parameters that a stage ran with, of all parameter files."""
    found = [
        execution_parameters_run.ExecutionParameter(
            key=key,
            value=redacted(value if isinstance(value, str) else json.dumps(value)),
        )
        for values in entry.get("params", {}).values()
        for key, value in values.items()
    ]
    return execution_parameters_run.ExecutionParametersRunFacet(parameters=found) if found else None


def _entries(root: Path, name: str) -> dict[str, Any]:
    """Give what dvc.lock holds; looks again while another DVC writes it and a stage is missing."""
    for _ in range(LOOKS):
        entries = lock_entries(root)
        if "outs" in entries.get(name, {}):
            return entries
        time.sleep(PAUSE)
    return {}


def _now() -> str:
    return datetime.now(UTC).isoformat()
