"""Descriptions of datasets of which a gate's rules differ, one of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: One label and one mask per image.
SINGLE: Mapping[str, Any] = {
    "size": [64, 64],
    "labels": ["a", "b"],
    "labelling": "multiclass",
    "mask_kind": "single",
    "thresholds": None,
}
#: Several of both.
SEVERAL: Mapping[str, Any] = {**SINGLE, "labelling": "multilabel", "mask_kind": "per_label"}
KINDS = (SINGLE, SEVERAL)
