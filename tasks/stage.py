"""What every stage has in common: its arguments, its parameters, its errors and its progress."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from saliency_audit.errors import AuditError, ParameterError, QualityError
from saliency_audit.progress import Progress
from tasks.params import Parameters, load
from tasks.progress import Reporter
from tasks.supervision import alone, follow_run, refuse_elsewhere

#: Exit codes, as docs/commands.md lists them.
BUG, BAD_PARAMETER, FAILED, STOPPED, INTERRUPTED = 1, 2, 3, 4, 130


@dataclass(frozen=True)
class Context:
    """What a stage is given: the parameters it declares, and where to report progress."""

    params: Parameters
    progress: Progress


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml.

    ``name``: its name there; ``arguments``: what its command takes (``audit``, ``dataset``,
    ``method``); ``params``: the dotted keys it reads, with the arguments in braces, the same as
    its ``params`` in dvc.yaml; ``run``: the work, called with a Context and the arguments.
    """

    name: str
    arguments: tuple[str, ...]
    params: tuple[str, ...]
    run: Callable[..., None]

    def declared(self, values: Sequence[str]) -> list[str]:
        """Dotted keys for given arguments.

        >>> Stage("split", ("dataset",), ("split", "datasets.{dataset}"), print).declared(["skin"])
        ['split', 'datasets.skin']
        """
        names = dict(zip(self.arguments, values, strict=True))
        return [key.format(**names) for key in self.params]

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
