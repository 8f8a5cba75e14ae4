"""The page's section on certainty: the paper's Table 4 with what could explain it away."""

# ruff: noqa: RUF001  (the page's words hold signs of mathematics)

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from saliency_audit.measures.certainty_figures import printed_in
from saliency_audit.statistics.resampling import FEW_GROUPS, FEW_INCORRECT
from tasks.report.chart import Axis, Estimate, Series, interval_chart, line_chart
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.numerals import TOO_FEW_WRONG, count
from tasks.report.papers import Quoted
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Chart, Part, Section, filled
from tasks.report.separators import SCORES
from tasks.summary.certainty import Area, Certainty, Coverages, Separation

DRAWN = ("calibrated", "predicted_area", "c_iou", "c_iou_and_calibrated")
#: Of these, the ones that need no map and are the same for every method.
WITHOUT_MAP = ("calibrated", "predicted_area")
MASKS = {
    "single": "the predicted mask P",
    "per_label": "the predicted mask P of the label",
    "union": "the union of all predicted masks",
    "truth": "the clinician's mask M in place of P",
}
LEVELS = {"Low": "Low, up to 0.33", "Medium": "Medium, up to 0.66", "High": "High, above 0.66"}


def certainty_section(inputs: Inputs) -> Section:
    """Say whether SegU tells right from wrong, and whether simpler things do so better."""
    lead = (
        "Can a map's overlap with the segmenter's mask warn of a wrong prediction? SegU says that "
        "low overlap means doubt. It needs no ground truth, but neither do the classifier's own "
        "probability nor the size of the mask: it is worth having only if it beats them."
    )
    title = "Right or wrong (Table 4)"
    if not any(True for _ in _each(inputs)):
        none = Caution("No explained prediction of the test split counts: no values.")
        return Section("certainty", title, lead, [none])
    parts: list[Part] = [_few(audit) for audit in inputs.audits if sum(audit.counts()[:2])]
    parts += [_table_4(inputs), _separators(inputs)]
    parts += [chart for audit in inputs.audits for chart in _charts(audit)]
    parts += [_compared(inputs), _bins(inputs), _separators_without_empty(inputs)]
    parts += [_coverage(inputs), _confounders(inputs)]
    parts += [_other(inputs, masks) for masks in ("union", "truth")]
    return Section("certainty", title, lead, filled(parts))


def _few(audit: AuditSummary) -> Caution:
    right, wrong, groups = audit.counts()
    if wrong >= FEW_INCORRECT and groups >= FEW_GROUPS:
        return Caution("")
    return Caution(
        f"{audit.model}: too few to conclude. {count(right)} right and {count(wrong)} wrong "
        f"explained test predictions of {count(groups)} patients or lesions; below {FEW_INCORRECT} "
        f"wrong or {FEW_GROUPS} patients or lesions a difference may be chance."
    )


def _each(
    inputs: Inputs, masks: str = ""
) -> Iterator[tuple[dict[str, Any], Certainty, AuditSummary]]:
    for audit in inputs.audits:
        for method in audit.methods:
            found = audit.certainty(method, masks)
            if found is not None and found.rows:
                leading = {
                    "model": audit.model,
                    "xai": spell(method),
                    "n": found.rows,
                    "right": found.correct,
                    "wrong": found.incorrect,
                }
                yield leading, found, audit


LEADING = (
    Column("model", "Model"),
    Column("xai", "XAI"),
    Column("right", "right", Kind.COUNT, "n"),
    Column("wrong", "wrong", Kind.COUNT, "n"),
)


def _table_4(inputs: Inputs) -> PrintedTable:
    table = _means(inputs, "", printed_in("table_4"))
    paper = inputs.paper
    rows = [*table.rows, *inputs.not_applicable_rows()]
    if paper is not None:
        for row in paper.rows:
            printed = (("c_iou", row.c_iou), ("c_auitc", row.c_auitc))
            values = {
                f"{name}_{side}": Quoted(value)
                for name, pair in printed
                for side, value in zip(("correct", "incorrect"), pair, strict=True)
            }
            leading = {"model": f"{row.model} (paper)", "xai": spell(row.method)}
            rows.append({**leading, **values, "reference": True})
    notes = [
        "c_IoU: IoU of T with P (Eq 9). c_AUITC: AUITC of the map with P (Eq 10). Right: the image "
        "has the predicted label. Where P marks nothing both are 0: classifier and segmenter "
        "disagree. Difference: right minus wrong.",
        "Brackets: 95 % bootstrap interval over patients or lesions; none where "
        f"{TOO_FEW_WRONG} of them have a wrong prediction; † where fewer than {FEW_GROUPS} of them "
        f"or {FEW_INCORRECT} wrong predictions.",
    ]
    notes += inputs.not_applicable_notes()
    if paper is not None:
        notes.append("Shaded rows: what the SegX paper printed.")
    return PrintedTable(
        "table_4",
        "Table 4: certainty of right and of wrong predictions",
        table.columns,
        rows,
        notes,
        heads=2,
    )


