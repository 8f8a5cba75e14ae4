"""The act of reproducing a revision: its stages rerun in a clean clone, and what came out judged.

First all of it, from raw data on, each stage on what the one before it gave. Then, where that
differs or the processor is another, each stage by itself on the *recorded* inputs, so that one
difference does not hide what follows it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.execution.placement import Need
from flows.execution.stage import Listener, Runner
from flows.history.subject import content_digest
from flows.records.dvc_lock import entries_of
from flows.records.revision import RecordedArtifacts, put
from flows.reproduction.comparison import DIFFERENT, IDENTICAL, WITHIN, Comparison, compare
from flows.reproduction.training_band import IN_BAND, STAGES, Band, compare_trainings
from flows.reproduction.values import Tolerance
from saliency_audit.naming import refuse_unknown
from tasks import code, places

#: Where `saliency-audit reproduce` works.
REPRODUCTIONS = places.LOCAL / "reproductions"
#: States of a stage, from the best to the worst, besides those of its artifacts.
FAILED, NOT_REACHED, NOT_JUDGED = "failed", "not reached", "not judged"
ORDER = (IDENTICAL, WITHIN, IN_BAND, NOT_JUDGED, NOT_REACHED, FAILED, DIFFERENT)
#: Of a clone, what would give a result without computing it.
KEPT = ("maps.sqlite", "checkpoints")
GONE = "the recorded artifact is neither in git, nor in the DVC cache, nor in the remote"


@dataclass(frozen=True)
class Step:
    """A stage to rerun: what it needs, what it writes, and after how many minutes it hangs."""

    name: str
    needs: frozenset[str]
    minutes: float | None


@dataclass(frozen=True)
class Rerun:
    """How the rerun of a stage came out.

    ``artifacts``: each output, compared; ``changed``: what it read that was not as recorded, empty
    where all was; ``why``: why it failed or was not judged; ``seconds``: of the rerun.
    """

    name: str
    seconds: float = 0.0
    artifacts: Mapping[str, Comparison] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    why: str = ""
    ended: str | None = None

    @property
    def state(self) -> str:
        """The worst of its artifacts' states, or failed, not reached, not judged."""
        return self.ended or worst(c.state for c in self.artifacts.values())


def worst(states: Iterable[str]) -> str:
    """Give the worst of some states.

    >>> worst(["identical", "within", "identical"])
    'within'
    """
    return max(states, key=ORDER.index, default=IDENTICAL)


class Progress(Listener):
    """Told how a reproduction goes on; the default hears nothing."""

    def begins(self, what: str, steps: int) -> None:
        """Hear that a pass over some stages begins."""

    def started(self, name: str) -> None:
        """Hear that a stage starts."""

    def finished(self, rerun: Rerun) -> None:
        """Hear how it came out."""


