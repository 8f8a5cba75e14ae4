"""The rules of ``check_results``."""

from __future__ import annotations

from tasks.gates.parameters import ResultBounds
from tasks.gates.rule import Rule, among, equal, with_severities

KEY = "quality.results"
AGAIN = (
    "the figures are not those of these maps: delete what the rows are of, run `saliency-audit run`"
)
#: Counts of figures that break a rule, and the rule.
FIGURES = {
    "out_of_range": "Every score is from 0 to 1.",
    "silent": "A figure is null where its status says why, and nowhere else.",
    "above_ceiling": "No IoU is above the highest that a map of its size can have.",
    "truth_area": "The area of M is that of the clinician's mask.",
    "predicted_area": "The area of P is that of the segmenter's mask.",
    "overlap": "An IoU is that of a whole number of shared pixels.",
    "segx": "SegX keeps nothing outside the segmenter's mask.",
    "c_iou": "c_IoU, its ceiling and the precision follow from one overlap.",
    "with_truth": "c_IoU and c_AUITC with M in place of P are IoU and AUITC with M.",
    "mean_probability": "The segmenter's mean probability is that of its mask.",
}
ROWS = ("localisation", "certainty", "cell")


def rules(bounds: ResultBounds, grid: int) -> list[Rule]:
    """Give the rules for the figures of an audit, on a grid of so many cells a side."""
    found = [
        *(_equal(f"{name}_rows", "scores", meaning(name), f"{name}_rows") for name in ROWS),
        *(_none(name, "scores", said, name) for name, said in FIGURES.items()),
        among(
            AGAIN,
            "explained_row",
            "tables",
            "Every figure is of an image, label and method that is explained.",
            "explained",
            [True],
        ),
        _equal("votes", "cells", "A map that can be read votes for three cells.", "votes"),
        _none("top_cells", "cells", "A map votes for its cells of highest mean.", "wrong_top"),
        _none("cell_means", "cells", "The mean of a cell is that of its map.", "wrong_mean"),
        _none(
            "cell_statistics",
            "cells",
            "Mean, median and deviation of a cell fit its lowest and highest value.",
            "disorder",
        ),
        among(AGAIN, "agreement_cells", "agreement", "Every cell has a count.", "cells", [grid**2]),
        _equal(
            "agreement_total",
            "agreement",
            "Counts sum to three times the methods that can vote.",
            "total",
        ),
        _equal(
            "agreement_voters",
            "agreement",
            "The methods that can vote are those with a map that can be read.",
            "valid",
        ),
        _none(
            "agreement_even",
            "agreement",
            "All cells of a row say how many methods can vote alike.",
            "uneven",
        ),
        _none(
            "agreement_counts",
            "agreement",
            "A cell's count is how many methods vote for it.",
            "wrong_counts",
        ),
    ]
    return with_severities(found, bounds.severity, KEY)


def meaning(table: str) -> str:
    """Say what the number of a table's rows should be."""
    words = {"localisation": "all readings and controls", "certainty": "all masks and controls"}
    return f"Every explained map has {words.get(table, 'a row for each cell')}, once."


def _equal(name: str, facts: str, said: str, column: str) -> Rule:
    return equal(AGAIN, name, facts, said, column, f"own_{column}")


def _none(name: str, facts: str, said: str, column: str) -> Rule:
    return among(AGAIN, name, facts, said, column, [0])
