"""The words of the sources in this package: why something is set aside, and what is noted.

One place to look a word up. A source of your own may have others.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Reasons of ``SetAside``, and what each says.
REASONS: Mapping[str, str] = {
    "row_malformed": "a row lacks cells, has too many, or does not name its image",
    "duplicate_row": "the image has a row already, which counts",
    "unknown_label": "the label is none of the dataset's",
    "label_missing": "a row has no label where it must have one",
    "several_labels": "a row has several labels where it must have one",
    "annotation_malformed": "boxes or polygons do not fit their findings, or mark nothing",
    "path_outside": "a path leads out of the dataset's folder",
    "no_metadata": "an image file has no row",
    "image_missing": "a row's image file is not there",
    "image_truncated": "the image file ends too soon",
    "image_unreadable": "the image file is no image, or damaged",
    "image_too_large": "the image file claims more than 64 million pixels",
    "mask_missing": "a row's mask file is not there",
    "mask_truncated": "the mask file ends too soon",
    "mask_unreadable": "the mask file is no image, damaged, or has no clear foreground",
    "mask_too_large": "the mask file claims more than 64 million pixels",
}

#: Notes of ``Sample``, and what each says. A noted image counts.
NOTES: Mapping[str, str] = {
    "turned": "turned upright as its EXIF orientation says",
    "first_frame": "has several frames or pages, of which the first is read",
    "scaled_min_max": "has more than 8 bits, spread from its least to its greatest value",
    "constant": "all pixels are equal",
    "mask_missing": "has no mask, or none for one of its labels",
    "mask_rescaled": "the mask has another size than the image: scaled, nearest neighbour",
    "mask_aspect": "the mask has another shape than the image, by more than 2 %",
    "mask_empty": "the mask has no foreground",
    "mask_full": "the mask is foreground everywhere",
    "mask_inverted": "foreground covers the border and encloses background: perhaps inverted; kept",
    "mask_lost": "the mask's foreground is too small for the working resolution",
    "mask_grey": "the mask has more than two values: what is brighter than half is foreground",
    "mask_zero_one": "the mask's values are 0 and 1: 1 is foreground",
    "mask_without_label": "has a mask of a label that it does not have: left out",
    "annotation_clipped": "a box or polygon reaches beyond the image: clipped",
    "group_unknown": "the patient is not known: the image is its own group",
}
