"""The numbers that ``dvc metrics diff`` compares between two audits: few, rounded, named."""

from __future__ import annotations

from typing import Any

from saliency_audit.measures.certainty_figures import printed_in
from saliency_audit.measures.localisation_figures import COMPARED
from tasks.report.declared_metrics import AGREEMENT, CLASSIFICATION
from tasks.report.inputs import AuditSummary, Inputs
from tasks.report.printed import rounded

READINGS = ("original", "segx")


def metrics(inputs: Inputs) -> dict[str, Any]:
    """Give nested numbers by audit and method; what has no value is left out.

    Where a ``status`` says why, it stands there as null.
    """
    quality = inputs.segmenter.get("quality", {}).get("test", {})
    found: dict[str, Any] = {
        audit.audit: {
            **_adoption(audit),
            "coarse_map": _coarse(audit),
            "classification": _classification(audit),
            "localisation": {m: _localisation(audit, m) for m in audit.methods}
            | _not_applicable(audit, "n"),
            "certainty": {m: _certainty(audit, m) for m in audit.methods}
            | _not_applicable(audit, "correct", "incorrect"),
            "agreement": _agreement(audit),
        }
        for audit in inputs.audits
    }
    found["dataset"] = {"images": inputs.counts.total, "groups": inputs.counts.groups}
    found["segmenter"] = {
        label: {"dice": own["dice"], "iou": own["iou"]} for label, own in quality.items()
    }
    return _without_nulls(found)


def _adoption(audit: AuditSummary) -> dict[str, Any]:
    """Say of an adopted classifier whether it is proven to be its owner's: 1 without proof."""
    adoption = audit.numbers.model.get("adoption")
    return {} if adoption is None else {"adopted_without_proof": int(not adoption["proven"])}


def _coarse(audit: AuditSummary) -> dict[str, int]:
    """Say of each method whether its maps are too coarse for the regions: 1 where they are."""
    known = audit.numbers.parameters.resolution
    return {m: int(own.status == "coarse_map") for m, own in known.items() if own.status}


def _without_nulls(tree: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            inner = _without_nulls(value)
            if inner:
                kept[key] = inner
        elif value is not None or "status" in tree:
            kept[key] = rounded(value)
    return kept


def _not_applicable(audit: AuditSummary, *names: str) -> dict[str, Any]:
    """Give what stands of methods that cannot explain the network: a status, and no numbers."""
    return {m: {"status": "not_applicable", **dict.fromkeys(names)} for m in audit.not_applicable}


def _classification(audit: AuditSummary) -> dict[str, Any]:
    return {metric.key: metric.take(audit.numbers.classification) for metric in CLASSIFICATION}


def _localisation(audit: AuditSummary, method: str) -> dict[str, Any]:
    found = audit.localisation(method)
    if found is None:
        return {}
    values: dict[str, Any] = {"n": found.with_truth}
    for measure in COMPARED:
        for reading in READINGS:
            values[f"{measure}_{reading}"] = found.means["map"][reading][measure].mean
        for control in ("shuffled", "centred"):
            gain = found.beyond["segx"][control][measure].estimate
            values[f"{measure}_gain_over_{control}"] = gain
    return values


def _certainty(audit: AuditSummary, method: str) -> dict[str, Any]:
    found = audit.certainty(method)
    if found is None:
        return {}
    values: dict[str, Any] = {"correct": found.correct, "incorrect": found.incorrect}
    for name in (*printed_in("table_4"), "calibrated", "predicted_area"):
        own = found.scores[name]
        values[f"{name}_correct"] = own.correct.mean
        values[f"{name}_incorrect"] = own.incorrect.mean
        values[f"{name}_auroc"] = own.auroc.auroc
    return values


def _agreement(audit: AuditSummary) -> dict[str, Any]:
    return {
        name: {
            **({} if found.status == "ok" else {"status": found.status}),
            **{metric.key: metric.take(found) for metric in AGREEMENT},
        }
        for name, found in audit.numbers.agreement.sets.items()
    }
