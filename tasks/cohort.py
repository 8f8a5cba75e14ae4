"""Stage ``cohort``: says which explained rows count in the tables, and why the others do not."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_columns, read_json, read_rows, write_table
from tasks.maps import check_methods
from tasks.stage import Context, Stage
from tasks.tables.cohort import COHORT
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.saliency import saliency


def run(context: Context, audit: str) -> None:
    """Write the cohort of an audit; a row that one method cannot map is out for all."""
    methods = context.params.value("methods")
    check_methods(audit, methods)
    size = read_json(places.predict(audit) / "audit.json")["size"]
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
    ("methods",),
    run,
    tables={"data/cohort/<audit>.parquet": "tasks.tables.cohort:COHORT"},
)

if __name__ == "__main__":
    STAGE.main()
