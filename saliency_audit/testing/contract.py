"""What a battery of checks is: promises with names, each looked at, and what a broken one says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from saliency_audit.naming import refuse_unknown

T = TypeVar("T")


class ContractError(AssertionError):
    """What was checked breaks a promise; names the check, what broke, and how to mend it."""


class Broken(Exception):  # noqa: N818 - turned into a ContractError by the check that met it
    """What broke, in words, as a check finds it."""


def require(holds: object, said: str) -> None:
    """Raise ``Broken`` with what is said, unless something holds."""
    if not holds:
        raise Broken(said)


@dataclass(frozen=True)
class Promise(Generic[T]):
    """What is promised, in a sentence, and how to look: ``look`` raises ``Broken`` where not so.

    ``mend``: what to do then.
    """

    said: str
    mend: str
    look: Callable[[T], None]

    @property
    def name(self) -> str:
        """Its name, as in ``expected``: that of the function that looks."""
        return self.look.__name__.lstrip("_")


def promise(said: str, mend: str) -> Callable[[Callable[[T], None]], Promise[T]]:
    """Make a promise of a function that looks whether it is kept."""
    return lambda look: Promise(said, mend, look)


@dataclass(frozen=True)
class Check(Generic[T]):
    """One promise of one thing: call it. ``subject``: what is checked, for the error."""

    promise: Promise[T]
    subject: str
    trial: T

    def __str__(self) -> str:
        """Name it, as pytest's ``ids=str`` shows it."""
        return self.promise.name

    def __call__(self) -> None:
        """Look; raises ContractError where the promise is broken, by an exception too."""
        try:
            self.promise.look(self.trial)
        except Broken as found:
            self._fail(str(found), None)
        except Exception as error:  # code from elsewhere may raise anything
            self._fail(f"it raised {type(error).__name__}: {error}", error)

    def _fail(self, said: str, cause: Exception | None) -> NoReturn:
        raise ContractError(
            f"{self.subject} breaks {self.promise.name}: {self.promise.said} Found: {said}. "
            f"To mend it: {self.promise.mend}"
        ) from cause


def checks(
    promises: Sequence[Promise[T]], subject: str, trial: T, expected: Mapping[str, str]
) -> Iterator[Check[T]]:
    """Give the checks of a trial but for those that are expected to fail.

    ``expected``: by the name of a check, why it does not hold. Raises ParameterError for the name
    of none.
    """
    refuse_unknown(expected, [promise.name for promise in promises], "expected: unknown check ")
    for promise in promises:
        if promise.name not in expected:
            yield Check(promise, subject, trial)


def run_all(batch: Iterator[Check[T]]) -> list[str]:
    """Run checks and give their names; raises ContractError that tells all that is broken."""
    passed, broken = [], []
    for check in batch:
        try:
            check()
            passed.append(str(check))
        except ContractError as error:
            broken.append(error)
    if broken:
        raise ContractError("\n".join(map(str, broken))) from broken[0]
    return passed
