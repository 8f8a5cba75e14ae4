"""``python -m tests.mutations``: corrupts small audits in every way known, and says who noticed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import base, clean, disk, record
from .kinds import KINDS
from .trial import NOTICED, RATES, Result, attempt

#: Of the kinds that can be told, at 1 %.
WANTED = 0.95
DEFAULT_CLEAN, DEFAULT_DEEP = 200, 10


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--only", help="one kind, or several with commas; no clean seeds then")
    parser.add_argument("--rate", type=float, help="one rate, from 0 (a single row) to 1")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of rows")
    parser.add_argument("--clean", type=int, default=DEFAULT_CLEAN, help="clean seeds to try")
    folder = base.ROOT / ".saliency"
    parser.add_argument("--results", type=Path, default=folder / "mutations.jsonl")
    parser.add_argument("--work", type=Path, default=folder / "mutations")
    parser.add_argument("--markdown", type=Path, help="put the tables into this file, too")
    parser.add_argument("--table", action="store_true", help="only show what is known")
    found = parser.parse_args()
    found.kinds = found.only.split(",") if found.only else list(KINDS)
    for kind in found.kinds:
        if kind not in KINDS:
            parser.error(f"{kind}: no such kind: {', '.join(KINDS)}")
    found.rates = RATES if found.rate is None else (found.rate,)
    return found


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def planned(options: argparse.Namespace) -> list[tuple[str, float]]:
    """Give kinds and rates, the rate that matters most first.

    A kind without rows has one rate; one that cannot be told is tried at the highest only.
    """
    rates = options.rates
    return [
        (name, rate)
        for rate in rates
        for name in options.kinds
        if len(rates) == 1
        or (
            not (KINDS[name].whole and rate != rates[0])
            and not (KINDS[name].untold and rate != max(rates))
        )
    ]


def try_kinds(options: argparse.Namespace, code: str) -> None:
    kept = record.read(options.results, Result, code)
    known = {(result.kind, result.rate) for result in kept if result.seed == options.seed}
    todo = [one for one in planned(options) if options.only or one not in known]
    say(f"{len(todo)} trials to make, code {code}")
    if not todo:
        return
    ready = base.build(options.work / "base", say)
    for number, (name, rate) in enumerate(todo, 1):
        kind = KINDS[name]
        result = attempt(kind, rate, options.seed, ready, options.work / "trial", code)
        record.add(options.results, result)
        told = " (cannot be told)" if kind.untold else ""
        head = f"[{number}/{len(todo)}] {result.outcome} {name} {record.rate_of(rate)}{told}"
        say(f"{head} ({result.seconds:.0f} s) {result.by}: {', '.join(result.what)}")


def try_clean(options: argparse.Namespace, code: str) -> None:
    known = {(a.seed, a.depth) for a in record.read(options.results, clean.Alarm, code)}
    deep = range(min(DEFAULT_DEEP, options.clean))
    todo = [(seed, clean.INPUTS) for seed in range(options.clean)]
    for seed, depth in [*todo, *((seed, clean.ALL) for seed in deep)]:
        if (seed, depth) not in known:
            alarm = clean.attempt(seed, depth, options.work / "clean", code)
            record.add(options.results, alarm)
            say(f"clean seed {seed} {depth}: {', '.join(alarm.rules) or 'nothing'}")


def try_disk(options: argparse.Namespace, code: str) -> None:
    known = {found.damage for found in record.read(options.results, disk.Found, code)}
    todo = [damage for damage in disk.DAMAGES if damage.name not in known]
    if not todo:
        return
    say("making a checkout for damage on disk")
    checkout = disk.make(options.work / "checkout")
    for damage in todo:
        found = disk.attempt(damage, checkout, options.work / "damaged", code)
        record.add(options.results, found)
        say(f"{damage.name}: named {found.named}, {found.error or 'no error'}")


def main() -> int:
    options = arguments()
    options.work, options.results = options.work.resolve(), options.results.resolve()
    code = base.code_digest(base.CODE)
    if not options.table:
        try_kinds(options, code)
        if not options.only:
            try_disk(options, code)
            try_clean(options, code)
    kept = [r for r in record.read(options.results, Result, code) if r.seed == options.seed]
    known = {(result.kind, result.rate): result for result in kept}
    alarms = record.read(options.results, clean.Alarm, code)
    damages = record.read(options.results, disk.Found, code)
    parts = {
        "summary": record.summary(known),
        "untold": record.untold(known),
        "table": record.table(known),
        "clean": record.clean(alarms),
        "disk": record.disk(damages),
    }
    say("\n\n".join(parts.values()))
    if options.markdown:
        record.write(options.markdown, parts)
    told = [r for r in kept if r.rate == RATES[0] and not KINDS[r.kind].untold]
    seen = sum(r.outcome in NOTICED for r in told)
    idle = any(r.outcome == "idle" for r in kept)
    return 1 if idle or seen < WANTED * len(told) or any(a.rules for a in alarms) else 0


if __name__ == "__main__":
    sys.exit(main())
