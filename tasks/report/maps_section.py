"""The page's last sections: how the maps are, what counts, and where every number comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from saliency_audit.attribution.resolution import LEAST_OF_CEILING, MOST_TIES
from tasks.report.inputs import Inputs, spell
from tasks.report.making import segmenter_in_words, training_in_words
from tasks.report.numerals import percent, share
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Facts, Part, Section, filled

#: What a map's status means.
STATUSES = {
    "ok": "ok",
    "sparse_map": "sparse",
    "zero_map": "zero",
    "constant_map": "constant",
    "nan_map": "not finite",
}
#: What a method says of its map.
METHOD_STATUSES = {
    "few_superpixels": "few superpixels",
    "nonpositive_denominator": "denominator ≤ 0",
}
#: What a method's maps are made of where it has no cells, and what their resolution is.
PIXELS = "pixels or regions of the image"
RESOLUTIONS = {"ok": "ok", "coarse_map": "coarse"}
REASONS = {
    "ok": "counts",
    "not_predicted": "explained though not predicted",
    "nan_map": "a method's map is not finite",
}
SPLITS = {"tune": "tune", "calibrate": "calibrate", "test": "test"}


_WHICH = {"counted": "counted", "available": "available"}


def maps_section(inputs: Inputs) -> Section:
    """Say how sound the maps are and which explained predictions count."""
    lead = (
        "A map that is zero everywhere, or mostly ties, points nowhere. Such maps are counted here "
        "and are no silent zeros in the tables."
    )
    parts = [
        _methods(inputs),
        _resolution(inputs),
        _statuses(inputs),
        _completeness(inputs),
        _cohort(inputs),
        _available(inputs),
    ]
    return Section("maps", "The maps themselves", lead, filled(parts))


def _methods(inputs: Inputs) -> PrintedTable:
    """Print the methods that do not explain an audit, and why."""
    rows = [
        {
            "model": audit.model,
            "xai": spell(method),
            "status": own.status.replace("_", " "),
            "reason": own.reason,
        }
        for audit in inputs.audits
        for method, own in audit.numbers.parameters.not_explained.items()
    ]
    return PrintedTable(
        "methods",
        "Methods that do not explain a model",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            Column("status", "Status"),
            Column("reason", "Why"),
        ),
        rows,
        (
            "Not applicable: the method cannot explain this network, whatever the image. Not "
            "asked: the audit's own list leaves it out. Such a method keeps no prediction out of "
            "the tables, and does not vote.",
        ),
        heads=2,
    )


def _resolution(inputs: Inputs) -> PrintedTable:
    """Print what maps are made of, and which are too coarse for the regions."""
    rows = []
    for audit in inputs.audits:
        known = audit.numbers.parameters
        for method, own in known.resolution.items():
            rows.append(
                {
                    "model": audit.model,
                    "xai": spell(method),
                    "cells": known.cells.get(method, PIXELS),
                    "own": own.own_ceiling,
                    "any": own.iou_ceiling,
                    "ties": own.tie_share,
                    "status": RESOLUTIONS.get(own.status or "", own.status),
                }
            )
    return PrintedTable(
        "resolution",
        "What maps are made of, and whether that is fine enough",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            Column("cells", "Made of"),
            Column("own", "of M in these cells", Kind.SHARE, "Highest IoU"),
            Column("any", "of any map", Kind.SHARE, "Highest IoU"),
            Column("ties", "Ties in the top fraction", Kind.SHARE),
            Column("status", "Resolution"),
        ),
        rows,
        (
            "M in these cells: the clinician's region itself, averaged over the cells and painted "
            f"as the maps are. Coarse: that reaches less than {percent(LEAST_OF_CEILING)} of what "
            f"any map could, or ties decide more than {percent(MOST_TIES)} of the kept pixels. It "
            "is judged once for a method and not row by row; a coarse map says little of where the "
            "model looks. Means over the rows of the tables.",
        ),
        heads=2,
    )


def _statuses(inputs: Inputs) -> PrintedTable:
    rows: list[dict[str, Any]] = []
    seen: set[str] = set()
    said: set[str] = set()
    for audit in inputs.audits:
        for method in audit.methods:
            found = audit.numbers.maps[method]
            seen |= set(found.statuses)
            said |= set(found.method_statuses) - {"ok"}
            ties = found.tie_share
            rows.append(
                {
                    "model": audit.model,
                    "xai": spell(method),
                    "n": found.maps,
                    **{status: found.statuses.get(status, 0) for status in seen | set(STATUSES)},
                    **{s: found.method_statuses.get(s, 0) for s in said | set(METHOD_STATUSES)},
                    "ties": ties.mean,
                    "ties_median": ties.median,
                    "ties_highest": ties.highest,
                }
            )
    shown = [s for s in STATUSES if s in seen or s == "ok"] + sorted(seen - set(STATUSES))
    told = [s for s in METHOD_STATUSES if s in said] + sorted(said - set(METHOD_STATUSES))
    return PrintedTable(
        "maps",
        "Maps by status, and how much of the explanation ties decided",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            Column("n", "maps", Kind.COUNT),
            *(Column(s, STATUSES.get(s, s), Kind.COUNT, "Status") for s in shown),
            *(Column(s, METHOD_STATUSES.get(s, s), Kind.COUNT, "The method says") for s in told),
            Column("ties", "mean", Kind.SHARE, "Ties in the top fraction"),
            Column("ties_median", "median", Kind.SHARE, "Ties in the top fraction"),
            Column("ties_highest", "highest", Kind.SHARE, "Ties in the top fraction"),
        ),
        rows,
        (
            "Zero, constant and not finite: no measure has a value. Sparse: fewer positive pixels "
            "than the explanation keeps; only those are kept. Few superpixels: under 20 (LIME). "
            "Denominator ≤ 0: Grad-CAM++ divides by nothing at some pixel, which then weighs 0. "
            "Ties: share of the kept pixels that only a fixed random order chose.",
        ),
        heads=2,
    )


def _completeness(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit in inputs.audits:
        for method in audit.methods:
            found = audit.numbers.maps[method].completeness
            if found.n:
                rows.append({"model": audit.model, "xai": spell(method), **asdict(found)})
    return PrintedTable(
        "completeness",
        "Completeness: how far attributions are from adding up to the score",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            Column("n", "maps", Kind.COUNT),
            Column("mean", "mean", Kind.SCORE, "Absolute error"),
            Column("median", "median", Kind.SCORE, "Absolute error"),
            Column("highest", "highest", Kind.SCORE, "Absolute error"),
        ),
        rows,
        (
            "SHAP's attributions should add up to the score minus its mean over the background. "
            "The error is in units of the score before softmax or sigmoid.",
        ),
        heads=2,
    )


def _cohort(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit in inputs.audits:
        found = audit.numbers.cohort
        for split in SPLITS:
            for reason, number in found.reasons.get(split, {}).items():
                why = REASONS.get(reason, reason)
                if reason == "nan_map":
                    faulty = [f"{spell(m)} {n}" for m, n in found.faulty_methods.items()]
                    why = f"{why} ({', '.join(faulty)})"
                rows.append({"model": audit.model, "split": split, "reason": why, "rows": number})
    return PrintedTable(
        "cohort",
        "Explained predictions, and which of them count",
        (
            Column("model", "Model"),
            Column("split", "Split"),
            Column("reason", "Why"),
            Column("rows", "Predictions", Kind.COUNT),
        ),
        rows,
        (
            "The tables count test rows only. A prediction that one method cannot map is out for "
            "all methods.",
        ),
        heads=2,
    )


def _available(inputs: Inputs) -> PrintedTable:
    names = {"iou_original": "IoU, original", "iou_segx": "IoU, SegX", "c_iou": "c_IoU"}
    rows = []
    for audit in inputs.audits:
        for method, found in audit.numbers.available.items():
            values = {
                f"{name}_{which}": getattr(found[name], which) for name in names for which in _WHICH
            }
            n = found["c_iou"].available.n
            rows.append({"model": audit.model, "xai": spell(method), "n": n, **values})
    return PrintedTable(
        "available",
        "What the predictions that are out change",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            *(
                Column(f"{name}_{which}", word, Kind.MEAN, title)
                for name, title in names.items()
                for which, word in _WHICH.items()
            ),
        ),
        rows,
        (
            "Counted: the rows of all other tables. Available: all test predictions that the "
            "method itself can map, also those that another method cannot.",
        ),
        heads=2,
    )


def provenance_section(inputs: Inputs) -> Section:
    """Say which model, methods and parameters stand behind the page."""
    parts: list[Part] = [_making(inputs)]
    for audit in inputs.audits:
        description = audit.numbers.description
        items = [
            ("audit", audit.audit),
            ("classifier", description["classifier"]),
            ("weights", description["model_digest"]),
        ]
        for method in audit.methods:
            digests = audit.numbers.maps[method].method_digests
            items.append((spell(method), ", ".join(digests) or "no maps"))
        parts.append(Facts(f"{audit.model}: digests", items, folded=True))
        parts.append(
            Facts(f"{audit.model}: model card", list(_flat(audit.numbers.model)), folded=True)
        )
    lead = (
        "The same digests mean the same weights, methods and parameters, and on one machine the "
        "same bytes on this page. docs/definitions.md defines every term."
    )
    return Section("provenance", "Where the numbers come from", lead, parts)


def _making(inputs: Inputs) -> Facts:
    making = inputs.making
    items = [("preset", "paper")] if making.paper else []
    items += [("split", making.split.words), ("segmenter", segmenter_in_words(inputs.segmenter))]
    for audit in inputs.audits:
        items.append((f"training of {audit.model}", training_in_words(audit.numbers.model)))
    items += [(spell(method), said) for method, said in making.methods.items()]
    items += [
        (f"{spell(method)} of {audit.model}", said)
        for audit in inputs.audits
        for method, said in audit.numbers.parameters.cells.items()
    ]
    seed = making.measures.control_seed
    items.append(("explanation", f"the highest {percent(inputs.kept)}; controls with seed {seed}"))
    for drawn in [audit.numbers.parameters for audit in inputs.audits[:1]]:
        said = f"{drawn.replicates:,} bootstrap replicates, seed {drawn.seed}"
        items.append(("intervals", said))
    return Facts("How the numbers were made", items)


def _flat(tree: Any, path: str = "") -> list[tuple[str, str]]:
    """Give the leaves of nested values with their paths.

    >>> _flat({"quality": {"test": [0.5, None]}})
    [('quality.test', '0.5, \u2013')]
    """
    if isinstance(tree, dict):
        return [
            leaf
            for key, value in sorted(tree.items())
            for leaf in _flat(value, f"{path}.{key}" if path else str(key))
        ]
    return [(path, ", ".join(map(_leaf, tree)) if isinstance(tree, list) else _leaf(tree))]


def _leaf(value: Any) -> str:
    if value is None:
        return share(None)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
