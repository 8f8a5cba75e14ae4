"""The rules of ``check_inputs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saliency_audit.datasets.splitting import SPLITS, SplitParameters
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.problem import Severity
from tasks.gates.kinds import KINDS
from tasks.gates.parameters import InputBounds
from tasks.gates.rule import Rule, with_severities

KEY = "quality.inputs"
AGAIN = (
    "the tables do not belong together: delete data/ingest and data/split and run "
    "`saliency-audit run`"
)
STOP, WARN = Severity.STOP, Severity.WARN


def rules(
    bounds: InputBounds, split: SplitParameters, description: Mapping[str, Any]
) -> list[Rule]:
    """Give the rules for a dataset with such a description, split in such a way."""
    every = [rule for kind in KINDS for rule in _of(bounds, split, kind)]
    return with_severities(_of(bounds, split, description), bounds.severity, KEY, every)


def _of(bounds: InputBounds, split: SplitParameters, description: Mapping[str, Any]) -> list[Rule]:
    return [
        *_of_split(bounds, split),
        *_of_images(bounds, description),
        *_of_source(bounds),
        *_of_duplicates(split),
        *_of_masks(bounds, description),
    ]


def _of_split(bounds: InputBounds, split: SplitParameters) -> list[Rule]:
    leaks = STOP if split.by == "group" else WARN
    return [
        Rule(
            "split_known",
            "images",
            "Every image is in one of the splits.",
            AGAIN,
            "ExpectColumnValuesToNotBeNull",
            {"column": "split"},
        ),
        Rule(
            "split_word",
            "images",
            f"A split is one of {', '.join(SPLITS)}.",
            AGAIN,
            "ExpectColumnValuesToBeInSet",
            {"column": "split", "value_set": list(SPLITS)},
        ),
        Rule(
            "listed_image",
            "split",
            "Every image that the split lists is one of the dataset.",
            AGAIN,
            "ExpectColumnValuesToBeInSet",
            {"column": "is_image", "value_set": [True]},
        ),
        Rule(
            "listed_group",
            "images",
            "The split lists every image under its own patient or lesion.",
            AGAIN,
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "group_id", "column_B": "listed_group"},
        ),
        Rule(
            "group_in_one_split",
            "images",
            "All images of a patient or lesion are in one split.",
            "set split.by: group, or mend the column that names patients or lesions",
            "ExpectColumnToDetermineColumn",
            {"column_A": "group_id", "column_B": "split"},
            leaks,
        ),
        Rule(
            "split_share",
            "splits",
            "Each split has about the share of the images that it is to have.",
            "see that no patient or lesion has most of the images, or raise the bound",
            "ExpectColumnPairValuesToBeClose",
            {"column_A": "share", "column_B": "wanted", "tolerance": bounds.split_gap},
            WARN,
            parameter=f"{KEY}.split_gap",
        ),
        Rule(
            "label_mix",
            "labels",
            "No label has fallen to the splits more unevenly than chance would deal it.",
            "split again; a label that goes with time or place may need more patients or lesions",
            "ExpectColumnValuesToBeBetween",
            {"column": "probability", "min_value": bounds.label_mix},
            parameter=f"{KEY}.label_mix",
        ),
    ]


def _of_images(bounds: InputBounds, description: Mapping[str, Any]) -> list[Rule]:
    height, width = description["size"]
    found = [
        Rule(
            "known_label",
            "images",
            "An image has no label but the dataset's.",
            "add the label to the dataset, or mend the image's row",
            "ExpectColumnValuesToBeInSet",
            {"column": "unknown_labels", "value_set": [0]},
        ),
        Rule(
            "readable_pixels",
            "images",
            "The pixels of every image can be decoded.",
            "delete data/ingest and run `saliency-audit run`",
            "ExpectColumnValuesToBeInSet",
            {"column": "readable", "value_set": [True]},
        ),
        Rule(
            "pixel_digest",
            "images",
            "The digest of every image is that of its pixels.",
            AGAIN,
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "pixel_sha256", "column_B": "found_sha256"},
        ),
        *_of_size("images", height, width),
        Rule(
            "constant_image",
            "images",
            "An image is not of one colour throughout.",
            "see whether its export failed; drop its row if it did",
            "ExpectColumnValuesToBeInSet",
            {"column": "varied", "value_set": [True]},
            WARN,
            bounds.constant,
            f"{KEY}.constant",
        ),
    ]
    if description["labelling"] != Labelling.MULTILABEL:
        found.append(
            Rule(
                "one_label",
                "images",
                "Every image has exactly one label.",
                "mend the image's row, or set labelling: multilabel",
                "ExpectColumnValuesToBeInSet",
                {"column": "label_count", "value_set": [1]},
            )
        )
    return found


def _of_source(bounds: InputBounds) -> list[Rule]:
    return [
        Rule(
            "set_aside",
            "source",
            "Every row and file of the source is used.",
            "see set_aside.parquet for what is wrong with the others, and mend or remove them",
            "ExpectColumnValuesToBeNull",
            {"column": "reason"},
            WARN,
            bounds.set_aside,
            f"{KEY}.set_aside",
        ),
        Rule(
            "odd_note",
            "images",
            "Nothing odd was noted as the files of an image were read.",
            "see `saliency-audit check`, which says what to do about each note",
            "ExpectColumnValuesToBeNull",
            {"column": "odd"},
            WARN,
        ),
        Rule(
            "enlarged",
            "images",
            "No image has fewer pixels than it is looked at with, where most have more.",
            "see whether it is a thumbnail; fetch the image itself",
            "ExpectColumnValuesToBeInSet",
            {"column": "enlarged", "value_set": [False]},
            WARN,
        ),
        Rule(
            "unlike_others",
            "images",
            "An image looks like the others: brightness, colours, contrast, sharpness, picture.",
            "look at it: it may be a negative, have red and blue exchanged, or show something else",
            "ExpectColumnValuesToBeBetween",
            {"column": "apart", "max_value": bounds.unlike_others},
            WARN,
            parameter=f"{KEY}.unlike_others",
        ),
        Rule(
            "group_spelling",
            "images",
            "No two patients or lesions have names that differ in case, spaces or hyphens alone.",
            "write the name in one way, or its images count as two patients or lesions",
            "ExpectColumnToDetermineColumn",
            {"column_A": "folded_group", "column_B": "group_id"},
            WARN,
        ),
        Rule(
            "stratum_spelling",
            "strata",
            "No two values of a stratum differ in case, spaces or hyphens alone.",
            "write the value in one way, or its images count as two strata",
            "ExpectColumnToDetermineColumn",
            {"column_A": "folded", "column_B": "written"},
            WARN,
        ),
        Rule(
            "stratum_number",
            "strata",
            "A stratum of numbers holds nothing else.",
            "leave the cell empty where the number is unknown, and take units out of it",
            "ExpectColumnValuesToBeInSet",
            {"column": "number", "value_set": [True]},
            WARN,
        ),
        Rule(
            "stratum_apart",
            "strata",
            "No number of a stratum is far from all others, as one in another unit is.",
            "see its unit, and whether it stands for something unknown, as 999 does",
            "ExpectColumnValuesToBeBetween",
            {"column": "apart", "max_value": bounds.stratum_apart},
            WARN,
            parameter=f"{KEY}.stratum_apart",
        ),
    ]


def _of_size(facts: str, height: int, width: int) -> list[Rule]:
    return [
        Rule(
            f"{facts}_{name}",
            facts,
            f"The {name} of the {facts} is that of the working resolution.",
            AGAIN,
            "ExpectColumnValuesToBeInSet",
            {"column": name, "value_set": [value]},
        )
        for name, value in (("height", height), ("width", width))
    ]


def _of_duplicates(split: SplitParameters) -> list[Rule]:
    return [
        Rule(
            "equal_pixels",
            "images",
            "No two splits hold equal pixels.",
            "keep one of the images, or give them one group",
            "ExpectColumnToDetermineColumn",
            {"column_A": "pixel_sha256", "column_B": "split"},
            STOP if split.by == "group" else WARN,
        ),
        Rule(
            "equal_pixels_one_group",
            "images",
            "Equal pixels are of one patient or lesion.",
            "keep one of the images, or give them one group",
            "ExpectColumnToDetermineColumn",
            {"column_A": "pixel_sha256", "column_B": "group_id"},
            WARN,
        ),
        Rule(
            "equal_pixels_one_label",
            "images",
            "Equal pixels have equal labels.",
            "one of the images has a wrong label: mend its row",
            "ExpectColumnToDetermineColumn",
            {"column_A": "pixel_sha256", "column_B": "labels"},
            WARN,
        ),
        Rule(
            "near_duplicate",
            "images",
            "No two patients or lesions of different splits have nearly the same picture.",
            "look at both; keep one of them, or give them one group",
            "ExpectColumnValuesToBeNull",
            {"column": "like"},
            WARN,
            parameter=f"{KEY}.duplicate_difference",
        ),
    ]


def _of_masks(bounds: InputBounds, description: Mapping[str, Any]) -> list[Rule]:
    height, width = description["size"]
    # Findings of a radiograph do not differ from their surroundings in colour as a lesion does.
    placed = _of_place(bounds) if description["mask_kind"] == MaskKind.SINGLE else []
    return [
        *placed,
        Rule(
            "mask_of_image",
            "masks",
            "Every mask is of an image of the dataset.",
            AGAIN,
            "ExpectColumnValuesToBeInSet",
            {"column": "of_image", "value_set": [True]},
        ),
        Rule(
            "mask_label",
            "masks",
            "A mask marks one of the dataset's labels, or all.",
            AGAIN,
            "ExpectColumnValuesToBeInSet",
            {"column": "known_label", "value_set": [True]},
        ),
        Rule(
            "mask_of_own_label",
            "masks",
            "A mask marks a label that its image has.",
            "add the label to the image's row, or take the mask away",
            "ExpectColumnValuesToBeInSet",
            {"column": "owned_label", "value_set": [True]},
        ),
        Rule(
            "readable_mask",
            "masks",
            "Every mask can be decoded.",
            "delete data/ingest and run `saliency-audit run`",
            "ExpectColumnValuesToBeInSet",
            {"column": "readable", "value_set": [True]},
        ),
        Rule(
            "mask_area",
            "masks",
            "The area of every mask is the number of its foreground pixels.",
            AGAIN,
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": "area", "column_B": "found_area"},
        ),
        *_of_size("masks", height, width),
        *_of_coverage(bounds),
        Rule(
            "mask_missing",
            "images",
            "An image has the masks that belong to it.",
            "give the masks: nothing is measured against those that are not there",
            "ExpectColumnValuesToBeInSet",
            {"column": "missing_masks", "value_set": [0]},
            WARN,
            bounds.mask_missing,
            f"{KEY}.mask_missing",
        ),
        Rule(
            "mask_unexplained",
            "images",
            "An image lacks a mask only where the source says so.",
            "see that the source notes mask_missing, or delete data/ingest and run "
            "`saliency-audit run`",
            "ExpectColumnValuesToBeInSet",
            {"column": "unexplained_masks", "value_set": [0]},
            WARN,
        ),
        Rule(
            "mask_inverted",
            "masks",
            "A mask does not enclose what it leaves out: black and white are not exchanged.",
            "look at it, and exchange black and white if the region is black",
            "ExpectColumnValuesToBeBetween",
            {"column": "enclosure", "max_value": bounds.mask_enclosure, "strict_max": True},
            WARN,
            parameter=f"{KEY}.mask_enclosure",
        ),
    ]


def _of_coverage(bounds: InputBounds) -> list[Rule]:
    return [
        Rule(
            "mask_empty",
            "masks",
            "A mask marks something.",
            "draw the mask, or leave it out where there is nothing to mark",
            "ExpectColumnValuesToBeBetween",
            {"column": "coverage", "min_value": 0, "strict_min": True},
            WARN,
            bounds.mask_empty,
            f"{KEY}.mask_empty",
        ),
        Rule(
            "mask_full",
            "masks",
            "A mask does not mark the whole image.",
            "draw the mask anew: all of the image is no region",
            "ExpectColumnValuesToBeBetween",
            {"column": "coverage", "max_value": 1, "strict_max": True},
            WARN,
            bounds.mask_full,
            f"{KEY}.mask_full",
        ),
    ]


def _of_place(bounds: InputBounds) -> list[Rule]:
    return [
        Rule(
            "mask_misplaced",
            "masks",
            "A mask fits the colours of its image where it lies, no worse than mirrored or moved.",
            "see that masks are named after their own images, and not turned, mirrored or moved",
            "ExpectColumnValuesToBeInSet",
            {"column": "misplaced", "value_set": [False]},
            WARN,
            bounds.mask_misplaced,
            f"{KEY}.mask_misplaced",
        ),
    ]
