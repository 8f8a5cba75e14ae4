"""The page's section on predictions: what the classifier and the segmenter get right."""

# ruff: noqa: RUF001  (the page's words hold signs of mathematics)

from __future__ import annotations

from dataclasses import asdict

from saliency_audit.labelling import EVERY_LABEL
from tasks.report.chart import Axis, Series, line_chart
from tasks.report.inputs import AuditSummary, Inputs
from tasks.report.numerals import counted, score
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Chart, Heat, Part, Section, filled
from tasks.summary.classification import Calibration

THRESHOLDS = {
    "ok": "best F1 on tune",
    "threshold_fallback": "set to the training prevalence: too few positives, or no gain in F1",
}


def classification_section(inputs: Inputs) -> Section:
    """Say how good predictions, probabilities and segmentation masks are on test."""
    parts: list[Part] = [caution for audit in inputs.audits for caution in unproven(audit)]
    parts += [_overall(inputs), _per_label(inputs)]
    for audit in inputs.audits:
        parts += _silent(audit)
        parts += _confusion(audit)
        parts.append(_reliability(audit))
    parts += [_thresholds(inputs), _history(inputs), *_segmentation(inputs)]
    lead = (
        "An explanation is worth as much as the prediction it explains. All figures are of the "
        "test split, which no training has seen."
    )
    return Section("classification", "Classification and segmentation", lead, filled(parts))


def unproven(audit: AuditSummary) -> list[Caution]:
    """Say that nothing proves an adopted classifier to be its owner's, where nothing does."""
    adoption = audit.numbers.model.get("adoption")
    if adoption is None or adoption["proven"]:
        return []
    return [
        Caution(
            f"{audit.model} is adopted without proof: nothing says that what was audited is the "
            "model that its owner uses. A reference does (docs/adoption.md)."
        )
    ]


