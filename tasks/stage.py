"""What every stage has in common: what it declares, its errors and its progress."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from saliency_audit.errors import AuditError, ParameterError, QualityError
from saliency_audit.progress import Progress
from tasks.params import Parameters, load
from tasks.progress import Reporter
from tasks.supervision import alone, follow_run, refuse_elsewhere

#: Exit codes, as docs/commands.md lists them.
BUG, BAD_PARAMETER, FAILED, STOPPED, INTERRUPTED = 1, 2, 3, 4, 130

#: What of an audit may wait for a gate, in the order in which it is done.
Step = Literal["trained", "explained", "measured", "reported"]
STEPS: tuple[Step, ...] = get_args(Step)


@dataclass(frozen=True)
class Context:
    """What a stage is given: the parameters it declares, and where to report progress."""

    params: Parameters
    progress: Progress


@dataclass(frozen=True)
class Checks:
    """What makes a stage a quality gate.

    ``about``: what it looks at, in words; ``before``: the step of an audit that waits for it;
    ``rules``: the function, as ``module:name``, that gives its rules. Its arguments are dataclasses
    of parameters, or some of those that ``tasks.gates.catalogue`` has examples of.
    """

    about: str
    before: Step
    rules: str

    def __post_init__(self) -> None:
        """Check the step; raises ValueError."""
        if self.before not in STEPS:
            raise ValueError(f"before is {self.before!r}: give one of {', '.join(STEPS)}")


@dataclass(frozen=True)
class Declaration:
    """What a stage says of itself.

    ``name``: its name in dvc.yaml; ``arguments``: what its command takes (``audit``, ``dataset``,
    ``method``); ``params``: the dotted keys it reads, with the arguments in braces, the same as
    its ``params`` there; ``tables``: the Parquet files it writes, each with its declaration as
    ``module:name`` (in a path ``<audit>`` stands for any); ``takes``: packages of which it takes
    modules by name, which no look at imports sees; ``chooses``: the section of params.yaml of which
    it is given one key, and takes the module behind it: its code is then a file for each key;
    ``files``: folders of files, no modules, that it reads; ``checks``: what makes it a gate.

    All of it is written as literals: ``tasks.stages`` reads it without running the module.
    """

    name: str
    arguments: tuple[str, ...]
    params: tuple[str, ...]
    _: KW_ONLY
    tables: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    chooses: str = ""
    files: tuple[str, ...] = ()
    checks: Checks | None = None

    @property
    def per(self) -> str:
        """What it is run for once: ``all``, or its arguments.

        >>> Declaration("explain", ("audit", "method"), ()).per, Declaration("index", (), ()).per
        ('audit and method', 'all')
        """
        return " and ".join(self.arguments) or "all"

    def declared(self, values: Sequence[str]) -> list[str]:
        """Dotted keys for given arguments.

        >>> split = Declaration("split", ("dataset",), ("split", "datasets.{dataset}"))
        >>> split.declared(["skin"])
        ['split', 'datasets.skin']
        """
        names = dict(zip(self.arguments, values, strict=True))
        return [key.format(**names) for key in self.params]


@dataclass(frozen=True)
class Stage(Declaration):
    """A stage of dvc.yaml; ``run``: the work, called with a Context and the arguments."""

    run: Callable[..., None]

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Run as a command; leaves the process with the exit code."""
        values = list(sys.argv[1:] if argv is None else argv)
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        sys.exit(self._attempt(values))

    def _attempt(self, values: list[str]) -> int:
        if len(values) != len(self.arguments):
            usage = " ".join(f"<{argument}>" for argument in self.arguments)
            return _complain(f"usage: python -m tasks.{self.name} {usage}", BAD_PARAMETER)
        _say_where()
        name = "@".join([self.name, "-".join(values)]) if values else self.name
        follow_run()
        reporter = Reporter(name)
        try:
            refuse_elsewhere(name)
            with alone(name):
                self.run(Context(load(self.declared(values)), reporter), *values)
            reporter.finish()
        except AuditError as error:
            return _complain(str(error), exit_code(error))
        except OSError as error:
            return _complain(f"the machine refused: {error}", FAILED)
        except KeyboardInterrupt:
            return _complain("interrupted", INTERRUPTED)
        finally:
            reporter.close()
        return 0


def exit_code(error: AuditError) -> int:
    """Give the exit code of an error that a person can mend.

    >>> exit_code(ParameterError("seed is -1: give 0 or more"))
    2
    """
    if isinstance(error, ParameterError):
        return BAD_PARAMETER
    return STOPPED if isinstance(error, QualityError) else FAILED


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


def _say_where() -> None:
    """Say in one line where the stage runs under another Python than the project's."""
    prefix = Path(".venv").resolve()
    if prefix.is_dir() and Path(sys.prefix).resolve() != prefix and "CI" not in os.environ:
        sys.stderr.write(
            f"note: running under {sys.prefix}, not .venv: `source .venv/bin/activate` first\n"
        )
