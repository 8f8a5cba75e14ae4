"""Facts of each map: what it says of itself, and what its pixels say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.registry import method_digest
from saliency_audit.measures.status import VALUELESS_MAPS, Status
from saliency_audit.measures.top_fraction import tie_share
from saliency_audit.progress import Progress
from tasks import places
from tasks.artifacts import open_table, read_columns
from tasks.gates.rule import Facts
from tasks.maps import StoredRow, read_maps
from tasks.pairs import Outcome, PairStatus
from tasks.tables.chosen import CHOSEN

COLUMNS = (
    "image_id",
    "label",
    "method",
    "own_method",
    "status",
    "method_status",
    "lowest",
    "highest",
    "tie_share",
    "found_tie_share",
    "unit",
    "own_unit",
    "model_digest",
    "own_model_digest",
    "method_digest",
    "own_method_digest",
    "pixel_sha256",
    "own_pixel_sha256",
    "content",
)


def map_facts(
    audit: str,
    card: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
    kept_fraction: float,
    progress: Progress,
) -> Facts:
    """Give the facts of each map of each method; streams the maps.

    ``card``: the classifier's model.json; ``parameters``: by method. ``lowest`` and ``highest`` of
    the map's values, None where its status says that it has none; ``content``: a digest of the map
    with its unit, None likewise. What begins with ``own_`` or ``found_`` is what should be there.
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    pixels = _pixel_digests(audit)
    paths = {method: places.explain(audit) / f"{method}.parquet" for method in parameters}
    total, done = sum(_rows(path) for path in paths.values()), 0
    for method, path in paths.items():
        digests = {
            "own_method": method,
            "own_model_digest": card["digest"],
            "own_method_digest": method_digest(method, dict(parameters[method])),
        }
        for row in read_maps(path, card["image_size"]):
            own = pixels.get(row.image_id, "not chosen")
            facts = {**_of_map(row, kept_fraction), **digests, "own_pixel_sha256": own}
            for name, values in columns.items():
                values.append(facts[name])
            done += 1
            progress(done, total)
    return Facts("maps", ("image_id", "label", "method"), columns)


def _rows(path: Any) -> int:
    with open_table(path) as file:
        return int(file.metadata.num_rows)


def _pixel_digests(audit: str) -> dict[str, str]:
    path = places.predict(audit) / "chosen.parquet"
    rows = read_columns(path, CHOSEN, ["image_id", "pixel_sha256"]).to_pydict()
    return dict(zip(rows["image_id"], rows["pixel_sha256"], strict=True))


def _of_map(row: StoredRow, kept_fraction: float) -> dict[str, Any]:
    valued = row.status not in VALUELESS_MAPS
    return {
        "image_id": row.image_id,
        "label": row.label,
        "method": row.method,
        "status": row.status,
        "method_status": row.method_status,
        "tie_share": row.tie_share,
        "model_digest": row.model_digest,
        "method_digest": row.method_digest,
        "pixel_sha256": row.pixel_sha256,
        "lowest": float(row.values.min()),
        "highest": float(row.values.max()) if valued else None,
        "found_tie_share": tie_share(row.values, kept_fraction) if valued else None,
        "unit": _unit(row),
        "own_unit": _unit_of(row.status),
        "content": _content(row.values, row.offset, row.scale) if valued else None,
    }


def _unit(row: StoredRow) -> str:
    """Say in a word what offset and scale are like."""
    if row.offset is None or row.scale is None:
        return "none"
    if row.scale > 0:
        return "range"
    return "zero" if row.offset == 0 else "constant"


def _unit_of(status: str) -> str:
    """Say what offset and scale of a map with such a status are like."""
    words = {"nan_map": "none", "zero_map": "zero", "constant_map": "constant"}
    return words.get(status, "range")


def _content(values: NDArray[np.float16], offset: float | None, scale: float | None) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes())
    digest.update(f"{offset} {scale}".encode())
    return digest.hexdigest()


def method_facts(maps: Facts, outcomes: Mapping[str, Outcome]) -> Facts:
    """Give per method whether it explains the audit, and how many of its maps say nothing.

    ``applicable``: the reason where it cannot, ``yes`` where it can, None where it is not asked;
    ``zero_map`` and ``constant_map``: the share of its maps that are 0, or one value, throughout.
    """
    methods = list(outcomes)
    counts = Counter(zip(maps.columns["method"], maps.columns["status"], strict=True))
    totals = Counter(maps.columns["method"])
    shares = {
        status: [counts[m, str(status)] / totals[m] if totals[m] else None for m in methods]
        for status in (Status.ZERO_MAP, Status.CONSTANT_MAP)
    }
    return Facts(
        "methods",
        ("method",),
        {
            "method": methods,
            "applicable": [_applicable(outcome) for outcome in outcomes.values()],
            "maps": [totals[method] for method in methods],
            **{str(status): values for status, values in shares.items()},
        },
    )


def _applicable(outcome: Outcome) -> str | None:
    if outcome.status is PairStatus.NOT_APPLICABLE:
        return outcome.reason
    return "yes" if outcome.status is PairStatus.EXPLAINED else None
