"""The page's section on localisation: the paper's Table 3 with the controls it lacks."""

# ruff: noqa: RUF001  (the page's words hold signs of mathematics)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES, printed_in
from tasks.report.chart import Axis, Estimate, interval_chart, spanning
from tasks.report.inputs import AuditSummary, Inputs, spell
from tasks.report.numerals import FEW_PATIENTS, percent
from tasks.report.papers import Paper, Quoted
from tasks.report.printed import Column, Kind, PrintedTable
from tasks.report.section import Caution, Chart, Part, Section, filled
from tasks.summary.localisation import Localisation

#: What each figure is called, with ``{kept}`` for the kept fraction.
TITLES = {figure.key: figure.title for figure in LOCALISATION_FIGURES}
READINGS = {"original": "Original", "segx": "SegX", "segx_refill": "refill"}
CONTROLS = {"shuffled": "shuffled", "centred": "centred"}
MASKS = {
    "single": "the image's one mask",
    "per_label": "each label's own mask",
    "union": "the union of all labels' masks",
}

#: What the letters mean, and whose rows these are; between them, what figures say of themselves.
LETTERS = (
    "T: the {kept} of pixels with the highest saliency. M: the clinician's mask. P: the "
    "segmenter's mask. IoU@{kept}: |T∩M| / |T∪M|. SegX: T∩P in place of T (Eqs 6 and 7). Refill, "
    "as in the authors' code: mask the map by P first, then take the top {kept}."
)
NOTES = " ".join(f.note for f in LOCALISATION_FIGURES if f.note and "table_3" in f.tables)
ROWS = (
    "n: explained predictions of the test split that have a mask M. The same ones stand on both "
    "sides. Means leave out maps that rank no pixels; a small n beneath a mean says so."
)


def localisation_section(inputs: Inputs) -> Section:
    """Say how well maps meet the clinician's mask, and how much of that the controls explain."""
    lead = (
        "Does a map point where a clinician would look? Its overlap with the clinician's mask "
        "means little alone: restricting any map to the lesion raises it (that is what SegX "
        "does), and so does a lesion in the middle of the image. So each map stands beside maps "
        "that know nothing of the image."
    )
    if not any(_rows_of(a, a.headline_masks) for a in inputs.audits):
        none = Caution("No explained prediction of the test split has a mask M: no values.")
        return Section("localisation", "Where the maps point (Table 3)", lead, [none])
    parts: list[Part] = []
    for masks in _readings(inputs):
        parts.append(_table_3(inputs, masks))
        if masks != "union":
            parts += [_beyond(inputs, masks), _chart(inputs, masks)]
        parts.append(_other_gains(inputs, masks))
    parts += _references(inputs)
    parts += [_strict(inputs), _by_label(inputs), _missing(inputs)]
    return Section("localisation", "Where the maps point (Table 3)", lead, filled(parts))


def _readings(inputs: Inputs) -> list[str]:
    found = {name for audit in inputs.audits for name in audit.numbers.localisation}
    return [name for name in MASKS if name in found]


def _rows_of(audit: AuditSummary, masks: str) -> Iterator[tuple[str, Localisation]]:
    """Give the methods that have a row with a mask M, with their figures."""
    for method in audit.methods:
        found = audit.localisation(method, masks)
        if found is not None and found.with_truth:
            yield method, found


def _each(inputs: Inputs, masks: str) -> Iterator[tuple[dict[str, Any], Localisation]]:
    """Give the leading cells of each row, and the figures to fill it with."""
    for audit in inputs.audits:
        for method, found in _rows_of(audit, masks):
            yield {"model": audit.model, "xai": spell(method), "n": found.with_truth}, found


LEADING = (Column("model", "Model"), Column("xai", "XAI"), Column("n", "n", Kind.COUNT))


def _titled(inputs: Inputs, measure: str) -> str:
    return TITLES[measure].format(kept=percent(inputs.kept))


def _table_3(inputs: Inputs, masks: str) -> PrintedTable:
    columns = [
        Column(f"{measure}_{reading}", title, Kind.MEAN, _titled(inputs, measure))
        for measure in printed_in("table_3")
        for reading, title in READINGS.items()
    ]
    rows = []
    for leading, found in _each(inputs, masks):
        own = found.means["map"]
        values = {f"{m}_{r}": own[r][m] for m in printed_in("table_3") for r in READINGS}
        rows.append({**leading, **values, "empty": found.empty_mask})
    rows += inputs.not_applicable_rows()
    paper = inputs.paper
    if paper is not None:
        rows += _paper_rows(paper)
    notes = [LETTERS.format(kept=percent(inputs.kept)), NOTES, ROWS]
    notes += inputs.not_applicable_notes()
    if paper is not None:
        notes.append(
            "Shaded rows: what the SegX paper printed. Its AUITC, about equal to its IoU, fits "
            "neither reading here, so no agreement is expected."
        )
    return PrintedTable(
        "table_3" if masks != "union" else "table_3_union",
        f"Table 3: overlap with {MASKS[masks]}, original and after SegX",
        (*LEADING, *columns, Column("empty", "P marks nothing", Kind.COUNT)),
        rows,
        notes if masks != "union" else (),
        heads=2,
        folded=masks == "union",
    )


