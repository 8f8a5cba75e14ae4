"""How long `make quick` takes, part by part: median of five, on the cores that it names.

    python benchmarks/suite.py          # after `make install`
    python benchmarks/suite.py cold     # types with no cache from before, as in a fresh clone

Writes ``benchmarks/suite.json``: seconds of wall clock. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 5
ROOT = Path(__file__).resolve().parent.parent
OUTPUT = Path(__file__).with_suffix(".json")
PARTS = ("lint", "layers", "types", "fast", "quick")


def took(part: str, cold: bool) -> float:
    """Give the seconds of a target of the Makefile; raises CalledProcessError where it fails."""
    if cold:
        shutil.rmtree(ROOT / ".mypy_cache", ignore_errors=True)
    began = time.perf_counter()
    subprocess.run(["make", part], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(cold: bool) -> None:
    """Measure, print and write."""
    known = json.loads(OUTPUT.read_text()) if OUTPUT.is_file() else {}
    seconds = {
        part: round(statistics.median(took(part, cold) for _ in range(REPEATS)), 1)
        for part in (("types", "quick") if cold else PARTS)
    }
    cores = len(os.sched_getaffinity(0))
    known["cold" if cold else "warm"] = {"cores": cores, "repeats": REPEATS, "seconds": seconds}
    OUTPUT.write_text(json.dumps(known, indent=2) + "\n")
    print(OUTPUT.read_text())


if __name__ == "__main__":
    main("cold" in sys.argv[1:])
