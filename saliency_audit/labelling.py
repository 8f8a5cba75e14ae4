"""How the labels of an image relate to each other, and so to a classifier's scores."""

from __future__ import annotations

from enum import StrEnum


class Labelling(StrEnum):
    """The three kinds of classification that an audit knows.

    - ``MULTICLASS``: exactly one label per image; probabilities are a softmax.
    - ``MULTILABEL``: any number of labels per image, none included; a sigmoid each.
    - ``BINARY``: labels ``(negative, positive)``, one of them per image, from one
      output z: scores are (-z, z) and p(negative) = 1 - p (XAIMed, Table 1).
    """

    MULTICLASS = "multiclass"
    MULTILABEL = "multilabel"
    BINARY = "binary"


class MaskKind(StrEnum):
    """What a ground-truth mask marks.

    - ``SINGLE``: one mask per image, the mask of every label (HAM10000);
    - ``PER_LABEL``: a mask for each label that the image has (ChestX-Det);
    - ``NONE``: the source has no masks; measures against ground truth are null.
    """

    SINGLE = "single"
    PER_LABEL = "per_label"
    NONE = "none"


#: The label under which the one mask of a ``MaskKind.SINGLE`` image is stored.
EVERY_LABEL = "*"
