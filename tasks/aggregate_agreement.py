"""Stage ``aggregate_agreement``: where the methods agree, on a grid (XAIMed §3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from saliency_audit.measures.grid import agreement, cell_statistics, top_cells
from tasks import places
from tasks.artifacts import write_table
from tasks.audits import AgreementParameters
from tasks.joined import JoinedRow, count_rows, join
from tasks.maps import StoredRow
from tasks.pairs import explaining
from tasks.stage import Context, Stage
from tasks.tables.agreement import AGREEMENT
from tasks.tables.cells import CELLS

STATISTICS = ("mean", "median", "minimum", "maximum", "deviation")


def run(context: Context, audit: str) -> None:
    """Write what each cell holds of each map, and how many methods have it among their top."""
    parameters = context.params.read("agreement", AgreementParameters)
    methods = explaining(audit, context.params.value("methods"))
    folder = places.aggregate_agreement(audit)
    total = count_rows(audit)
    with (
        write_table(CELLS, folder / "cells.parquet") as cells,
        write_table(AGREEMENT, folder / "agreement.parquet") as counts,
    ):
        for done, row in enumerate(join(audit, methods), start=1):
            votes: dict[str, tuple[int, ...] | None] = {}
            for method in sorted(row.maps):
                votes[method] = _write_cells(row, row.maps[method], method, parameters, cells.write)
            counts.write_all(_counts(row, votes, parameters))
            context.progress(done, total)


def _write_cells(
    row: JoinedRow,
    stored: StoredRow,
    method: str,
    parameters: AgreementParameters,
    write: Any,
) -> tuple[int, ...] | None:
    """Write a map's cells; gives its top cells, or None of a map that cannot vote."""
    names = {"image_id": row.cohort["image_id"], "label": row.cohort["label"], "method": method}
    number = parameters.grid**2
    if stored.readable is None:
        for cell in range(number):
            empty = dict.fromkeys((*STATISTICS, "top"))
            write({**names, "cell": cell, **empty, "status": stored.status})
        return None
    found = cell_statistics(stored.readable, parameters.grid)
    top = top_cells(found.mean)
    for cell in range(number):
        values = {name: float(getattr(found, name)[cell]) for name in STATISTICS}
        write({**names, "cell": cell, **values, "top": cell in top, "status": stored.status})
    return top


def _counts(
    row: JoinedRow, votes: Mapping[str, tuple[int, ...] | None], parameters: AgreementParameters
) -> Iterator[dict[str, Any]]:
    sets: dict[str, Sequence[str]] = {
        "all": list(votes),
        "paper": [method for method in parameters.methods if method in votes],
    }
    for name, members in sets.items():
        cast = [votes[method] for method in members]
        counts = agreement(cast, parameters.grid**2)
        for cell, count in enumerate(counts.tolist()):
            yield {
                "image_id": row.cohort["image_id"],
                "label": row.cohort["label"],
                "methods": name,
                "cell": cell,
                "count": count,
                "valid_methods": sum(vote is not None for vote in cast),
            }


STAGE = Stage(
    "aggregate_agreement",
    ("audit",),
    ("methods", "agreement"),
    run,
    tables={
        "data/aggregate_agreement/<audit>/cells.parquet": "tasks.tables.cells:CELLS",
        "data/aggregate_agreement/<audit>/agreement.parquet": "tasks.tables.agreement:AGREEMENT",
    },
)

if __name__ == "__main__":
    STAGE.main()
