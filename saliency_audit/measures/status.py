"""The words that say why a value is missing or special: all of them, in two kinds.

A map has one of each: ``Status`` says what its values are, ``MethodStatus``
what the method that made it says of it. Only the first decides what can be
measured; this module knows which leave nothing to measure.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Why a measure has the value that it has; ``OK`` where there is nothing to say.

    - ``NAN_MAP``, ``ZERO_MAP``, ``CONSTANT_MAP``: the map ranks no pixels; values are null.
    - ``SPARSE_MAP``: fewer than k pixels were positive before normalising; only those are kept.
    - ``LABEL_ABSENT``: the image has not the label, so it has no mask of it; null.
    - ``NO_GROUND_TRUTH``: the source has no masks; null.
    - ``GROUND_TRUTH_EMPTY``: the mask of a label that the image has marks nothing; null.
    - ``NO_PREDICTED_MASK``: there is no segmenter; null.
    - ``EMPTY_MASK``: the segmenter marks nothing. The value is 0, not null: classifier and
      segmenter disagree.
    - ``EMPTY_EXPLANATION``: SegX leaves no pixel of the explanation. What is a share of it is
      null; IoU is 0.
    - ``MASK_BELOW_BUDGET``: P is no larger than the budget, so that ``segx_refill`` says little
      about the map.
    """

    OK = "ok"
    NAN_MAP = "nan_map"
    ZERO_MAP = "zero_map"
    CONSTANT_MAP = "constant_map"
    SPARSE_MAP = "sparse_map"
    LABEL_ABSENT = "label_absent"
    NO_GROUND_TRUTH = "no_ground_truth"
    GROUND_TRUTH_EMPTY = "ground_truth_empty"
    NO_PREDICTED_MASK = "no_predicted_mask"
    EMPTY_MASK = "empty_mask"
    EMPTY_EXPLANATION = "empty_explanation"
    MASK_BELOW_BUDGET = "mask_below_budget"


class MethodStatus(StrEnum):
    """What a method says of a map that it made; ``OK`` where there is nothing to say.

    - ``FEW_SUPERPIXELS``: LIME found fewer than 20 regions, so the map is mostly ties.
    - ``NONPOSITIVE_DENOMINATOR``: Grad-CAM++ divided by nothing or less at some pixel.
    """

    OK = "ok"
    FEW_SUPERPIXELS = "few_superpixels"
    NONPOSITIVE_DENOMINATOR = "nonpositive_denominator"


#: Statuses of maps that rank no pixels: every measure of them is null.
VALUELESS_MAPS = frozenset({Status.NAN_MAP, Status.ZERO_MAP, Status.CONSTANT_MAP})

#: Statuses of rows that have no figure.
WITHOUT_VALUE = VALUELESS_MAPS | {
    Status.LABEL_ABSENT,
    Status.NO_GROUND_TRUTH,
    Status.GROUND_TRUTH_EMPTY,
    Status.NO_PREDICTED_MASK,
}

#: Statuses of null values that the second of two printed means counts as 0.
COUNTED_AS_ZERO = frozenset({Status.ZERO_MAP, Status.CONSTANT_MAP})