def _means(inputs: Inputs, masks: str, names: tuple[str, ...]) -> PrintedTable:
    """Print means of right and of wrong predictions with their difference, for some scores."""
    rows = []
    for leading, found, _ in _each(inputs, masks):
        row = dict(leading)
        for name in names:
            own = found.scores[name]
            row |= {
                f"{name}_correct": own.correct,
                f"{name}_incorrect": own.incorrect,
                f"{name}_difference": own.difference,
            }
        rows.append(row)
    columns = [
        Column(f"{name}_{side}", title, kind, SCORES[name], title)
        for name in names
        for side, title, kind in (
            ("correct", "right", Kind.MEAN),
            ("incorrect", "wrong", Kind.MEAN),
            ("difference", "difference", Kind.DIFFERENCE),
        )
    ]
    return PrintedTable("", "", (*LEADING, *columns), rows, heads=2)


#: Scores by what they need, in the order of the columns; the others are shown on demand.
SEPARATORS = {
    "SegU": ("c_iou", "c_auitc"),
    "No explanation": ("calibrated", "predicted_area", "mask_present", "mean_mask_probability"),
    "Maps that know nothing": ("c_iou_shuffled", "c_iou_centred"),
    "Together with the probability": ("c_iou_and_calibrated", "c_auitc_and_calibrated"),
}


def _separators(inputs: Inputs) -> PrintedTable:
    titles = {"c_iou_and_calibrated": "c_IoU", "c_auitc_and_calibrated": "c_AUITC"}
    return PrintedTable(
        "table_4_auroc",
        "How well each score tells right from wrong (AUROC)",
        (
            *LEADING,
            *(
                Column(name, titles.get(name, SCORES[name]), Kind.SCORE, group)
                for group, names in SEPARATORS.items()
                for name in names
            ),
        ),
        _areas(inputs, lambda score: score.auroc),
        (
            "AUROC: probability that a right prediction has a higher score than a wrong one. 0.5 "
            "is a coin, below 0.5 the score points the wrong way. What needs no explanation, and "
            "maps that know nothing of the image, stand beside SegU: it should beat them.",
            "Together: mean of the two ranks. It is fitted to nothing.",
        ),
        heads=2,
    )


def _areas(inputs: Inputs, area: Callable[[Separation], Area]) -> list[dict[str, Any]]:
    return [
        {**leading, **{name: area(found.scores[name]).auroc for name in SCORES}}
        for leading, found, _ in _each(inputs)
    ]


def _separators_without_empty(inputs: Inputs) -> PrintedTable:
    return PrintedTable(
        "table_4_auroc_without_empty",
        "AUROC of every score, without rows where P marks nothing",
        (*LEADING, *(Column(name, title, Kind.SCORE) for name, title in SCORES.items())),
        _areas(inputs, lambda score: score.auroc_without_empty),
        heads=2,
        folded=True,
    )


def _charts(audit: AuditSummary) -> Iterator[Chart]:
    known = {m: found for m in audit.methods if (found := audit.certainty(m)) is not None}
    known = {m: found for m, found in known.items() if found.auroc and found.incorrect}
    if not known:
        return
    first = next(iter(known.values()))
    curves = [(method, found.risk_coverage or {}) for method, found in known.items()]
    estimates = [_estimate(SCORES[name], first, name) for name in WITHOUT_MAP]
    estimates += [
        _estimate(f"{SCORES[name]}, {spell(method)}", found, name)
        for name in DRAWN
        if name not in WITHOUT_MAP
        for method, found in known.items()
    ]
    title = f"{audit.model}: AUROC of right against wrong"
    yield Chart(
        interval_chart(title, estimates, Axis("AUROC", 0.0, 1.0), zero=0.5),
        f"{title}, with 95 % intervals where there are wrong predictions enough. The line is a "
        "coin toss.",
    )
    series = [
        Series("calibrated probability", _curve(curves[0][1]["calibrated"]), 0),
        *(
            Series(f"c_IoU, {spell(method)}", _curve(found["c_iou"]), 1 + place)
            for place, (method, found) in enumerate(curves)
        ),
    ]
    highest = max([0.1, *(risk for own in series for _, risk in own.points)])
    title = f"{audit.model}: risk against coverage"
    yield Chart(
        line_chart(
            title,
            series,
            Axis("share of predictions kept, the most certain first", 0.0, 1.0),
            Axis("share of them wrong", 0.0, round(highest * 1.05, 3)),
        ),
        f"{title}. A useful score keeps wrong predictions for last: its curve stays low on the "
        "left.",
    )


