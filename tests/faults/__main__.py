"""``python -m tests.faults``: injects faults into a miniature audit, and says what came of it."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

from . import miniature, record
from .faults import FAULTS
from .servers import Database, Server
from .trial import SkippedError, Trial


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", help="one kind of fault, or several with commas")
    parser.add_argument("--trials", type=int, help="how many of each kind; default: as listed")
    parser.add_argument("--seed", type=int, help="the one trial of this seed, even if it passed")
    parser.add_argument("--results", type=Path, default=miniature.ROOT / ".saliency/faults.jsonl")
    parser.add_argument("--work", type=Path, default=miniature.ROOT / ".saliency/faults")
    parser.add_argument("--markdown", type=Path, help="write the table to this file's end, too")
    parser.add_argument("--table", action="store_true", help="only show what is known")
    parser.add_argument(
        "--toy", action="store_true", help="stages that do next to nothing; not the events"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folders of all trials")
    found = parser.parse_args()
    kinds = found.only.split(",") if found.only else list(FAULTS)
    for kind in kinds:
        if kind not in FAULTS:
            parser.error(f"{kind}: no such fault: {', '.join(FAULTS)}")
    found.kinds = kinds
    return found


def planned(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Give kinds and seeds; kinds take turns, so that a stopped series has tried them all."""
    if options.seed is not None:
        return [(kind, options.seed) for kind in options.kinds]
    numbers = {
        kind: FAULTS[kind][1] if options.trials is None else options.trials
        for kind in options.kinds
    }
    return sorted(
        ((kind, n) for kind, number in numbers.items() for n in range(1, number + 1)),
        key=lambda trial: trial[1],
    )


def attempt(
    kind: str,
    seed: int,
    options: argparse.Namespace,
    code: str,
    revision: str,
    mini: miniature.Miniature,
    server: Server,
) -> record.Result:
    """Make a trial; its folder is kept where it failed."""
    began = time.monotonic()
    trial = Trial(kind, seed, options.work / "trials" / f"{kind}-{seed}", mini, server)
    outcome = "passed"
    try:
        FAULTS[kind][0](trial)
    except SkippedError as reason:
        outcome, trial.point = "skipped", str(reason)
    except Exception:
        trial.problems.append(traceback.format_exc())
    finally:
        trial.end()
    if trial.problems:
        outcome = "failed"
    elif not options.keep:
        shutil.rmtree(trial.folder)
    if server.ended():
        server.start()
    seconds = round(time.monotonic() - began, 1)
    return record.Result(kind, seed, trial.point, outcome, seconds, code, revision, trial.problems)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def make_trials(options: argparse.Namespace, code: str) -> None:
    known = record.latest(record.read(options.results), code)
    todo = [
        trial
        for trial in planned(options)
        if options.seed is not None or trial not in known or known[trial].outcome == "failed"
    ]
    say(f"{len(todo)} trials to make of {len(planned(options))}, code {code}")
    if not todo:
        return
    options.work.mkdir(parents=True, exist_ok=True)
    with Server(options.work / "server", Database()) as server:
        make = miniature.make_toy if options.toy else miniature.make
        mini = make(options.work / "miniature", server.environment)
        mini.take_flows()
        revision = miniature.described()
        say(f"an undisturbed run takes {mini.seconds}")
        for number, (kind, seed) in enumerate(todo, 1):
            result = attempt(kind, seed, options, code, revision, mini, server)
            record.add(options.results, result)
            head = f"[{number}/{len(todo)}] {result.outcome} {kind} seed {seed}"
            say(f"{head} ({result.seconds:.0f} s) {result.point}")
            for problem in result.problems:
                say(f"    {problem}")
            if result.outcome == "failed":
                say(f"    kept in {options.work / 'trials' / f'{kind}-{seed}'}")
                say(f"    again: make faults ONLY={kind} SEED={seed}")


def main() -> int:
    options = arguments()
    # Whoever ends the series ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = miniature.code_digest() + ("-toy" if options.toy else "")
    if not options.table:
        make_trials(options, code)
    latest = record.latest(record.read(options.results), code)
    order = {kind: number for number, kind in enumerate(FAULTS)}
    results = sorted(latest.values(), key=lambda r: (order.get(r.kind, 99), r.seed))
    shown = record.table(results)
    say(shown)
    if options.markdown:
        record.write(options.markdown, shown, results)
    return 1 if any(r.outcome == "failed" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
