"""Where a number or a row comes from: the stages behind it, their files, and whether they agree.

The chain is that of DVC's graph and dvc.lock. What belongs here builds it; what single stages'
files say of themselves is in ``flows.lineage.findings``, how it is shown in ``flows.cli.trace``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from flows.execution.gates import GATES
from flows.ground.git import GitError, commit_of, entries, show
from flows.lineage.findings import Finding, Traced, findings_of
from flows.records.artifacts import CHANGED, VERIFIED, Artifact, Artifacts, opened
from flows.records.stages import RecordedStage, digests, read_records, recording_commits
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.naming import hint
from tasks import places
from tasks.report.origins import Origin, leaves, origin_of
from tasks.summary.document import Outline, read_outline

#: The stage that all others take their code's digest from; a step shows its own file of it.
CODE = "code"
METRICS = "metrics.json"


@dataclass(frozen=True)
class Step:
    """A stage behind a number.

    ``outputs``: what it wrote; ``sources``: what it read that no stage wrote; ``code``: the digest
    of its modules; ``commit``: the one that recorded it, None where it is not committed;
    ``findings``: what its files say, some of them checks.
    """

    stage: str
    description: str
    reads: tuple[str, ...]
    outputs: tuple[Artifact, ...]
    sources: tuple[Artifact, ...]
    parameters: Mapping[str, Any]
    code: Artifact | None
    commit: str | None
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "stage": self.stage,
            "description": self.description,
            "reads": list(self.reads),
            "outputs": [artifact.to_json() for artifact in self.outputs],
            "sources": [artifact.to_json() for artifact in self.sources],
            "parameters": dict(self.parameters),
            "code": self.code.to_json() if self.code else None,
            "commit": self.commit,
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class Trace:
    """What was traced, and the steps behind it, the last one first.

    ``what``: the metric with its value, or the row; ``revision``: the commit, None for the
    checkout.
    """

    what: Mapping[str, Any]
    revision: str | None
    steps: tuple[Step, ...]

    def faults(self) -> list[str]:
        """Say what does not agree: digests that differ, files that were changed, stale reads."""
        said: dict[str, None] = {}
        for step in self.steps:
            code = [step.code] if step.code else []
            for artifact in (*step.outputs, *step.sources, *code):
                if artifact.state == CHANGED:
                    said[
                        f"{artifact.path} is not what {step.stage} ran with: it was changed since"
                    ] = None
            said |= {f"{step.stage}: {f.words}": None for f in step.findings if f.agrees is False}
        return list(said)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values; docs/lineage.md lists the keys."""
        return {
            **self.what,
            "revision": self.revision,
            "steps": [step.to_json() for step in self.steps],
            "faults": self.faults(),
        }


def trace_metric(root: Path, name: str, revision: str | None, rows: bool) -> Trace:
    """Trace a metric by its name, as `dvc metrics` writes it or without the file.

    ``rows``: whether to list each row that enters. Raises ParameterError naming the nearest where
    there is none of that name, and for a revision that is not there.
    """
    commit = commit_of(root, revision) if revision else None
    path, key, value = _metric(_all_metrics(root, commit), name)
    dataset = PurePosixPath(path).parent.name
    records = read_records(root, commit)
    with opened(root, digests(records.values()), commit) as files:
        summary = _summary(files, dataset, key[0])
        try:
            origin = origin_of(key, dataset, summary)
        except (KeyError, ValueError, StopIteration):
            raise DataError(
                f"{path}:{'.'.join(key)}: its rows are not known to this version: trace it with "
                "the code of its own revision"
            ) from None
        audit = key[0] if summary is not None else None
        what = {
            "metric": f"{path}:{'.'.join(key)}",
            "value": value,
            "statistic": origin.statistic,
        }
        subject = Traced(dataset, audit, origin, list_rows=rows)
        steps = _steps(root, records, files, _chain(records, path, origin), subject, commit)
        return Trace(what, commit, tuple(steps))


