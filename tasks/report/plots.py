"""What ``dvc plots`` draws: small CSV files of curves and counts, one per audit and kind."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from saliency_audit.measures.localisation_figures import printed_in
from tasks.report.inputs import AuditSummary, Inputs
from tasks.report.printed import rounded


def plots(inputs: Inputs) -> dict[str, str]:
    """Give the contents of each file by its name."""
    found: dict[str, str] = {}
    for audit in inputs.audits:
        found[f"history.{audit.audit}.csv"] = _history(audit)
        found[f"calibration.{audit.audit}.csv"] = _calibration(audit)
        found[f"risk_coverage.{audit.audit}.csv"] = _risk_coverage(audit)
        found[f"localisation.{audit.audit}.csv"] = _localisation(audit)
        if audit.numbers.classification.confusion is not None:
            found[f"confusion.{audit.audit}.csv"] = _confusion(audit)
    return found


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[rounded(value) for value in row] for row in rows])
    return sink.getvalue()


def _history(audit: AuditSummary) -> str:
    rows = [(e.epoch, e.train_loss, e.tune_loss) for e in audit.numbers.history]
    return _csv(("epoch", "train_loss", "tune_loss"), rows)


def _calibration(audit: AuditSummary) -> str:
    rows = [
        (kind, own.mean_probability, own.frequency, own.count)
        for kind, found in sorted(audit.numbers.classification.calibration.items())
        for own in found.bins
        if own.count
    ]
    return _csv(("probability", "stated", "observed", "n"), rows)


def _confusion(audit: AuditSummary) -> str:
    """One row per image, as the confusion templates of DVC count them."""
    found = audit.numbers.classification
    labels = [quality.label for quality in found.labels]
    rows = [
        (actual, predicted)
        for actual, counts in zip(labels, found.confusion or [], strict=True)
        for predicted, number in zip(labels, counts, strict=True)
        for _ in range(number)
    ]
    return _csv(("actual", "predicted"), rows)


def _risk_coverage(audit: AuditSummary) -> str:
    rows = [
        (method, name, coverage, risk)
        for method in audit.methods
        if (found := audit.certainty(method)) is not None
        for name, curves in (found.risk_coverage or {}).items()
        for coverage, risk in curves.with_empty.curve
    ]
    return _csv(("method", "score", "coverage", "risk"), rows)


def _localisation(audit: AuditSummary) -> str:
    shown = printed_in("plots")
    rows = [
        (method, saliency, reading, *(own[name].mean for name in shown))
        for method in audit.methods
        if (found := audit.localisation(method)) is not None
        for saliency, readings in found.means.items()
        for reading, own in readings.items()
    ]
    return _csv(("method", "saliency", "reading", *shown), rows)