def _estimate(title: str, found: Certainty, name: str) -> Estimate:
    own = (found.auroc or {})[name]
    return Estimate(title, own.estimate, own.low, own.high, DRAWN.index(name))


def _curve(found: Coverages) -> list[tuple[float, float]]:
    return found.with_empty.curve


def _compared(inputs: Inputs) -> PrintedTable:
    pairs = {
        "c_iou-calibrated": ("c_IoU", "probability"),
        "c_iou-predicted_area": ("c_IoU", "area of P"),
        "c_iou-c_iou_centred": ("c_IoU", "centred map"),
        "c_iou_and_calibrated-calibrated": ("both", "probability"),
    }
    rows = [
        {**leading, **found.auroc_difference}
        for leading, found, _ in _each(inputs)
        if found.auroc_difference is not None
    ]
    return PrintedTable(
        "table_4_auroc_differences",
        "Does SegU add anything? Differences of AUROC",
        (
            *LEADING,
            *(
                Column(key, f"{first} − {second}", Kind.DIFFERENCE, "AUROC")
                for key, (first, second) in pairs.items()
            ),
        ),
        rows,
        ("Above 0, the first tells right from wrong better than the second.",),
        heads=2,
    )


def _coverage(inputs: Inputs) -> PrintedTable:
    names = ("c_iou", "c_auitc", "calibrated", "predicted_area", "c_iou_and_calibrated")
    rows = []
    for leading, found, _ in _each(inputs):
        curves = found.risk_coverage or {}
        row = {**leading, "empty": found.empty_mask}
        for name in names if curves else ():
            row[f"{name}_with"] = curves[name].with_empty.aurc
            row[f"{name}_without"] = curves[name].without_empty.aurc
            row["error"] = curves[name].with_empty.error_rate
        rows.append(row)
    return PrintedTable(
        "table_4_risk_coverage",
        "Area under the risk-coverage curve, lower is better",
        (
            *LEADING,
            Column("error", "error rate", Kind.SCORE),
            *(
                Column(f"{name}_{way}", SCORES[name], Kind.SCORE, title)
                for way, title in (
                    ("with", "All rows"),
                    ("without", "Without rows where P marks nothing"),
                )
                for name in names
            ),
            Column("empty", "rows where P marks nothing", Kind.COUNT),
        ),
        rows,
        (
            "Mean share of wrong predictions among those kept, over all coverages, in expectation "
            "over the order of ties. A useless score has the error rate.",
        ),
        heads=2,
        folded=True,
    )


def _bins(inputs: Inputs) -> PrintedTable:
    rows = []
    methods = [m for audit in inputs.audits for m in audit.methods]
    methods = list(dict.fromkeys(methods))
    for audit in inputs.audits:
        for kind, title in (("calibrated", "calibrated"), ("probability", "raw")):
            for level, words in LEVELS.items():
                found = audit.numbers.confidence[kind][level]
                rows.append(
                    {
                        "model": audit.model,
                        "kind": title,
                        "level": words,
                        "n": found.n,
                        "right": found.correct / found.n if found.n else None,
                        **{f"c_iou_{method}": own for method, own in found.c_iou.items()},
                    }
                )
    return PrintedTable(
        "confidence",
        "Confidence in three bins (XAIMed)",
        (
            Column("model", "Model"),
            Column("kind", "Probability"),
            Column("level", "Bin"),
            Column("n", "n", Kind.COUNT),
            Column("right", "right", Kind.SHARE),
            *(Column(f"c_iou_{m}", spell(m), Kind.MEAN, "mean c_IoU") for m in methods),
        ),
        rows,
        heads=3,
    )


def _confounders(inputs: Inputs) -> PrintedTable:
    names = (
        "predicted_area",
        "c_iou_ceiling",
        "c_iou_over_ceiling",
        "precision",
        "mean_mask_probability",
        "c_iou_shuffled",
        "c_iou_centred",
        "calibrated",
    )
    table = _means(inputs, "", names)
    return PrintedTable(
        "table_4_confounders",
        "What could explain Table 4 away: the same means for its confounders",
        table.columns,
        table.rows,
        (
            "If wrong predictions have larger masks P, c_IoU is lower for them whatever the map "
            "shows: its ceiling is min(q/a, a/q), with q the kept share and a the area of P.",
        ),
        heads=2,
        folded=True,
    )


def _other(inputs: Inputs, masks: str) -> PrintedTable:
    table = _means(inputs, masks, printed_in("table_4"))
    rows = [
        {**row, "auroc": found.scores["c_iou"].auroc.auroc}
        for row, (_, found, _) in zip(table.rows, _each(inputs, masks), strict=True)
    ]
    return PrintedTable(
        f"table_4_{masks}",
        f"Table 4 with {MASKS[masks]}",
        (*table.columns, Column("auroc", "c_IoU", Kind.SCORE, "AUROC")),
        rows,
        heads=2,
        folded=True,
    )
