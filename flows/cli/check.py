"""`saliency-audit check PATH`: all that is wrong with tables, or with raw images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from flows.cli.paths import existing
from flows.cli.run import check_only
from flows.ground.console import DONE, Voice
from flows.ground.parameters import read_sources
from saliency_audit.datasets.splitting import SplitParameters
from saliency_audit.errors import AuditError, DataError, ParameterError
from saliency_audit.inspection import inspect
from saliency_audit.naming import refuse_unknown
from saliency_audit.problem import Problem, Severity
from saliency_audit.progress import Progress
from tasks import places
from tasks.params import build, build_source, read_tree
from tasks.progress import Reporter
from tasks.stage import INTERRUPTED, STOPPED
from tasks.table_check import table_problems

#: How many places of a problem a person is shown; JSON has all.
SHOWN = 20
#: Kinds of raw sources that lie in a folder.
KINDS = ("folder", "ham10000", "chestxdet")
COLOURS = {Severity.STOP: "red", Severity.WARN: "yellow", Severity.NOTE: "cyan"}


@dataclass(frozen=True)
class Target:
    """What to check: ``path``, a Parquet file, a folder of them, or one of raw images.

    ``table``: which table a file is of; ``kind``: of raw images; None: found out.
    """

    path: Path | None
    table: str | None = None
    kind: str | None = None

    def problems(self, root: Path, progress: Progress) -> Iterator[Problem]:
        """Give all that is wrong; raises ParameterError where this is no question."""
        path = self.path
        if path is None:
            raise ParameterError("--table, --kind and --json are of a PATH: give one")
        if self.table is not None and (self.kind is not None or not path.is_file()):
            raise ParameterError("--table is of one Parquet file: leave it out")
        if self.kind is not None and path.is_file():
            raise ParameterError("--kind is of a folder of raw images: leave it out")
        if self.table is not None or path.suffix == ".parquet":
            yield from table_problems(path, self.table)
            return
        tree = read_tree(root / places.PARAMS)
        tables = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        sources = self._sources(root, path, tree, bool(tables))
        split = build(SplitParameters, tree["split"], "split")
        for name, source in sources.items():
            for problem in inspect(source, source.source, split, progress):
                yield replace(problem, subject=f"{path} as {name}")
        if not sources:
            for done, file in enumerate(tables, start=1):
                yield from table_problems(file)
                progress(done, len(tables))

    def _sources(
        self, root: Path, path: Path, tree: Mapping[str, Any], tables: bool
    ) -> dict[str, Any]:
        """Give the sources of raw images at a path, by what they are; none where it has tables."""
        if self.kind is not None:
            refuse_unknown([self.kind], KINDS, "--kind: unknown kind ")
        known = {
            f"dataset {name}": source
            for name, source in read_sources(tree).items()
            if (root / source.source).resolve() == path.resolve()
            and self.kind in (None, source.kind)
        }
        if known or (tables and self.kind is None):
            return known
        kind = self.kind or KINDS[0]
        name = kind if self.kind else f"{kind} (--kind says another)"
        return {name: build_source(str(path), {"kind": kind, "source": str(path)})}


def command(
    path: Annotated[
        Path | None,
        typer.Argument(
            callback=existing, help="Parquet file, folder of them, or folder of raw images."
        ),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Which table the file is of; default: by place and columns.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Read raw images as folder, ham10000 or chestxdet; default: as the dataset of "
            "params.yaml whose source this is, else as folder."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as one line of JSON.")
    ] = False,
) -> None:
    """Check params.yaml, or name all that is wrong with tables or raw images, before any training.

    Without PATH: every key, range and reference of params.yaml. With it: each problem once, with
    its count, the first 20 places and what to do; `stop` would end an audit, `warn` may mislead
    it, `note` is worth knowing. Exit codes: 0 nothing stops, 2 bad parameter or usage, 4 something
    would stop.

    Example: saliency-audit check ../knees
    """
    sys.exit(say_check(Path.cwd(), Target(path, table, kind), as_json))


def say_check(root: Path, target: Target, as_json: bool) -> int:
    """Check params.yaml, or what is named, and print all that is wrong; gives the exit code."""
    if target == Target(None) and not as_json:
        return check_only(root)
    reporter = Reporter(f"check {target.path}")
    try:
        problems = list(target.problems(root, reporter))
    except AuditError as error:
        return Voice().complain(error)
    except OSError as error:
        return Voice().complain(DataError(f"the machine refused: {error}"))
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        reporter.close()
    order = list(Severity)
    problems.sort(key=lambda problem: order.index(problem.severity))
    counts = {
        severity.value: sum(p.count for p in problems if p.severity is severity)
        for severity in Severity
    }
    if as_json:
        found = {"path": str(target.path), **counts, "problems": [p.to_json() for p in problems]}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        _print(problems, str(target.path), counts)
    return STOPPED if counts[Severity.STOP] else DONE


def _print(problems: Sequence[Problem], path: str, counts: Mapping[str, int]) -> None:
    subjects = {problem.subject for problem in problems}
    for problem in problems:
        # One subject alone is said at the end.
        of = [problem.subject] if len(subjects) > 1 else []
        of += [] if problem.column is None else [f"column {problem.column}"]
        what = f"{problem.rule} ({problem.count}): {problem.meaning}"
        _say(": ".join([*of, what]), problem.severity)
        _say(f"  to do: {problem.advice}")
        shown = problem.places[:SHOWN]
        for at, found in shown:
            _say(f"  {at}{': ' if found else ''}{found}")
        if problem.count > len(shown):
            _say(f"  and {problem.count - len(shown)} more")
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    whole = subjects.pop() if len(subjects) == 1 else path
    _say(f"{whole}: {said or 'nothing is wrong or odd'}")


def _say(text: str, severity: Severity | None = None) -> None:
    # A file's name may be no text.
    line = escape(text.encode(errors="backslashreplace").decode())
    mark = "" if severity is None else f"[{COLOURS[severity]}]{severity}[/] "
    Console().print(mark + line, highlight=False, soft_wrap=True)