def trace_row(
    root: Path,
    image: str,
    audit: str,
    label: str | None,
    method: str | None,
    revision: str | None,
) -> Trace:
    """Trace one image of an audit, with all that was predicted, explained and measured of it.

    Raises ParameterError naming the nearest audit, image, label or method.
    """
    commit = commit_of(root, revision) if revision else None
    records = read_records(root, commit)
    writers = _writers(records)
    audits = {PurePosixPath(p).name: n for p, n in writers.items() if _is_audit(p)}
    if audit not in audits:
        raise ParameterError(f"--audit {audit}: no such audit: {hint(audit, audits)}")
    predicted = str(places.predict(audit))
    if not records[audits[audit]].parameters:
        raise ParameterError(f"--audit {audit}: it has not run yet: `saliency-audit run`")
    with opened(root, digests(records.values()), commit) as files:
        dataset = _dataset(records[audits[audit]].parameters, audit)
        folder = str(places.explain(audit))
        maps = [p for p in writers if p.startswith(f"{folder}/") and p.endswith(".parquet")]
        methods = [PurePosixPath(p).stem for p in maps]
        if method is not None and method not in methods:
            raise ParameterError(f"--method {method}: no such method: {hint(method, methods)}")
        kept = tuple(Path(p) for p in maps if method in (None, PurePosixPath(p).stem))
        origin = Origin("", (), kept)
        subject = Traced(dataset, audit, origin, image=image, label=label, method=method)
        subject.refuse_unknown(files)
        ends = [
            n
            for p, n in writers.items()
            if p in (str(places.apply_segx(audit)), str(places.score_segu(audit)))
        ]
        names = _behind(records, ends or [writers[predicted]], origin)
        what = {"image": image, "label": label, "method": method, "audit": audit}
        steps = _steps(root, records, files, names, subject, commit)
        return Trace(what, commit, tuple(steps))


def _dataset(parameters: Mapping[str, Any], audit: str) -> str:
    """Give an audit's dataset; a stage may have recorded its whole entry, as it did before 0.2."""
    entry = parameters.get(f"audits.{audit}", {})
    return str(entry.get("dataset") or parameters[f"audits.{audit}.dataset"])


def _is_audit(path: str) -> bool:
    return PurePosixPath(path).parent == PurePosixPath(places.predict("x").parent)


def _all_metrics(root: Path, commit: str | None) -> dict[str, Any]:
    """Give every metrics.json that there is, by its path."""
    if commit is None:
        files = sorted((root / places.REPORTS).glob(f"*/{METRICS}"))
        texts = {str(f.relative_to(root)): f.read_text("utf-8") for f in files}
    else:
        listed = [
            p for p in entries(root, commit, [str(places.REPORTS)]) if p.endswith(f"/{METRICS}")
        ]
        texts = {path: show(root, commit, path) for path in listed}
    if not texts:
        where = f"the revision {commit[:12]}" if commit else str(root)
        raise ParameterError(f"{where} holds no reports/<dataset>/{METRICS}: run the audit first")
    try:
        return {path: json.loads(text) for path, text in texts.items()}
    except ValueError as error:
        raise DataError(f"a {METRICS} is no JSON ({error}): run `saliency-audit run`") from None


def _metric(found: Mapping[str, Any], name: str) -> tuple[str, tuple[str, ...], Any]:
    """Find a metric by its name; raises ParameterError naming the nearest, or all it may be."""
    known = {
        f"{path}:{'.'.join(key)}": (path, key, value)
        for path, tree in found.items()
        for key, value in leaves(tree)
    }
    if name in known:
        return known[name]
    short = [full for full in known if full.partition(":")[2] == name]
    if len(short) == 1:
        return known[short[0]]
    if short:
        raise ParameterError(f"{name} is in several reports: say one of {', '.join(short)}")
    names = list(known) if ":" in name else [full.partition(":")[2] for full in known]
    raise ParameterError(f"no metric {name}: {hint(name, names)}")


def _summary(files: Artifacts, dataset: str, audit: str) -> Outline | None:
    """Give what the summary of an audit says of itself; None where the name is of no audit."""
    path = str(places.summarise(dataset, audit) / "summary.json")
    if files.md5(path) is None and str(places.summarise(dataset, audit)) not in files.recorded:
        return None
    place = files.file(path)
    if place is None:
        raise DataError(
            f"{path} is neither in the checkout nor in DVC's cache: `dvc pull` or `dvc fetch "
            "--all-commits` brings it, where there is a remote"
        )
    return read_outline(place)


def _writers(records: Mapping[str, RecordedStage]) -> dict[str, str]:
    return {path: record.name for record in records.values() for path in record.writes}


