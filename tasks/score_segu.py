"""Stage ``score_segu``: how certain a prediction is by its map and the segmenter's mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from saliency_audit.labelling import MaskKind
from saliency_audit.measures.controls import Saliency, shuffle_key
from saliency_audit.measures.segu import certainty_with_controls
from saliency_audit.measures.status import Status
from tasks import places
from tasks.artifacts import write_table
from tasks.audits import MeasureParameters
from tasks.joined import JoinedRow, count_rows, join
from tasks.maps import StoredRow
from tasks.pairs import explaining
from tasks.regions import Mask
from tasks.stage import Context, Stage
from tasks.tables.certainty import CERTAINTY

ORDER = ("method", "masks", "saliency")
#: What a row has no value of where there is no mask.
SCORES = tuple(column.name for column in CERTAINTY.columns if column.null)


def run(context: Context, audit: str) -> None:
    """Write the certainty scores of an audit's maps and of their controls."""
    parameters = context.params.read("measures", MeasureParameters)
    methods = explaining(audit, context.params.value("methods"))
    total = count_rows(audit)
    with write_table(CERTAINTY, places.score_segu(audit)) as table:
        for done, row in enumerate(join(audit, methods), start=1):
            rows = sorted(_rows(row, parameters), key=lambda r: tuple(r[name] for name in ORDER))
            table.write_all(rows)
            context.progress(done, total)


def _masks(row: JoinedRow) -> Iterator[tuple[str, Mask | None, float | None]]:
    """Masks to score against: P under each reading, and M where one holds for every label."""
    label = row.cohort["label"]
    for reading in row.regions.readings():
        predicted = row.regions.read_predicted(reading, label)
        yield reading, predicted, row.regions.read_probability(reading, label)
    if row.regions.kind is MaskKind.SINGLE:
        yield "truth", row.regions.read_truth("single", label), None


def _rows(row: JoinedRow, parameters: MeasureParameters) -> Iterator[dict[str, Any]]:
    image_id, label = row.cohort["image_id"], row.cohort["label"]
    for method, stored in row.maps.items():
        key = shuffle_key(parameters.control_seed, image_id, label, method)
        names = {"image_id": image_id, "label": label, "method": method}
        for masks, mask, probability in _masks(row):
            for scores in _scores(stored, mask, probability, parameters, key):
                yield {**names, "masks": masks, **scores}


def _scores(
    stored: StoredRow,
    mask: Mask | None,
    probability: float | None,
    parameters: MeasureParameters,
    key: tuple[int, ...],
) -> Iterator[dict[str, Any]]:
    if mask is None:
        status = str(Status.NO_PREDICTED_MASK)
        for saliency in (Saliency.MAP, Saliency.SHUFFLED, Saliency.CENTRED):
            yield {"saliency": str(saliency), "status": status, **dict.fromkeys(SCORES)}
        return
    for found in certainty_with_controls(
        stored.values,
        mask,
        parameters.kept_fraction,
        key,
        probability,
        map_status=stored.status,
    ):
        yield {
            "saliency": found.saliency,
            **found.figures,
            "predicted_area": found.predicted_area,
            "mean_mask_probability": found.mean_mask_probability,
            "status": found.status,
        }


STAGE = Stage(
    "score_segu",
    ("audit",),
    ("methods", "measures"),
    run,
    tables={"data/score_segu/<audit>.parquet": "tasks.tables.certainty:CERTAINTY"},
)

if __name__ == "__main__":
    STAGE.main()