def _paper_rows(paper: Paper) -> list[dict[str, Any]]:
    return [
        {
            "model": f"{row.model} (paper)",
            "xai": spell(row.method),
            "reference": True,
            **{
                f"{name}_{reading}": Quoted(value)
                for name, pair in (("iou", row.iou), ("auitc", row.auitc))
                for reading, value in zip(("original", "segx"), pair, strict=True)
            },
        }
        for row in paper.rows
    ]


def _beyond(inputs: Inputs, masks: str) -> PrintedTable:
    """Print IoU beside its controls, and what is left when theirs is taken away."""
    rows = []
    for leading, found in _each(inputs, masks):
        means, beyond = found.means, found.beyond
        rows.append(
            {
                **leading,
                "original": means["map"]["original"]["iou"],
                "original_shuffled": means["shuffled"]["original"]["iou"],
                "original_centred": means["centred"]["original"]["iou"],
                "original_ceiling": means["map"]["original"]["iou_ceiling"],
                "segx": means["map"]["segx"]["iou"],
                "segx_shuffled": means["shuffled"]["segx"]["iou"],
                "segx_centred": means["centred"]["segx"]["iou"],
                "mask_alone": means["mask_alone"]["original"]["iou"],
                "segx_ceiling": means["map"]["segx"]["iou_ceiling"],
                "gain_shuffled": beyond["segx"]["shuffled"]["iou"],
                "gain_centred": beyond["segx"]["centred"]["iou"],
                "lost": means["map"]["segx"]["evidence_lost"],
            }
        )
    iou = _titled(inputs, "iou")
    before, after, gain = f"{iou}, original", f"{iou}, SegX", "Gain beyond masking, over"
    return PrintedTable(
        "table_3_controls",
        "Table 3 beside its controls: what a map knows of the image",
        (
            *LEADING,
            Column("gain_shuffled", "shuffled", Kind.DIFFERENCE, gain),
            Column("gain_centred", "centred", Kind.DIFFERENCE, gain),
            Column("segx", "map", Kind.MEAN, after),
            Column("segx_shuffled", "shuffled", Kind.MEAN, after),
            Column("segx_centred", "centred", Kind.MEAN, after),
            Column("mask_alone", "P alone", Kind.MEAN, after),
            Column("segx_ceiling", "ceiling", Kind.MEAN, after),
            Column("original", "map", Kind.MEAN, before),
            Column("original_shuffled", "shuffled", Kind.MEAN, before),
            Column("original_centred", "centred", Kind.MEAN, before),
            Column("original_ceiling", "ceiling", Kind.MEAN, before),
            Column("lost", "Evidence lost", Kind.MEAN),
        ),
        rows,
        (
            "Shuffled: the map's own values in random order of the pixels. Centred: the same "
            "values laid out as a blob at the centre, blind to the image. P alone: the segmenter's "
            "mask, without any map. Ceiling: the highest that any map could reach with as many "
            "pixels.",
            "Gain beyond masking: SegX of the map minus SegX of its control, image by image. What "
            "SegX adds to any map is in both and cancels. Brackets: 95 % bootstrap interval over "
            "patients or lesions; an interval above 0 says that the map knows more than its "
            f"control. †: {FEW_PATIENTS}, read with care.",
            "Evidence lost: share of T∩M that SegX takes away because it lies outside P.",
        ),
        heads=2,
    )


def _chart(inputs: Inputs, masks: str) -> Chart:
    estimates = []
    for leading, found in _each(inputs, masks):
        for style, (control, title) in enumerate(CONTROLS.items()):
            own = found.beyond["segx"][control]["iou"]
            name = f"{leading['model']} {leading['xai']} − {title}"
            estimates.append(Estimate(name, own.estimate, own.low, own.high, style))
    values = [v for e in estimates for v in (e.value, e.low, e.high)]
    iou = _titled(inputs, "iou")
    title = f"Gain of {iou} beyond masking"
    axis = Axis(f"difference of {iou} after SegX", *spanning(values, 0.0))
    return Chart(
        interval_chart(title, estimates, axis, zero=0.0),
        f"{title}, with 95 % intervals. Right of 0, the map meets the clinician's mask better than "
        "a map that knows nothing of the image.",
    )


def _other_gains(inputs: Inputs, masks: str) -> PrintedTable:
    rows = []
    for leading, found in _each(inputs, masks):
        values = {
            f"{measure}_{control}": found.beyond["segx"][control][measure]
            for measure in printed_in("table_3_gains")
            for control in CONTROLS
        }
        original = {
            f"original_{control}": found.beyond["original"][control]["iou"] for control in CONTROLS
        }
        change = {"change": found.segx_minus_original["iou"]}
        rows.append({**leading, **original, **change, **values})
    iou = _titled(inputs, "iou")
    return PrintedTable(
        "table_3_gains" if masks != "union" else "table_3_gains_union",
        f"Differences in every measure, {MASKS[masks]}",
        (
            *LEADING,
            *(
                Column(f"original_{c}", title, Kind.DIFFERENCE, f"{iou}, original map minus")
                for c, title in CONTROLS.items()
            ),
            Column("change", "original", Kind.DIFFERENCE, f"{iou}, SegX minus"),
            *(
                Column(
                    f"{m}_{c}", title, Kind.DIFFERENCE, f"{_titled(inputs, m)}, beyond masking over"
                )
                for m in printed_in("table_3_gains")
                for c, title in CONTROLS.items()
            ),
        ),
        rows,
        heads=2,
        folded=True,
    )