def _writer_of(records: Mapping[str, RecordedStage], path: str) -> str:
    """Give the stage that writes a path, or the folder that it lies in."""
    writers = _writers(records)
    for place in (PurePosixPath(path), *PurePosixPath(path).parents):
        if str(place) in writers:
            return writers[str(place)]
    raise DataError(f"no stage of dvc.yaml writes {path}: it is a file of another version")


def _chain(records: Mapping[str, RecordedStage], path: str, origin: Origin) -> list[str]:
    """Give the stages between a metrics.json and its rows, and all behind these."""
    import networkx

    # A gate reads what numbers are made of, and makes none: no number comes by it.
    through = [name for name in records if records[name].kind not in GATES]
    graph = networkx.DiGraph((name, other) for name in through for other in records[name].needs)
    report = _writer_of(records, path)
    tables = [_writer_of(records, str(selection.path)) for selection in origin.selections]
    between = {name for table in tables for name in networkx.shortest_path(graph, report, table)}
    if path_of_segmenter := origin.made_by:
        between.add(_writer_of(records, str(path_of_segmenter)))
    return _behind(records, sorted(between), origin)


def _behind(records: Mapping[str, RecordedStage], ends: Sequence[str], origin: Origin) -> list[str]:
    """Give stages and all that they need, the last first; of those that make maps, the named."""
    wanted = {str(path) for path in origin.maps}
    folders = {str(path.parent) for path in origin.maps}
    found: set[str] = set()
    between = set(ends)
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        writes = set(records[name].writes)
        of_others = any(str(PurePosixPath(p).parent) in folders for p in writes - wanted)
        if name in found or name == CODE or (of_others and not writes & wanted):
            continue
        found.add(name)
        # What stands between a number and its rows reads many other rows, too.
        needs = records[name].needs
        inner = [need for need in needs if need in between]
        waiting += inner if inner else needs
    return [name for name in reversed(list(records)) if name in found]


def _steps(
    root: Path,
    records: Mapping[str, RecordedStage],
    files: Artifacts,
    names: Sequence[str],
    subject: Traced,
    commit: str | None,
) -> Iterator[Step]:
    commits = _commits(root, names, commit)
    writers = _writers(records)
    for name in names:
        record = records[name]
        code = [path for path in record.reads if path.startswith(f"{places.CODE}/")]
        sources = [
            path
            for path in record.reads
            if path not in code and not any(_overlap(path, out) for out in writers)
        ]
        yield Step(
            stage=name,
            description=record.description,
            reads=tuple(need for need in record.needs if need in names),
            outputs=tuple(files.look(path) for path in _shown(record, subject)),
            sources=tuple(files.look(path) for path in sources),
            parameters=record.parameters,
            code=files.look(code[0]) if code else None,
            commit=commits.get(name),
            findings=(
                *findings_of(record.kind, record, files, subject),
                *_stale(record, records, files),
            ),
        )


def _shown(record: RecordedStage, subject: Traced) -> list[str]:
    """Give the outputs to show: of a report, the metrics alone."""
    metrics = [path for path in record.writes if path.endswith(f"/{METRICS}")]
    return metrics or list(record.writes)


def _commits(root: Path, names: Sequence[str], commit: str | None) -> dict[str, str]:
    try:
        return recording_commits(root, names, commit)
    except GitError:
        # A checkout without a commit has no history to look at.
        return {}


def _overlap(path: str, other: str) -> bool:
    one, two = PurePosixPath(path), PurePosixPath(other)
    return one.is_relative_to(two) or two.is_relative_to(one)


def _stale(
    record: RecordedStage, records: Mapping[str, RecordedStage], files: Artifacts
) -> Iterator[Finding]:
    """Find what a stage read that is no longer what the stage before it wrote."""
    for path, md5 in record.reads.items():
        if md5 is None:
            words = f"it never ran: dvc.lock knows nothing of {path}"
            yield Finding("recorded", words, None, False)
            return
        outs = {
            out: written
            for need in record.needs
            for out, written in records[need].writes.items()
            if written is not None and PurePosixPath(out).is_relative_to(path)
        }
        if not outs or outs.get(path) == md5:
            continue
        # Of a folder that several stages write into DVC keeps no list: its digest tells.
        if path not in outs and files.digest_of_parts(path, outs) == md5:
            continue
        if path not in outs and files.look(path).state == VERIFIED:
            # It is what was read; what lies there besides is of no stage, as of a former method.
            continue
        words = f"it read another {path} than what was written there last: run the audit again"
        yield Finding("stale", words, None, False if files.commit is None else None)