def _overall(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit in inputs.audits:
        found = audit.numbers.classification
        raw, calibrated = found.calibration["raw"], found.calibration["calibrated"]
        rows.append(
            {
                "model": audit.model,
                "n": found.images,
                "groups": found.groups,
                "match": found.exact_match_interval,
                "commonest": found.largest_class_share,
                "auroc": found.macro["auroc"].mean,
                "f1": found.macro["f1"].mean,
                "silent": found.nothing_predicted.images,
                "ece_raw": raw.ece,
                "ece": calibrated.ece,
                "brier": calibrated.brier,
                "log_loss": calibrated.log_loss,
            }
        )
    return PrintedTable(
        "classification",
        "Classification on the test split",
        (
            Column("model", "Model"),
            Column("n", "Images", Kind.COUNT),
            Column("groups", "Patients or lesions", Kind.COUNT),
            Column("match", "Exact match", Kind.INTERVAL),
            Column("commonest", "Commonest label", Kind.SCORE),
            Column("auroc", "Macro AUROC", Kind.SCORE),
            Column("f1", "Macro F1", Kind.SCORE),
            Column("silent", "Nothing predicted", Kind.COUNT),
            Column("ece_raw", "raw", Kind.SCORE, "Calibration error"),
            Column("ece", "calibrated", Kind.SCORE, "Calibration error"),
            Column("brier", "Brier", Kind.SCORE, "Calibrated"),
            Column("log_loss", "Log loss", Kind.SCORE, "Calibrated"),
        ),
        rows,
        (
            "Exact match: share of images whose predicted labels are exactly theirs; with one "
            "label per image this is the accuracy. Commonest label: what always naming it would "
            "reach.",
            "Calibration error (ECE): how far stated probabilities are from observed frequencies, "
            "in ten bins of equal width. Brackets: 95 % bootstrap interval over patients or "
            "lesions.",
        ),
    )


def _per_label(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit in inputs.audits:
        found = audit.numbers.classification
        for quality in found.labels:
            share = quality.predicted / found.images if found.images else None
            rows.append({"model": audit.model, **asdict(quality), "share": share})
    return PrintedTable(
        "classification_per_label",
        "Per label (as in the XAIMed paper's Table 2)",
        (
            Column("model", "Model"),
            Column("label", "Label"),
            Column("precision", "Precision", Kind.SCORE),
            Column("recall", "Recall", Kind.SCORE),
            Column("f1", "F1", Kind.SCORE),
            Column("support", "Support", Kind.COUNT),
            Column("predicted", "Predicted", Kind.COUNT),
            Column("share", "Share predicted", Kind.SHARE),
            Column("auroc", "AUROC", Kind.SCORE),
            Column("average_precision", "Average precision", Kind.SCORE),
        ),
        rows,
        (
            "Support: images that have the label. A dash: undefined, as precision where the label "
            "is never predicted. AUROC and average precision are of the raw probability.",
        ),
        heads=2,
    )


def _silent(audit: AuditSummary) -> list[Part]:
    found = audit.numbers.classification.nothing_predicted
    if not found.images:
        return []
    missed = ", ".join(f"{label} {n}" for label, n in sorted(found.missed.items()))
    words = f"{audit.model}: {counted(found.images, 'test image')} have no predicted label"
    if missed:
        words += f", though {found.with_a_label} of them have one (missed: {missed})"
    return [Caution(f"{words}. They have no explanation and no row in Tables 3 and 4.")]


def _confusion(audit: AuditSummary) -> list[Part]:
    found = audit.numbers.classification
    counts = found.confusion
    if counts is None:
        return []
    labels = [quality.label for quality in found.labels]
    rows = [[(str(n), n / sum(row) if sum(row) else 0.0) for n in row] for row in counts]
    caption = f"Confusion matrix of {audit.model}: images by true label (rows) and predicted label"
    return [Heat(caption, rows, labels, labels, "true ↓ predicted →")]


def _reliability(audit: AuditSummary) -> Chart:
    found = audit.numbers.classification.calibration
    series = [
        Series(f"{title} (error {score(found[name].ece)})", _points(found[name]), style, True)
        for style, (name, title) in enumerate((("raw", "raw"), ("calibrated", "calibrated")))
    ]
    title = f"Reliability diagram of {audit.model}"
    return Chart(
        line_chart(
            title,
            series,
            Axis("stated probability", 0.0, 1.0),
            Axis("observed frequency", 0.0, 1.0),
            diagonal=True,
        ),
        f"{title}: on the dashed diagonal a probability means what it says (n {found['raw'].n}).",
    )


def _points(found: Calibration) -> list[tuple[float, float]]:
    return [
        (own.mean_probability, own.frequency)
        for own in found.bins
        if own.mean_probability is not None and own.frequency is not None
    ]


def _thresholds(inputs: Inputs) -> PrintedTable:
    rows = []
    for audit in inputs.audits:
        for label, found in (audit.numbers.description["thresholds"] or {}).items():
            status = THRESHOLDS.get(found["status"], found["status"])
            rows.append(
                {
                    "model": audit.model,
                    "label": label,
                    "threshold": found["value"],
                    "status": status,
                }
            )
    return PrintedTable(
        "thresholds",
        "Decision thresholds",
        (
            Column("model", "Model"),
            Column("label", "Label"),
            Column("threshold", "Threshold", Kind.SCORE),
            Column("status", "How it was set"),
        ),
        rows,
        heads=2,
        folded=True,
    )


def _history(inputs: Inputs) -> PrintedTable:
    rows = [
        {"model": audit.model, **asdict(epoch), "kept": "kept" if epoch.best else ""}
        for audit in inputs.audits
        for epoch in audit.numbers.history
    ]
    return PrintedTable(
        "training",
        "Training, epoch by epoch",
        (
            Column("model", "Model"),
            Column("epoch", "Epoch", Kind.COUNT),
            Column("train_loss", "Loss on train", Kind.SCORE),
            Column("tune_loss", "Loss on tune", Kind.SCORE),
            Column("kept", "Weights"),
        ),
        rows,
        heads=2,
        folded=True,
    )


def _segmentation(inputs: Inputs) -> list[Part]:
    quality = inputs.segmenter.get("quality", {}).get("test", {})
    if not quality:
        return [Caution("There is no segmenter, as there are no masks to learn from.")]
    order = [EVERY_LABEL, *inputs.labels]
    rows = [
        {"label": "every label" if label == EVERY_LABEL else label, **quality[label]}
        for label in sorted(quality, key=order.index)
    ]
    return [
        PrintedTable(
            "segmentation",
            "Segmentation on the test split: the predicted mask P against the clinician's M",
            (
                Column("label", "Mask of"),
                Column("images", "Images", Kind.COUNT),
                Column("dice", "Dice", Kind.SCORE, "Mean over images"),
                Column("iou", "IoU", Kind.SCORE, "Mean over images"),
                Column("pixel_dice", "Dice", Kind.SCORE, "Over all pixels"),
                Column("pixel_iou", "IoU", Kind.SCORE, "Over all pixels"),
                Column("empty_drawn", "P marks nothing", Kind.COUNT),
            ),
            rows,
            (
                "Dice 2|P∩M|/(|P|+|M|), IoU |P∩M|/|P∪M|. Images: with a known mask. P marks "
                "nothing: images whose M marks something.",
            ),
        )
    ]
