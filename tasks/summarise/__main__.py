"""Stage ``summarise``: an audit's rows become the numbers and the gallery of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from saliency_audit.labelling import Labelling, MaskKind
from tasks import places
from tasks.artifacts import read_columns, read_json, write_json
from tasks.profiles import profile_to_json, write_profile
from tasks.stage import Context, Stage
from tasks.summarise import agreement, certainty, classification, localisation
from tasks.summarise.available import summarise_available
from tasks.summarise.gallery import choose_examples, write_gallery
from tasks.summarise.maps import summarise_cohort, summarise_maps
from tasks.summarise.profile import profile_audit
from tasks.summarise.rows import attach, counted, read_cohort
from tasks.summarise.scope import Scope
from tasks.tables.agreement import AGREEMENT
from tasks.tables.cells import CELLS
from tasks.tables.certainty import CERTAINTY
from tasks.tables.history import HISTORY
from tasks.tables.localisation import LOCALISATION
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.table import Table

#: Columns of the cohort that the measures' rows are read with.
OF_COHORT = ["group", "split", "counts", "reason", "correct", "calibrated", "probability"]


def run(context: Context, audit: str) -> None:
    """Write every number of the report on an audit, its gallery, and its profile."""
    scope = Scope.read(audit, context.params)
    folder = places.summarise(scope.dataset, audit)
    cohort = read_cohort(audit)
    description = read_json(places.predict(audit) / "audit.json")
    summary = {
        "audit": audit,
        "parameters": scope.to_json(),
        "description": description,
        "headline_masks": _headline_masks(description),
        **_of_model(audit),
        **_of_predictions(scope, description),
        **_of_maps(scope, description, cohort),
    }
    write_json(folder / "summary.json", summary)
    keys = choose_examples(counted(cohort), scope.report)
    write_gallery(folder / "gallery.parquet", scope, keys, description["size"])
    write_profile(folder / "profile.json", profile_to_json(profile_audit(scope, description)))


def _headline_masks(description: dict[str, Any]) -> str:
    return "per_label" if description["mask_kind"] == MaskKind.PER_LABEL else "single"


def _of_model(audit: str) -> dict[str, Any]:
    folder = places.train_classifier(audit)
    names = [column.name for column in HISTORY.columns]
    history = read_columns(folder / "history.parquet", HISTORY, names)
    return {"model": read_json(folder / "model.json"), "history": history.to_pylist()}


def _of_predictions(scope: Scope, description: dict[str, Any]) -> dict[str, Any]:
    path = places.predict(scope.audit) / "predictions.parquet"
    rows = read_columns(path, PREDICTIONS, classification.COLUMNS)
    labelling = Labelling(description["labelling"])
    found = classification.summarise_classification(
        rows, description["labels"], labelling, scope.bootstrap
    )
    return {"classification": found}


def _of_maps(scope: Scope, description: dict[str, Any], cohort: pa.Table) -> dict[str, Any]:
    audit, methods, bootstrap = scope.audit, scope.methods, scope.bootstrap
    all_located = _joined(places.apply_segx(audit), LOCALISATION, localisation.COLUMNS, cohort)
    all_scored = _joined(places.score_segu(audit), CERTAINTY, certainty.COLUMNS, cohort)
    located, scored = counted(all_located), counted(all_scored)
    masks = _headline_masks(description)
    folder = places.aggregate_agreement(audit)
    path = folder / "agreement.parquet"
    counts = counted(_joined(path, AGREEMENT, agreement.AGREEMENT_COLUMNS, cohort))
    cells = counted(_joined(folder / "cells.parquet", CELLS, agreement.CELL_COLUMNS, cohort))
    return {
        "cohort": summarise_cohort(cohort),
        "maps": summarise_maps(audit, methods, description["size"]),
        "localisation": localisation.summarise_localisation(located, methods, bootstrap),
        "certainty": certainty.summarise_certainty(scored, methods, bootstrap),
        "available": summarise_available(all_located, all_scored, methods, masks),
        "confidence": certainty.summarise_confidence(scored, counted(cohort), masks),
        "agreement": agreement.summarise_agreement(
            counts, cells, methods, scope.agreement.grid, bootstrap
        ),
    }


def _joined(path: Path, table: Table, columns: list[str], cohort: pa.Table) -> pa.Table:
    """Read the rows of one of the audit's tables, with what the cohort says of each."""
    return attach(read_columns(path, table, columns), cohort, OF_COHORT)


STAGE = Stage(
    "summarise",
    ("audit",),
    ("audits.{audit}", "methods", "measures", "agreement", "report"),
    run,
    tables={"data/summarise/<dataset>/<audit>/gallery.parquet": "tasks.tables.gallery:gallery"},
)

if __name__ == "__main__":
    STAGE.main()
