"""Stage ``apply_segx``: how well maps meet the ground truth, before and after SegX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from saliency_audit.labelling import MaskKind
from saliency_audit.measures.controls import shuffle_key
from saliency_audit.measures.localisation import localisation
from saliency_audit.measures.status import Status
from tasks import places
from tasks.artifacts import write_table
from tasks.audits import MeasureParameters
from tasks.joined import JoinedRow, count_rows, join
from tasks.pairs import explaining
from tasks.stage import Context, Stage
from tasks.tables.localisation import LOCALISATION

ORDER = ("method", "masks", "saliency", "reading")


def run(context: Context, audit: str) -> None:
    """Write the localisation of an audit's maps and of their controls."""
    parameters = context.params.read("measures", MeasureParameters)
    methods = explaining(audit, context.params.value("methods"))
    total = count_rows(audit)
    with write_table(LOCALISATION, places.apply_segx(audit)) as table:
        for done, row in enumerate(join(audit, methods), start=1):
            rows = sorted(_rows(row, parameters), key=lambda r: tuple(r[name] for name in ORDER))
            table.write_all(rows)
            context.progress(done, total)


def _rows(row: JoinedRow, parameters: MeasureParameters) -> Iterator[dict[str, Any]]:
    image_id, label = row.cohort["image_id"], row.cohort["label"]
    has_masks = row.regions.kind is not MaskKind.NONE and bool(row.regions.truth)
    absent = (
        Status.LABEL_ABSENT
        if row.regions.kind is MaskKind.PER_LABEL and (has_masks or not row.cohort["correct"])
        else Status.NO_GROUND_TRUTH
    )
    for method, stored in row.maps.items():
        for reading in row.regions.readings():
            for found in localisation(
                stored.values,
                row.regions.read_truth(reading, label),
                row.regions.read_predicted(reading, label),
                parameters.kept_fraction,
                shuffle_key(parameters.control_seed, image_id, label, method),
                map_status=stored.status,
                absent=absent,
            ):
                yield {
                    "image_id": image_id,
                    "label": label,
                    "method": method,
                    "masks": reading,
                    "saliency": found.saliency,
                    "reading": found.reading,
                    **found.figures,
                    "truth_area": found.truth_area,
                    "predicted_area": found.predicted_area,
                    "status": found.status,
                }


STAGE = Stage(
    "apply_segx",
    ("audit",),
    ("methods", "measures"),
    run,
    tables={"data/apply_segx/<audit>.parquet": "tasks.tables.localisation:LOCALISATION"},
)

if __name__ == "__main__":
    STAGE.main()
