"""The numbers of a summary against pandas, scikit-learn and plain loops over the same tables."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from saliency_audit.measures.localisation_figures import COMPARED
from saliency_audit.statistics.ranking import auroc
from saliency_audit.statistics.resampling import Bootstrap
from tasks.summarise.separation import area_difference, area_interval, together

KEYS = ["image_id", "label"]
NO_TRUTH = ["label_absent", "no_ground_truth", "ground_truth_empty"]


def read(project, *parts):
    return pd.read_parquet(project.folder.joinpath("data", *parts))


def summary(project, audit):
    path = project.folder / "data" / "summarise" / project.name / audit / "summary.json"
    return json.loads(path.read_text())


def counted(project, audit, frame):
    """Rows of test that count, with what the cohort and the predictions say of them."""
    cohort = read(project, "cohort", f"{audit}.parquet")
    cohort = cohort[(cohort.split == "test") & cohort.counts]
    kept = cohort[[*KEYS, "group_id", "correct", "calibrated"]]
    return frame.merge(kept, on=KEYS, how="inner")


@pytest.fixture(scope="module", params=["skin", "chest"])
def project(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def located(project):
    audit = project.audits[0]
    return counted(project, audit, read(project, "apply_segx", f"{audit}.parquet"))


@pytest.fixture(scope="module")
def scored(project):
    audit = project.audits[0]
    return counted(project, audit, read(project, "score_segu", f"{audit}.parquet"))


@pytest.fixture(scope="module")
def found(project):
    return summary(project, project.audits[0])


def same(value, expected):
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        assert value is None
    else:
        assert value == pytest.approx(expected, abs=1e-12)


def cells(frame, masks, method):
    rows = frame[(frame.masks == masks) & (frame.method == method)]
    lead = rows[(rows.saliency == "map") & (rows.reading == "original")]
    have = lead[~lead.status.isin(NO_TRUTH)][KEYS]
    return rows.merge(have, on=KEYS)


def test_table_3_means_counts_and_macro_means(project, located, found):
    for masks in located.masks.unique():
        for method in project.methods:
            rows = cells(located, masks, method)
            own = found["localisation"][masks][method]
            assert own["with_truth"] == len(rows[KEYS].drop_duplicates())
            for (saliency, reading), cell in rows.groupby(["saliency", "reading"]):
                for measure in COMPARED:
                    printed = own["means"][saliency][reading][measure]
                    same(printed["mean"], cell[measure].mean())
                    assert printed["n"] == cell[measure].count()
                    flat = cell.status.isin(["zero_map", "constant_map"])
                    zeros = cell[measure].mask(flat & cell[measure].isna(), 0.0)
                    same(printed["with_zeros"]["mean"], zeros.mean())
                    assert printed["with_zeros"]["n"] == zeros.count()
                    same(printed["macro"]["mean"], cell.groupby("label")[measure].mean().mean())


def test_gains_are_paired_differences_to_the_control_after_segx(project, located, found):
    for masks in located.masks.unique():
        for method in project.methods:
            rows = cells(located, masks, method)
            segx = rows[rows.reading == "segx"]
            wide = segx.pivot(index=KEYS, columns="saliency", values="iou")
            for control in ("shuffled", "centred"):
                printed = found["localisation"][masks][method]["beyond"]["segx"][control]["iou"]
                difference = (wide["map"] - wide[control]).dropna()
                same(printed["estimate"], difference.mean())
                assert printed["rows"] == len(difference)
                if printed["low"] is not None:
                    assert printed["low"] <= printed["estimate"] <= printed["high"]


def test_table_4_means_and_separation(project, scored, found):
    for masks in scored.masks.unique():
        for method in project.methods:
            rows = scored[(scored.masks == masks) & (scored.method == method)]
            own = found["certainty"][masks][method]
            rows_map = rows[rows.saliency == "map"]
            assert own["correct"] == rows_map.correct.sum()
            assert own["incorrect"] == (~rows_map.correct).sum()
            for name in ("c_iou", "c_auitc", "predicted_area", "calibrated", "precision"):
                score = own["scores"][name]
                present = rows_map.dropna(subset=[name])
                right, wrong = present[present.correct], present[~present.correct]
                same(score["correct"]["mean"], right[name].mean())
                same(score["incorrect"]["mean"], wrong[name].mean())
                same(score["difference"]["estimate"], right[name].mean() - wrong[name].mean())
                if len(right) and len(wrong):
                    same(score["auroc"]["auroc"], roc_auc_score(present.correct, present[name]))
            for control in ("shuffled", "centred"):
                other = rows[rows.saliency == control].dropna(subset=["c_iou"])
                if other.correct.nunique() == 2:
                    printed = own["scores"][f"c_iou_{control}"]["auroc"]["auroc"]
                    same(printed, roc_auc_score(other.correct, other.c_iou))


def test_risk_coverage_is_a_mean_over_orders_of_ties(project, scored, found):
    masks = found["headline_masks"]
    for method in project.methods[:2]:
        rows = scored[
            (scored.masks == masks) & (scored.method == method) & (scored.saliency == "map")
        ].dropna(subset=["c_iou"])
        rng = np.random.default_rng(0)
        risks = []
        for _ in range(400):
            order = np.lexsort((rng.random(len(rows)), -rows.c_iou.to_numpy()))
            wrong = ~rows.correct.to_numpy()[order]
            risks.append((np.cumsum(wrong) / np.arange(1, len(rows) + 1)).mean())
        printed = found["certainty"][masks][method]["risk_coverage"]["c_iou"]["with_empty"]
        assert printed["aurc"] == pytest.approx(np.mean(risks), abs=0.02)
        assert printed["error_rate"] == pytest.approx((~rows.correct).mean())


def test_both_scores_together_are_ranked_by_the_mean_of_their_ranks():
    first, second = np.array([0.2, 0.2, 0.9, 0.1]), np.array([5.0, 1.0, np.nan, 3.0])
    ranks = pd.DataFrame({"a": first, "b": second}).dropna().rank().mean(axis=1)
    combined = together(first, second)
    assert np.isnan(combined[2])
    assert combined[[0, 1, 3]].tolist() == ranks.tolist()


def test_classification_against_scikit_learn(project, found):
    audit = project.audits[0]
    rows = read(project, "predict", audit, "predictions.parquet")
    rows = rows[rows.split == "test"]
    wide = {
        name: rows.pivot(index="image_id", columns="label", values=name)[list(project.labels)]
        for name in ("target", "predicted", "probability")
    }
    target, predicted = wide["target"].to_numpy(bool), wide["predicted"].to_numpy(bool)
    own = found["classification"]
    precision, recall, f1, support = precision_recall_fscore_support(
        target, predicted, zero_division=0
    )
    for j, quality in enumerate(own["labels"]):
        assert quality["label"] == project.labels[j]
        assert quality["support"] == support[j]
        if predicted[:, j].any():
            same(quality["precision"], precision[j])
        if support[j]:
            same(quality["recall"], recall[j])
            same(quality["f1"], f1[j])
            same(quality["auroc"], roc_auc_score(target[:, j], wide["probability"].iloc[:, j]))
    assert own["exact_match"] == pytest.approx((target == predicted).all(axis=1).mean())
    nothing = ~predicted.any(axis=1)
    assert own["nothing_predicted"]["images"] == nothing.sum()
    missed = dict(zip(project.labels, target[nothing].sum(axis=0).tolist(), strict=True))
    assert own["nothing_predicted"]["missed"] == {k: n for k, n in missed.items() if n}
    if project.labelling == "multiclass":
        expected = confusion_matrix(target.argmax(1), predicted.argmax(1), labels=[0, 1, 2])
        assert own["confusion"] == expected.tolist()


def test_calibration_error_is_the_weighted_gap_of_ten_bins(project, found):
    rows = read(project, "predict", project.audits[0], "predictions.parquet")
    rows = rows[rows.split == "test"]
    if project.labelling == "multiclass":
        rows = rows.loc[rows.groupby("image_id")["calibrated"].idxmax()]
    gap = 0.0
    for low in np.arange(10) / 10:
        inside = rows[(rows.calibrated > low) & (rows.calibrated <= low + 0.1 + 1e-12)]
        if len(inside):
            gap += abs(inside.calibrated.mean() - inside.target.mean()) * len(inside)
    printed = found["classification"]["calibration"]["calibrated"]["ece"]
    assert printed == pytest.approx(gap / len(rows))


def test_agreement_counted_pair_by_pair(project, found):
    audit = project.audits[0]
    cells = counted(project, audit, read(project, "aggregate_agreement", audit, "cells.parquet"))
    shared = []
    for _, image in cells.groupby(KEYS):
        valid = [own for _, own in image.groupby("method") if own.top.notna().all()]
        tops = [set(own[own.top.astype(bool)].cell) for own in valid]
        pairs = [len(a & b) for i, a in enumerate(tops) for b in tops[i + 1 :]]
        if len(valid) >= 3:
            shared.append(np.mean(pairs))
    own = found["agreement"]["sets"]["all"]
    assert own["shared"]["mean"] == pytest.approx(np.mean(shared))
    assert own["shared"]["n"] == len(shared)
    assert own["shared"]["chance"] == 1.0
    assert own["rows"] == len(shared)
    assert sum(item["rows"] for bins in own["highest"].values() for item in bins) == own["rows"]
    for n, bins in own["highest"].items():
        assert [item["votes"] for item in bins] == list(range(int(n) + 1))
        assert sum(item["chance"] for item in bins) == pytest.approx(1.0)


def test_confidence_bins_hold_every_counted_row_once(project, found):
    audit = project.audits[0]
    cohort = counted(project, audit, read(project, "cohort", f"{audit}.parquet")[KEYS])
    for kind in ("calibrated", "probability"):
        bins = found["confidence"][kind]
        assert sum(level["n"] for level in bins.values()) == len(cohort)
        assert sum(level["correct"] for level in bins.values()) == cohort.correct.sum()


def test_the_tables_of_the_report_hold_the_same_numbers(project, found):
    folder = project.folder / "reports" / project.name / "tables"
    table = pd.read_csv(folder / "table_3.csv")
    masks = found["headline_masks"]
    names = {"Grad-CAM": "gradcam", "SHAP": "shap", "LIME": "lime", "RISE": "rise"}
    first = table[table.model == table.model.iloc[0]]
    for row in first.to_dict("records"):
        own = found["localisation"][masks][names[row["xai"]]]["means"]["map"]
        assert row["iou_segx"] == pytest.approx(own["segx"]["iou"]["mean"], abs=5.1e-7)
        assert row["auitc_original_n"] == own["original"]["auitc"]["n"]
    table = pd.read_csv(folder / "table_4.csv")
    for row in table[table.model == table.model.iloc[0]].to_dict("records"):
        own = found["certainty"][masks][names[row["xai"]]]["scores"]["c_auitc"]
        assert row["c_auitc_correct"] == pytest.approx(own["correct"]["mean"], abs=5.1e-7)
        assert row["c_auitc_incorrect_n"] == own["incorrect"]["n"]


def test_maps_that_failed_are_counted_by_their_status(skin):
    maps = summary(skin, skin.audits[0])["maps"]
    assert maps["lime"]["statuses"]["zero_map"] == 1
    assert maps["lime"]["statuses"]["constant_map"] == 1
    assert maps["rise"]["statuses"]["nan_map"] == 1
    assert maps["gradcam"]["statuses"] == {"ok": maps["gradcam"]["maps"]}


def test_a_score_that_knows_the_answer_separates_and_a_coin_does_not(make_project):
    planted = make_project(images=180, name="planted", audits=("planted-cnn",), accuracy=0.5)
    path = planted.folder / "data" / "score_segu" / "planted-cnn.parquet"
    table = pq.read_table(path)
    cohort = read(planted, "cohort", "planted-cnn.parquet").set_index(KEYS).correct
    keys = list(zip(table["image_id"].to_pylist(), table["label"].to_pylist(), strict=True))
    correct = cohort.loc[keys].to_numpy()
    known = [0.5 + 0.01 * bool(c) for c in correct]
    place = table.schema.get_field_index("c_iou")
    table = table.set_column(place, table.schema.field(place), pa.array(known))
    pq.write_table(table, path)
    planted.summarise()
    own = summary(planted, "planted-cnn")["certainty"]["single"]["gradcam"]
    assert own["scores"]["c_iou"]["auroc"]["auroc"] == 1.0
    interval = own["auroc_difference"]["c_iou-predicted_area"]
    assert interval["low"] is not None
    assert interval["low"] > 0


@given(
    arrays(float, 12, elements=st.sampled_from([0.1, 0.2, 0.2000001, 0.7])),
    arrays(bool, 12),
)
def test_an_interval_is_of_the_same_auroc(scores, correct):
    found = area_interval(scores, correct, np.arange(12), Bootstrap(replicates=100))
    same(found.estimate, auroc(scores, correct))


def test_an_interval_of_a_difference_holds_that_of_either_side():
    rng = np.random.default_rng(1)
    correct = rng.random(400) < 0.6
    good, poor = correct + rng.normal(0, 0.5, 400), correct + rng.normal(0, 4, 400)
    groups, bootstrap = np.arange(400) // 2, Bootstrap(replicates=300)
    found = area_difference(good, poor, correct, groups, bootstrap)
    same(found.estimate, auroc(good, correct) - auroc(poor, correct))
    assert 0 < found.low < found.estimate < found.high
    swapped = area_difference(poor, good, correct, groups, bootstrap)
    assert swapped.low == pytest.approx(-found.high)


def test_figures_over_all_available_rows_stand_beside_those_that_count(make_project):
    faults = {("rise", n): "nan_map" for n in range(12)} | {("lime", 20): "zero_map"}
    project = make_project(faults=faults, images=90).report()
    (audit,) = project.audits
    cohort = read(project, "cohort", f"{audit}.parquet")
    test = cohort[cohort.split == "test"]
    assert (test.reason == "nan_map").any()
    found = summary(project, audit)["available"]
    tables = {
        "iou_original": (read(project, "apply_segx", f"{audit}.parquet"), "iou", "original"),
        "iou_segx": (read(project, "apply_segx", f"{audit}.parquet"), "iou", "segx"),
        "c_iou": (read(project, "score_segu", f"{audit}.parquet"), "c_iou", None),
    }
    for method in project.methods:
        for name, (table, column, reading) in tables.items():
            rows = table[
                (table.method == method) & (table.saliency == "map") & (table.masks == "single")
            ]
            if reading is not None:
                rows = rows[rows.reading == reading]
            rows = rows.merge(test[[*KEYS, "counts", "reason"]], on=KEYS)
            for which, kept in (
                ("counted", rows[rows.counts]),
                ("available", rows[rows.status != "nan_map"]),
            ):
                same(found[method][name][which]["mean"], kept[column].mean())
                assert found[method][name][which]["n"] == kept[column].notna().sum()
    # RISE has no map of them itself; the others have.
    assert found["rise"]["c_iou"]["available"]["n"] == found["rise"]["c_iou"]["counted"]["n"]
    assert found["shap"]["c_iou"]["available"]["n"] > found["shap"]["c_iou"]["counted"]["n"]
    page = (project.folder / "reports" / project.name / "index.html").read_text()
    assert "What the predictions that are out change" in page


def test_where_no_map_failed_there_is_nothing_to_put_beside(chest):
    assert summary(chest, chest.audits[0])["available"] == {}
