"""The page's section on the dataset: the papers' Tables 1 and 2, the split, what was odd."""

# ruff: noqa: RUF001  (the page's words hold signs of mathematics)

from __future__ import annotations

from typing import Any

from tasks.report.dataset import SPLITS, DatasetCounts
from tasks.report.inputs import Inputs
from tasks.report.numerals import counted
from tasks.report.papers import paper_of
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Part, Section, filled

#: What a status of a label's split means.
STATUSES = {
    "ok": "ok",
    "no_image": "no image has it",
    "not_in_train": "none in training",
    "few_groups": "fewer patients or lesions than splits",
    "not_in_test": "none in test",
}
NOTES = {
    "mask_rescaled": "the mask and its image differ in size; scaled by nearest neighbour",
    "mask_empty": "the mask marks nothing",
    "mask_full": "the mask marks the whole image",
    "mask_lost": "the marked region is too small for the working resolution",
    "mask_missing": "the image has no mask",
    "mask_inverted": "the mask may be inverted; kept as it is",
}


def data_section(inputs: Inputs) -> Section:
    """Say what the dataset holds, how it was split and what could not be used."""
    counts = inputs.counts
    parts: list[Part] = [_labels(inputs)]
    if counts.split["leaking_groups"]:
        parts.append(
            Caution(
                f"The split is by image, as in the SegX paper: {counts.split['leaking_groups']} of "
                f"{counted(counts.groups, 'patient or lesion', 'patients or lesions')} have images "
                "in more than one split. The classifier has seen test patients in training, and "
                "the figures below are too good."
            )
        )
    parts += [_splits(counts), _set_aside(counts), _notes(counts), _strata(counts)]
    lead = (
        f"{counted(counts.total, 'image')} of "
        f"{counted(counts.groups, 'patient or lesion', 'patients or lesions')} at "
        f"{counts.size[1]} × {counts.size[0]} pixels. "
        f"{_MASKS[counts.mask_kind]}"
    )
    return Section("data", "The dataset", lead, filled(parts))


_MASKS = {
    "single": "One mask per image marks the region that a clinician outlined, for every label.",
    "per_label": "Each label of an image has a mask of its own.",
    "none": "There are no masks of the clinician's region, so Table 3 has no values.",
}


def _labels(inputs: Inputs) -> PrintedTable:
    counts, paper = inputs.counts, paper_of(inputs.labels)
    printed = {} if paper is None else {k.casefold(): n for k, n in paper.images.items()}
    rows: list[dict[str, Any]] = []
    for entry in counts.split["labels"]:
        label = entry["label"]
        rows.append(
            {
                "label": label or "(no label)",
                "images": counts.images.get(label, counts.unlabelled),
                "instances": counts.instances.get(label),
                "paper": printed.get(label.casefold()),
                **{split: entry["images"][split] for split in SPLITS},
                "groups": sum(entry["groups"][split] for split in SPLITS),
                "masks": counts.masks.get(label) if counts.mask_kind == "per_label" else None,
                "status": STATUSES.get(entry["status"], entry["status"]),
            }
        )
    columns = [
        Column("label", "Label"),
        Column("images", "Images", Kind.COUNT),
        Column("instances", "Instances", Kind.COUNT),
        Column("paper", "The paper's count", Kind.COUNT),
        *(Column(split, split.capitalize(), Kind.COUNT, "Images in the split") for split in SPLITS),
        Column("masks", "Masks", Kind.COUNT),
        Column("status", "Split"),
    ]
    dropped = {"paper"} if paper is None else set()
    if counts.mask_kind != "per_label":
        dropped.add("masks")
    return PrintedTable(
        "dataset",
        "Images and instances per label (the papers' Tables 1 and 2)",
        [column for column in columns if column.key not in dropped],
        rows,
        (
            "An image with two nodules is one image and two instances of nodule. An image with "
            "several labels counts once under each.",
        ),
    )


def _splits(counts: DatasetCounts) -> PrintedTable:
    uses = {
        "train": "the classifier and the segmenter learn from it",
        "tune": "stops training and sets thresholds",
        "calibrate": "makes probabilities honest",
        "test": "every table below",
    }
    rows = [
        {
            "split": split,
            "images": counts.split["images"][split],
            "share": counts.split["images"][split] / counts.total if counts.total else None,
            "use": uses[split],
        }
        for split in SPLITS
    ]
    how = "image" if counts.split["by"] == "image" else "patient or lesion"
    return PrintedTable(
        "splits",
        f"Split by {how}",
        (
            Column("split", "Split"),
            Column("images", "Images", Kind.COUNT),
            Column("share", "Share", Kind.SHARE),
            Column("use", "What it serves"),
        ),
        rows,
    )


def _set_aside(counts: DatasetCounts) -> PrintedTable:
    return PrintedTable(
        "set_aside",
        "Rows and files that could not be used",
        (
            Column("reason", "Reason"),
            Column("n", "Number", Kind.COUNT),
            Column("example", "The first"),
        ),
        [
            {"reason": reason, "n": number, "example": example}
            for reason, (number, example) in counts.set_aside.items()
        ],
    )


def _notes(counts: DatasetCounts) -> PrintedTable:
    return PrintedTable(
        "notes",
        "What was odd in images that are used",
        (
            Column("note", "Note"),
            Column("n", "Images", Kind.COUNT),
            Column("meaning", "Meaning"),
        ),
        [
            {"note": note, "n": number, "meaning": NOTES.get(note, "")}
            for note, number in counts.notes.items()
        ],
    )


def _strata(counts: DatasetCounts) -> PrintedTable:
    return PrintedTable(
        "strata",
        "Images by the dataset's own strata",
        (
            Column("stratum", "Stratum"),
            Column("value", "Value"),
            Column("images", "Images", Kind.COUNT),
        ),
        [
            {"stratum": name, "value": value, "images": number}
            for name, found in counts.strata.items()
            for value, number in found.items()
        ],
        heads=2,
        folded=True,
    )