def steps_of(root: Path) -> list[Step]:
    """Give the stages of a checkout that run something, each after what it needs."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo, repo.lock:
        graph = repo.index.graph
        ordered = list(networkx.topological_sort(graph.reverse(copy=True)))
        # `addressing` is relative to where this process is.
        return [
            Step(
                stage.name,
                frozenset(needed.name for needed in graph.successors(stage) if needed.cmd),
                Need.of(stage.name, stage.meta or {}).minutes,
            )
            for stage in ordered
            if stage.cmd
        ]


def changed_sources(root: Path, lock: Mapping[str, Any], steps: list[Step]) -> list[str]:
    """Say which raw sources are not those that were recorded: what no stage writes, but code."""
    recorded = [lock[step.name] for step in steps if step.name in lock]
    outs = {out["path"] for entry in recorded for out in entry.get("outs", [])}
    found: dict[str, str] = {}
    for step in steps:
        if step.name not in lock or step.name == code.STAGE.name:
            continue
        for dep in lock[step.name].get("deps", []):
            path, wanted = str(dep["path"]), dep.get("md5")
            if wanted is None or path in found or any(_overlap(path, out) for out in outs):
                continue
            now = content_digest(root, path)
            if now != wanted:
                found[path] = f"{path} (read by {step.name}): {wanted} was recorded, now {now}"
    return list(found.values())


def _overlap(path: str, out: str) -> bool:
    """Say whether an input is an output, lies in one, or holds one."""
    return path == out or path.startswith(f"{out}/") or out.startswith(f"{path}/")


@dataclass
class Reproduction:
    """The rerun of a revision in its clone.

    ``lock``: what the revision's dvc.lock records; ``band``: judges trainings by their metrics;
    None: by their bytes, as everything else.
    """

    root: Path
    steps: list[Step]
    lock: Mapping[str, Any]
    recorded: RecordedArtifacts
    runner: Runner
    progress: Progress
    tolerance: Tolerance = field(default_factory=Tolerance)
    band: Band | None = None
    #: Outputs that lie in the clone as they were recorded.
    _as_recorded: set[str] = field(default_factory=set)

    def from_the_start(self) -> dict[str, Rerun]:
        """Rerun every stage on what the rerun of those before it gave."""
        self.progress.begins("rerunning every stage from the start", len(self.steps))
        found: dict[str, Rerun] = {}
        for step in self.steps:
            self.progress.started(step.name)
            missing = sorted(n for n in step.needs if found[n].ended in (FAILED, NOT_REACHED))
            if missing:
                more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
                why = f"needs {', '.join(missing[:2])}{more}"
                found[step.name] = Rerun(step.name, why=why, ended=NOT_REACHED)
            else:
                found[step.name] = self._rerun(step)
            self.progress.finished(found[step.name])
        return found

    def on_recorded_inputs(self, names: Iterable[str]) -> dict[str, Rerun]:
        """Rerun some stages, each on the recorded outputs of those before it."""
        chosen = [step for step in self.steps if step.name in set(names)]
        self.progress.begins("rerunning stages on the recorded inputs", len(chosen))
        for name in KEPT:
            put_away(self.root / ".saliency" / name)
        found: dict[str, Rerun] = {}
        for step in chosen:
            self.progress.started(step.name)
            why = self._put_inputs(step)
            found[step.name] = (
                Rerun(step.name, why=why, ended=NOT_JUDGED) if why else self._rerun(step)
            )
            self.progress.finished(found[step.name])
        return found

    def _outs(self, name: str) -> dict[str, Mapping[str, Any]]:
        return {str(out["path"]): out for out in self.lock.get(name, {}).get("outs", [])}

    def _put_inputs(self, step: Step) -> str:
        """Put the recorded outputs in place that a stage reads; says why not, where it cannot."""
        unknown = sorted(name for name in step.needs if name not in self.lock)
        if unknown:
            return f"dvc.lock does not record {', '.join(unknown)}, which it needs"
        for name in sorted(step.needs):
            for path, out in self._outs(name).items():
                if path in self._as_recorded:
                    continue
                source = self.recorded.bring(out)
                if source is None:
                    return f"{path}: {GONE}{self._trouble()}"
                put(source, self.root / path)
                self._as_recorded.add(path)
        return ""

    def _trouble(self) -> str:
        return f" ({self.recorded.trouble})" if self.recorded.trouble else ""

    def _rerun(self, step: Step) -> Rerun:
        self._as_recorded -= set(self._outs(step.name))
        outcome = self.runner.run(
            step.name, {}, step.minutes, self.progress, "--force", "--no-run-cache"
        )
        if outcome.state == "failed":
            why = f"{outcome.error} (log: {outcome.log})"
            return Rerun(step.name, outcome.seconds, why=why, ended=FAILED)
        if step.name not in self.lock:
            why = "dvc.lock does not record this stage: nothing to compare with"
            return Rerun(step.name, outcome.seconds, why=why, ended=NOT_JUDGED)
        now = entries_of(self.root, [step.name])[step.name]
        before = self.lock[step.name]
        artifacts = dict(self._compared(step.name, now))
        self._as_recorded |= {path for path, c in artifacts.items() if c.state == IDENTICAL}
        changed = _changed_inputs(before, now)
        return Rerun(step.name, outcome.seconds, artifacts, changed, _otherwise(before, now))

    def _compared(self, name: str, now: Mapping[str, Any]) -> Iterable[tuple[str, Comparison]]:
        outs = self._outs(name)
        rerun = {str(out["path"]): out for out in now.get("outs", [])}
        for path in outs.keys() - rerun.keys():
            yield path, Comparison(DIFFERENT, note="recorded, and not written by the rerun")
        for path, out in rerun.items():
            if path not in outs:
                yield path, Comparison(DIFFERENT, note="written by the rerun, and not recorded")
            else:
                yield path, self._judge(name, path, outs[path], out)

    def _judge(
        self, name: str, path: str, before: Mapping[str, Any], now: Mapping[str, Any]
    ) -> Comparison:
        # What git has is what a reader of the revision sees, whatever dvc.lock says of it.
        if before.get("md5") == now.get("md5") and not self.recorded.is_committed(path):
            return Comparison(IDENTICAL)
        source = self.recorded.bring(before)
        if source is None:
            return Comparison(DIFFERENT, note=f"other bytes; {GONE}{self._trouble()}")
        found = compare(source, self.root / path, self.tolerance)
        trained = name.split("@", maxsplit=1)[0] in STAGES
        if found.state == DIFFERENT and trained and self.band is not None:
            return compare_trainings(source, self.root / path, self.tolerance, self.band)
        return found


def put_away(path: Path) -> None:
    """Remove what would give a result without computing it, a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def _changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    was = {dep["path"]: dep.get("md5") for dep in before.get("deps", [])}
    return tuple(
        str(dep["path"]) for dep in now.get("deps", []) if was.get(dep["path"]) != dep.get("md5")
    )


def _otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say whether a stage was recorded with another command or parameters than its revision has."""
    if before.get("cmd") != now.get("cmd"):
        return f"recorded with another command: {before.get('cmd')}"
    keys = [
        key
        for file, values in now.get("params", {}).items()
        for key, value in values.items()
        if before.get("params", {}).get(file, {}).get(key) != value
    ]
    return f"recorded with other parameters: {', '.join(keys)}" if keys else ""


def chosen_steps(names: Iterable[str], steps: list[Step]) -> list[str]:
    """Give the stages that names choose, a stage or all of its kind; raises ParameterError.

    >>> steps = [Step(name, frozenset(), None) for name in ("explain@a-lime", "explain@a-rise")]
    >>> chosen_steps(["explain"], steps)
    ['explain@a-lime', 'explain@a-rise']
    """
    known = [step.name for step in steps]
    kinds = [name.split("@", maxsplit=1)[0] for name in known]
    wanted = set(names)
    refuse_unknown(sorted(wanted), [*known, *kinds], "--only: the revision has no stage ")
    return [n for n, kind in zip(known, kinds, strict=True) if n in wanted or kind in wanted]
