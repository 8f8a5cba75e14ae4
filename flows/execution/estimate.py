"""How long a run will still take: by what its stages took before, and how far they are now.

What is not known is said to be not known: the sum of the rest is then a lower bound.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from flows.execution.run_record import former_runs

#: How many former runs are looked at, the newest first.
RUNS = 20
#: Share of its images from which on a stage's own speed says more than what it took before.
SPEAKS = 0.1


@dataclass(frozen=True)
class Left:
    """Seconds left of a run, as far as is known; ``unknown``: how many stages are not counted.

    ``share``: of the run's passes of models, which are counted before anything has run, those that
    are done, from 0 to 1; None where it has none.

    >>> str(Left(80.0, 0)), str(Left(80.0, 2)), str(Left(0.0, 3))
    ('about 80 s', 'at least 80 s (2 stages not known)', 'not known yet')
    >>> str(Left(0.0, 3, share=0.25))
    'not known yet; 25% of the passes of models are done'
    """

    seconds: float
    unknown: int
    share: float | None = None

    def __str__(self) -> str:
        """Say it in words."""
        if not self.unknown:
            return f"about {in_words(self.seconds)}"
        done = "" if self.share is None else f"; {self.share:.0%} of the passes of models are done"
        if not self.seconds:
            return f"not known yet{done}"
        stages = "stage" if self.unknown == 1 else "stages"
        return f"at least {in_words(self.seconds)} ({self.unknown} {stages} not known){done}"


@dataclass(frozen=True)
class Underway:
    """A stage that runs: for how many seconds, and what share is done, if it says so."""

    seconds: float
    share: float | None = None


#: Says what is left of a run, by which of its stages are done, which run and which failed.
Estimate = Callable[[Collection[str], Mapping[str, Underway], Collection[str]], Left]


def in_words(seconds: float) -> str:
    """Give a time in its two largest units.

    >>> in_words(8.4), in_words(95), in_words(400), in_words(7500)
    ('8 s', '95 s', '7 min', '2 h 5 min')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def former_seconds(root: Path) -> dict[str, float]:
    """Give how long each stage took when it last ran in this checkout."""
    found: dict[str, float] = {}
    for record, _ in zip(former_runs(root), range(RUNS), strict=False):
        for name, stage in record.get("stages", {}).items():
            if stage["state"] == "ran" and name not in found:
                found[name] = float(stage["seconds"])
    return found


def share_done(
    passes: Mapping[str, int], done: Collection[str], underway: Mapping[str, Underway]
) -> float | None:
    """Give the share of the passes of models that are done; None where a run has none.

    ``passes``: of each stage of the run; ``underway``: counts by the share of its images.

    >>> share_done({"a": 100, "b": 300, "c": 0}, ["a"], {"b": Underway(5.0, share=0.5)})
    0.625
    """
    total = sum(passes.values())
    if not total:
        return None
    part = sum(passes.get(name, 0) * (now.share or 0.0) for name, now in underway.items())
    return (sum(passes.get(name, 0) for name in done) + part) / total


def time_left(
    plan: Sequence[str],
    needs: Mapping[str, Collection[str]],
    former: Mapping[str, float],
    slots: int,
    done: Collection[str] = (),
    underway: Mapping[str, Underway] | None = None,
    failed: Collection[str] = (),
    away: Collection[str] = (),
) -> Left:
    """Estimate what is left of a run with so many slots.

    ``plan``: its stages, first those that are started first; ``needs``: of each, all that it waits
    for; ``former``: seconds that each took before; ``done``: those that have ended well;
    ``underway``: those that run; ``failed``: what waits for one of these will not run; ``away``:
    those that run elsewhere and take no slot.

    >>> needs = {"a": [], "b": ["a"], "c": ["a"]}
    >>> time_left(["a", "b", "c"], needs, {"a": 5, "b": 10, "c": 20}, slots=2).seconds
    25.0
    """
    underway = underway or {}
    # Of what waits for a stage that failed, nothing is left to wait for.
    lost = set(failed)
    for name in _in_order(plan, needs):
        if lost & set(needs.get(name, ())):
            lost.add(name)
    waiting = [n for n in plan if n not in done and n not in underway and n not in lost]
    rest = {name: _rest(name, former, underway.get(name)) for name in [*underway, *waiting]}
    unknown = sum(seconds is None for seconds in rest.values())
    seconds = _simulated(
        waiting,
        {name: [n for n in needs.get(name, ()) if n in plan] for name in waiting},
        {name: value or 0.0 for name, value in rest.items()},
        slots,
        set(done),
        underway,
        away,
    )
    return Left(seconds, unknown)


def _in_order(plan: Iterable[str], needs: Mapping[str, Collection[str]]) -> Iterable[str]:
    """Give the stages of a plan, each after what it waits for."""
    within = set(plan)
    waits = {name: [n for n in needs.get(name, ()) if n in within] for name in plan}
    return TopologicalSorter(waits).static_order()


def _rest(name: str, former: Mapping[str, float], now: Underway | None) -> float | None:
    """Give the seconds that a stage has still to run; None where nothing says it."""
    if now is None:
        return former.get(name)
    if now.share is not None and now.share >= SPEAKS:
        return now.seconds * (1 - now.share) / now.share
    left = former.get(name, 0.0) - now.seconds
    return left if left > 0 else None


def _simulated(
    waiting: Iterable[str],
    needs: Mapping[str, Collection[str]],
    rest: Mapping[str, float],
    slots: int,
    done: set[str],
    underway: Iterable[str],
    away: Collection[str],
) -> float:
    """Play a run through, each stage started as soon as it may be; gives when the last ends."""
    order = list(waiting)
    running = [(rest[name], name) for name in underway]
    heapq.heapify(running)
    now = 0.0
    while order or running:
        held = sum(name not in away for _, name in running)
        for name in [n for n in order if all(needed in done for needed in needs[n])]:
            if name in away or held < slots:
                order.remove(name)
                heapq.heappush(running, (now + rest[name], name))
                held += name not in away
        now, name = heapq.heappop(running)
        done.add(name)
    return now