def _references(inputs: Inputs) -> list[Part]:
    paper = inputs.paper
    if paper is None or not paper.references:
        return []
    rows = [{"name": r.name, "iou": r.iou, "segx": r.segx or None} for r in paper.references]
    return [
        PrintedTable(
            "references",
            f"Known references on {paper.dataset} at 200 × 150 pixels, with the clinician's masks",
            (
                Column("name", "What points"),
                Column("iou", "IoU@5 %"),
                Column("segx", "after SegX with M"),
            ),
            rows,
            (
                "Measured once on all 10 015 images. The best cell of the paper's Table 3 is "
                "0.188, below the disc at the centre.",
            ),
        )
    ]


def _strict(inputs: Inputs) -> PrintedTable:
    rows = []
    for leading, found in _each(inputs, _headline(inputs)):
        row = dict(leading)
        for measure in printed_in("table_3_strict"):
            for reading in ("original", "segx"):
                own = found.means["map"][reading][measure]
                row[f"{measure}_{reading}_zeros"] = own.with_zeros
                assert own.macro is not None  # of every figure that is compared
                row[f"{measure}_{reading}_macro"] = own.macro.mean
                row["labels"] = own.macro.n
        share = found.mask_below_budget / found.with_truth
        rows.append({**row, "below": share, "area": found.truth_area})
    columns = [
        Column(f"{m}_{r}_{way}", READINGS[r], kind, f"{_titled(inputs, m)}, {title}")
        for way, kind, title in (
            ("zeros", Kind.MEAN, "flat maps as 0"),
            ("macro", Kind.SCORE, "mean over labels"),
        )
        for m in printed_in("table_3_strict")
        for r in ("original", "segx")
    ]
    return PrintedTable(
        "table_3_strict",
        "Table 3 with flat maps counted as 0, and averaged over labels",
        (
            *LEADING,
            *columns,
            Column("labels", "Labels", Kind.COUNT),
            Column("below", "P within the budget", Kind.SHARE),
            Column("area", "Area of M", Kind.MEAN),
        ),
        rows,
        (
            "Flat maps: zero or constant everywhere. P within the budget: rows in which P has no "
            "more pixels than the explanation keeps, so that refill says little about the map.",
        ),
        heads=2,
        folded=True,
    )


def _headline(inputs: Inputs) -> str:
    return inputs.audits[0].headline_masks if inputs.audits else "single"


def _by_label(inputs: Inputs) -> PrintedTable:
    rows = []
    for leading, found in _each(inputs, _headline(inputs)):
        for label, own in found.by_label.items():
            sides = (("original", own.original), ("segx", own.segx))
            values = {f"{m}_{side}": figures[m] for side, figures in sides for m in figures}
            ceilings = {m: own.original[m] for m in own.original}
            rows.append({**leading, "label": label, **ceilings, **values, "n": own.rows})
    return PrintedTable(
        "table_3_by_label",
        "Table 3 by predicted label",
        (
            Column("model", "Model"),
            Column("xai", "XAI"),
            Column("label", "Label"),
            Column("n", "n", Kind.COUNT),
            *(
                column
                for m in printed_in("table_3_by_label")
                for column in _label_columns(inputs, m)
            ),
        ),
        rows,
        heads=3,
        folded=True,
    )


def _label_columns(inputs: Inputs, measure: str) -> Iterator[Column]:
    title = _titled(inputs, measure)
    for reading in ("original", "segx"):
        yield Column(f"{measure}_{reading}", READINGS[reading], Kind.MEAN, title)
    ceiling = next(f.ceiling for f in LOCALISATION_FIGURES if f.key == measure)
    if ceiling:
        yield Column(ceiling, "ceiling", Kind.MEAN, title)


def _missing(inputs: Inputs) -> PrintedTable:
    reasons = {
        "label_absent": "predicted wrongly, so the label has no mask",
        "no_ground_truth": "the image has no mask",
        "ground_truth_empty": "the mask marks nothing",
    }
    rows = []
    for audit in inputs.audits:
        for method in audit.methods[:1]:
            found = audit.localisation(method)
            for status, why in reasons.items():
                number = found.statuses.get(status, 0) if found else 0
                if number:
                    rows.append({"model": audit.model, "why": {}, "reason": why, "rows": number})
    return PrintedTable(
        "table_3_left_out",
        "Explained test predictions without a place in Table 3",
        (
            Column("model", "Model"),
            Column("reason", "Why"),
            Column("rows", "Predictions", Kind.COUNT),
        ),
        rows,
    )
