"""What a value may be, declared as data beside its type: ``Annotated[int, Interval(ge=1)]``.

The names and their meaning are those of the package annotated-types. The classes are our own,
because the library imports with torch, numpy and pyarrow alone; for what reads the package's
classes (pydantic, hypothesis) ours are its grouped metadata, and give the package's on iteration.
Reading them is ``parameters``' part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from saliency_audit.errors import ParameterError


@dataclass(frozen=True)
class Interval:
    """A number within bounds: ``gt`` and ``lt`` excluded, ``ge`` and ``le`` included.

    >>> Interval(ge=1).holds(0), Interval(gt=0, le=1).words, Interval(ge=1).words
    (False, 'above 0, at most 1', '1 or more')
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Iterator[Any]:
        """Give the constraints as annotated-types has them; needs that package."""
        import annotated_types

        yield annotated_types.Interval(gt=self.gt, ge=self.ge, lt=self.lt, le=self.le)

    def holds(self, value: Any) -> bool:
        """Whether a number is within; NaN never is."""
        return bool(
            (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    @property
    def words(self) -> str:
        """What to give."""
        if self.ge is not None and self.le is not None:
            return f"{self.ge} to {self.le}"
        low = [f"above {self.gt}"] if self.gt is not None else []
        low += [f"{self.ge} or more"] if self.ge is not None else []
        high = [f"below {self.lt}"] if self.lt is not None else []
        high += [f"at most {self.le}"] if self.le is not None else []
        return ", ".join([*low, *high])


@dataclass(frozen=True)
class Length:
    """A text, a list or a mapping of ``least`` parts or more.

    >>> Length(1).holds(""), Length(2).words
    (False, '2 or more of them')
    """

    least: int

    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Iterator[Any]:
        """Give the constraint as annotated-types has it; needs that package."""
        import annotated_types

        yield annotated_types.MinLen(self.least)

    def holds(self, value: Sized) -> bool:
        """Whether it has as many."""
        return len(value) >= self.least

    @property
    def words(self) -> str:
        """What to give."""
        return f"{self.least} or more of them"


@dataclass(frozen=True)
class Distinct:
    """A list that names nothing twice.

    >>> Distinct().holds(["a", "b", "a"])
    False
    """

    words: ClassVar[str] = "each once"

    def holds(self, value: Any) -> bool:
        """Whether all of its parts differ."""
        return len(set(value)) == len(value)


Rule = Interval | Length | Distinct

#: A whole number of things, one at least.
Count = Annotated[int, Interval(ge=1)]
#: Of random numbers.
Seed = Annotated[int, Interval(ge=0)]
#: A share or a probability.
Share = Annotated[float, Interval(ge=0, le=1)]
#: A share of which there is some.
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
#: A probability that is neither certain nor impossible.
OpenShare = Annotated[float, Interval(gt=0, lt=1)]
#: Resamples of which the ends of an interval can be read.
Replicates = Annotated[int, Interval(ge=100)]
Positive = Annotated[float, Interval(gt=0)]
NotNegative = Annotated[float, Interval(ge=0)]
#: A text that says something.
Text = Annotated[str, Length(1)]


def check_within(rule: Rule, **values: Any) -> None:
    """Raise ParameterError naming the first argument of a function that a rule does not hold.

    >>> check_within(Interval(gt=0), sigma=0)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: sigma is 0: give above 0
    """
    for name, value in values.items():
        if not rule.holds(value):
            raise ParameterError(f"{name} is {value}: give {rule.words}")


def check_at_least(least: int, **values: float) -> None:
    """Raise ParameterError naming the first value that is below ``least``, or NaN.

    >>> check_at_least(1, samples=0)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: samples is 0: give 1 or more
    """
    check_within(Interval(ge=least), **values)
