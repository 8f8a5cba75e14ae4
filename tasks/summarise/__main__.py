"""Stage ``summarise``: an audit's rows become the numbers and the gallery of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from saliency_audit.labelling import Labelling, MaskKind
from tasks import places
from tasks.artifacts import read_columns, read_json
from tasks.profiles import profile_to_json, write_profile
from tasks.stage import Context, Stage
from tasks.summarise import agreement, certainty, classification, localisation
from tasks.summarise.available import summarise_available
from tasks.summarise.gallery import choose_examples, write_gallery
from tasks.summarise.maps import summarise_cohort, summarise_maps
from tasks.summarise.profile import profile_audit
from tasks.summarise.rows import attach, counted, read_cohort
from tasks.summarise.scope import Scope
from tasks.summary.classification import Classification
from tasks.summary.document import Epoch, Summary, write_summary
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
    write_summary(folder / "summary.json", _summary(scope, description, cohort))
    keys = choose_examples(counted(cohort), scope.report) if scope.methods else set()
    write_gallery(folder / "gallery.parquet", scope, keys, description["size"])
    write_profile(folder / "profile.json", profile_to_json(profile_audit(scope, description)))


def _summary(scope: Scope, description: dict[str, Any], cohort: pa.Table) -> Summary:
    audit, methods, bootstrap = scope.audit, scope.methods, scope.bootstrap
    all_located = _joined(places.apply_segx(audit), LOCALISATION, localisation.COLUMNS, cohort)
    all_scored = _joined(places.score_segu(audit), CERTAINTY, certainty.COLUMNS, cohort)
    located, scored = counted(all_located), counted(all_scored)
    masks = _headline_masks(description)
    folder = places.aggregate_agreement(audit)
    path = folder / "agreement.parquet"
    counts = counted(_joined(path, AGREEMENT, agreement.AGREEMENT_COLUMNS, cohort))
    cells = counted(_joined(folder / "cells.parquet", CELLS, agreement.CELL_COLUMNS, cohort))
    return Summary(
        audit=audit,
        parameters=scope.parameters(),
        description=dict(description),
        headline_masks=masks,
        model=dict(read_json(places.train_classifier(audit) / "model.json")),
        history=_history(audit),
        classification=_classification(scope, description),
        cohort=summarise_cohort(cohort),
        maps=summarise_maps(audit, methods, description["size"]),
        localisation=localisation.summarise_localisation(located, methods, bootstrap),
        certainty=certainty.summarise_certainty(scored, methods, bootstrap),
        available=summarise_available(all_located, all_scored, methods, masks),
        confidence=certainty.summarise_confidence(scored, counted(cohort), masks),
        agreement=agreement.summarise_agreement(
            counts,
            cells,
            {"all": methods, "paper": scope.voters},
            scope.agreement.grid,
            bootstrap,
        ),
    )


def _headline_masks(description: dict[str, Any]) -> str:
    return "per_label" if description["mask_kind"] == MaskKind.PER_LABEL else "single"


def _history(audit: str) -> list[Epoch]:
    names = [column.name for column in HISTORY.columns]
    path = places.train_classifier(audit) / "history.parquet"
    return [Epoch(**row) for row in read_columns(path, HISTORY, names).to_pylist()]


def _classification(scope: Scope, description: dict[str, Any]) -> Classification:
    path = places.predict(scope.audit) / "predictions.parquet"
    rows = read_columns(path, PREDICTIONS, classification.COLUMNS)
    labelling = Labelling(description["labelling"])
    return classification.summarise_classification(
        rows, description["labels"], labelling, scope.bootstrap
    )


def _joined(path: Path, table: Table, columns: list[str], cohort: pa.Table) -> pa.Table:
    """Read the rows of one of the audit's tables, with what the cohort says of each."""
    return attach(read_columns(path, table, columns), cohort, OF_COHORT)


STAGE = Stage(
    "summarise",
    ("audit",),
    ("audits.{audit}.dataset", "methods", "measures", "agreement", "report"),
    run,
    tables={"data/summarise/<dataset>/<audit>/gallery.parquet": "tasks.tables.gallery:gallery"},
)

if __name__ == "__main__":
    STAGE.main()
