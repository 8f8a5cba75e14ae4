"""All kinds, by name."""

from __future__ import annotations

from . import input_kinds, map_kinds, model_kinds, raw_kinds, result_kinds
from .kind import Kind

GROUPS = {
    "Raw input": raw_kinds.KINDS,
    "Ingest and split": input_kinds.KINDS,
    "Models and predictions": model_kinds.KINDS,
    "Maps and cohort": map_kinds.KINDS,
    "Figures": result_kinds.KINDS,
}
KINDS: dict[str, Kind] = {kind.name: kind for group in GROUPS.values() for kind in group}
