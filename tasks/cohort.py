"""Stage ``cohort``: says which explained rows count in the tables, and why the others do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_columns, read_json, read_rows, write_table
from tasks.audits import MeasureParameters
from tasks.maps import check_methods
from tasks.pairs import Outcome, PairStatus, read_outcome, row_of_grid, row_of_resolution
from tasks.resolution import read_resolutions
from tasks.stage import Context, Stage
from tasks.tables.cohort import COHORT
from tasks.tables.methods import METHODS
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.saliency import saliency


def run(context: Context, audit: str) -> None:
    """Write the cohort of an audit; a row that one method cannot map is out for all.

    A method that explains none of the audit's rows keeps none out.
    """
    size = read_json(places.predict(audit) / "audit.json")["size"]
    check_methods(audit, context.params.value("methods"))
    outcomes = {m: read_outcome(audit, m) for m in sorted(context.params.value("methods"))}
    counted = {m: _count_maps(audit, m, own, size) for m, own in outcomes.items()}
    methods = [m for m, own in outcomes.items() if own.status is PairStatus.EXPLAINED]
    faulty: dict[tuple[str, str], list[str]] = defaultdict(list)
    mapped: dict[str, set[tuple[str, str]]] = {}
    for method in methods:
        columns = read_columns(
            places.explain(audit) / f"{method}.parquet",
            saliency(*size),
            ["image_id", "label", "status"],
        ).to_pylist()
        mapped[method] = {(row["image_id"], row["label"]) for row in columns}
        for row in columns:
            if row["status"] == "nan_map":
                faulty[row["image_id"], row["label"]].append(method)
    with write_table(COHORT, places.cohort(audit)) as table:
        for row in read_rows(places.predict(audit) / "predictions.parquet", PREDICTIONS):
            if row["explained"]:
                key = (row["image_id"], row["label"])
                missing = [method for method in methods if key not in mapped[method]]
                if missing:
                    raise DataError(
                        f"the maps of {', '.join(missing)} in {places.explain(audit)} lack {key}: "
                        "they belong to other predictions; run `saliency-audit run`"
                    )
                table.write(_row(row, faulty[key]))
    kept = context.params.read("measures", MeasureParameters).kept_fraction
    found = read_resolutions(audit, {m: outcomes[m].grid for m in methods}, kept)
    with write_table(METHODS, places.cohort_methods(audit)) as table:
        for method, own in outcomes.items():
            said = {"method": method, "status": own.status, "reason": own.reason}
            cells = row_of_grid(own.grid) | row_of_resolution(found.get(method))
            table.write({**said, "maps": counted[method], **cells})


def _count_maps(audit: str, method: str, outcome: Outcome, size: Sequence[int]) -> int:
    """Count a method's maps; a fault where there are some of one that explains nothing."""
    path = places.explain(audit) / f"{method}.parquet"
    maps = int(read_columns(path, saliency(*size), ["label"]).num_rows)
    if maps and outcome.status is not PairStatus.EXPLAINED:
        raise DataError(
            f"{path} has {maps} maps, and {path.with_suffix('.json')} says "
            f"{outcome.status}: delete both and run `saliency-audit run`"
        )
    return maps


def _row(row: dict[str, Any], faulty: list[str]) -> dict[str, Any]:
    if not row["predicted"]:
        reason = "not_predicted"
    elif faulty:
        reason = "nan_map"
    else:
        reason = "ok"
    return {
        "image_id": row["image_id"],
        "label": row["label"],
        "group_id": row["group_id"],
        "split": row["split"],
        "correct": row["target"],
        "calibrated": row["calibrated"],
        "counts": reason == "ok",
        "reason": reason,
        "faulty_methods": sorted(faulty),
    }


STAGE = Stage(
    "cohort",
    ("audit",),
    ("methods", "measures"),
    run,
    tables={
        "data/cohort/<audit>.parquet": "tasks.tables.cohort:COHORT",
        "data/cohort/methods/<audit>.parquet": "tasks.tables.methods:METHODS",
    },
)

if __name__ == "__main__":
    STAGE.main()
