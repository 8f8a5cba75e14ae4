"""What checking costs: layer (a) as a share of each stage, and the gates at 10,000 rows and more.

    python -m benchmarks.quality_cost layer     # of the audit that lies here
    python -m benchmarks.quality_cost gates     # each gate of the audits that lie here
    python -m benchmarks.quality_cost results   # check_results, up to 1,000,000 rows

Processor time, so that what else the machine does counts little.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.artifacts import open_table
from tasks.stages import gates as read_gates

AUDIT = "phantom_skin-cnn"
#: Tables that check_results reads, relative to data.
READ = (
    f"predict/{AUDIT}/regions.parquet",
    f"cohort/{AUDIT}.parquet",
    f"cohort/methods/{AUDIT}.parquet",
    f"apply_segx/{AUDIT}.parquet",
    f"score_segu/{AUDIT}.parquet",
    f"aggregate_agreement/{AUDIT}/cells.parquet",
    f"aggregate_agreement/{AUDIT}/agreement.parquet",
    *(f"explain/{AUDIT}/{path.name}" for path in Path(f"data/explain/{AUDIT}").glob("*.parquet")),
)


def layer() -> None:
    """Print, per table of the audit that lies here, the seconds of its check."""
    from tasks.table_check import _table_of

    seconds = former()
    for path in sorted(Path("data").rglob("*.parquet")):
        with open_table(path) as file:
            table = _table_of(path, file.schema_arrow, None)
            assert table is not None
            groups = map(file.read_row_group, range(file.num_row_groups))
            batches = [batch for group in groups for batch in group.to_batches()]
        for _ in range(2):  # the first time loads what Arrow needs
            began, last = time.process_time(), None
            for batch in batches:
                last = table.check(batch, last)
            took = time.process_time() - began
        stage = next((s for name, s in seconds.items() if matches(name, path)), None)
        share = f"{took / stage:.2%} of {stage:.1f} s" if stage else "stage not timed here"
        print(f"{path}: {took * 1000:.1f} ms, {share}")


def matches(stage: str, path: Path) -> bool:
    """Whether a stage wrote a table, by their names."""
    kind, _, key = stage.partition("@")
    parts = path.with_suffix("").parts
    return parts[1] == kind and key in ("-".join(parts[2:]), *parts[2:])


def former() -> dict[str, float]:
    """Give how long each stage took when it last ran here."""
    from flows.execution.estimate import former_seconds

    return former_seconds(Path.cwd())


def results() -> None:
    """Print seconds and memory of check_results as the audit's rows are repeated."""
    for repeats in (1, 10, 100, 280):
        with tempfile.TemporaryDirectory() as folder:
            rows = repeat(Path(folder), repeats)
            print(f"{rows} rows of localisation: {measured('check_results', AUDIT, folder)}")


def gates() -> None:
    """Print seconds and memory of each gate that has run here, run again."""
    known = [gate.name for gate, _ in read_gates()]
    for name in sorted(former()):
        kind, _, key = name.partition("@")
        if kind in known:
            print(f"{name}: {measured(kind, key, '.')}")


def measured(stage: str, key: str, folder: str) -> str:
    """Run a stage in a folder by itself; says what it took."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", f"tasks.{stage}", key],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    _, status, usage = os.wait4(process.pid, 0)
    return (
        f"exit {os.waitstatus_to_exitcode(status)}, {time.monotonic() - began:.1f} s "
        f"({usage.ru_utime + usage.ru_stime:.1f} s of processor), {usage.ru_maxrss / 1024:.0f} MiB"
    )


def repeat(folder: Path, repeats: int) -> int:
    """Write the audit's tables with every image that many times; gives rows of localisation."""
    shutil.copy("params.yaml", folder)
    described = Path(f"data/predict/{AUDIT}/audit.json")
    (folder / described).parent.mkdir(parents=True)
    shutil.copy(described, folder / described)
    count = 0
    for name in READ:
        table = pq.read_table(Path("data") / name)
        target = folder / "data" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        ids = table.column("image_id")
        with pq.ParquetWriter(target, table.schema) as sink:
            for number in range(repeats):
                named = pc.binary_join_element_wise(pa.scalar(f"{number:05}"), ids, "-")
                sink.write_table(table.set_column(0, table.schema.field(0), named))
        if name.startswith("apply_segx"):
            count = len(table) * repeats
    return count


if __name__ == "__main__":
    {"layer": layer, "gates": gates, "results": results}[sys.argv[1]]()
