"""What the SegX/SegU paper printed, and references measured on its data, to stand beside ours.

Nothing here was computed by an audit. Tables 3 and 4 are those of the paper;
its AUITC fits neither reading of this audit (docs/definitions.md), so no
agreement is expected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of both tables: Table 3 as original and SegX, Table 4 as correct and incorrect."""

    model: str
    method: str
    iou: tuple[float, float]
    auitc: tuple[float, float]
    c_iou: tuple[float, float]
    c_auitc: tuple[float, float]


@dataclass(frozen=True)
class Quoted:
    """A mean that a paper prints without saying of how many rows it is."""

    mean: float
    n: None = None


@dataclass(frozen=True)
class Reference:
    """A figure that needs no classifier, or an untrained one: ``iou`` is its IoU@5 %."""

    name: str
    iou: str
    segx: str


@dataclass(frozen=True)
class Paper:
    """What was printed of a dataset; ``images``: the images per label of Table 1 or 2."""

    dataset: str
    rows: tuple[PaperRow, ...]
    images: Mapping[str, int]
    total: int
    references: tuple[Reference, ...] = ()


HAM10000 = Paper(
    "HAM10000",
    (
        PaperRow("ResNet", "shap", (0.125, 0.136), (0.128, 0.153), (0.133, 0.122), (0.135, 0.122)),
        PaperRow(
            "ResNet", "gradcam", (0.084, 0.093), (0.088, 0.109), (0.112, 0.015), (0.142, 0.022)
        ),
        PaperRow(
            "DenseNet", "shap", (0.121, 0.131), (0.128, 0.147), (0.124, 0.123), (0.124, 0.112)
        ),
        PaperRow(
            "DenseNet", "gradcam", (0.176, 0.188), (0.178, 0.214), (0.183, 0.092), (0.183, 0.093)
        ),
    ),
    {"akiec": 327, "bcc": 514, "bkl": 1099, "df": 115, "mel": 1113, "nv": 6705, "vasc": 142},
    10015,
    (
        Reference("a disc at the centre, blind to the image", "0.249", "0.286"),
        Reference("the highest that any map could have", "0.298", ""),
        Reference("a random map", "0.040", ""),
        Reference("Grad-CAM of an untrained CNN", "0.07 to 0.10", ""),
    ),
)

CHESTX_DET10 = Paper(
    "ChestX-Det10",
    (
        PaperRow("ResNet", "shap", (0.076, 0.084), (0.076, 0.084), (0.055, 0.010), (0.079, 0.071)),
        PaperRow(
            "ResNet", "gradcam", (0.033, 0.035), (0.036, 0.039), (0.079, 0.072), (0.061, 0.014)
        ),
        PaperRow(
            "DenseNet", "shap", (0.061, 0.068), (0.061, 0.070), (0.072, 0.055), (0.073, 0.055)
        ),
        PaperRow(
            "DenseNet", "gradcam", (0.052, 0.055), (0.054, 0.058), (0.086, 0.025), (0.086, 0.028)
        ),
    ),
    {
        "Atelectasis": 340,
        "Calcification": 347,
        "Consolidation": 2537,
        "Effusion": 2092,
        "Emphysema": 298,
        "Fibrosis": 738,
        "Fracture": 661,
        "Mass": 160,
        "Nodule": 955,
        "Pneumothorax": 211,
    },
    3583,
)


def paper_of(labels: Iterable[str]) -> Paper | None:
    """Give what the paper printed of the dataset that has these labels, if it did.

    >>> paper_of(["nv", "mel", "bcc", "bkl", "akiec", "vasc", "df"]).dataset
    'HAM10000'
    >>> paper_of(["globules", "streaks"]) is None
    True
    """
    given = {label.casefold() for label in labels}
    if given == {label.casefold() for label in HAM10000.images}:
        return HAM10000
    ten = {label.casefold() for label in CHESTX_DET10.images}
    return CHESTX_DET10 if ten <= given else None
