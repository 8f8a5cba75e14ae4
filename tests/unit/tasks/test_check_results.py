"""``check_results``: figures as measured fit each other, and one that is changed does not.

The gate's closed forms never saw the code that measures, so each holds the other to account.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saliency_audit.errors import QualityError
from tests.invented_project import Project

AUDIT = "lesions-cnn"
FAULTS = {
    ("gradcam", 0): "zero_map",
    ("gradcam", 3): "nan_map",
    ("rise", 3): "constant_map",
    ("lime", 5): "few_superpixels",
}


def judged(project) -> dict[str, dict]:
    path = project.folder / "reports" / project.name / "quality" / AUDIT / "check_results.json"
    return {rule["rule"]: rule for rule in json.loads(path.read_text())["rules"]}


@pytest.fixture(scope="module", params=["single", "per_label", "none"])
def project(request, tmp_path_factory):
    labelling = "multilabel" if request.param == "per_label" else "multiclass"
    folder = tmp_path_factory.mktemp(request.param)
    return Project(folder, masks=request.param, labelling=labelling, faults=FAULTS).build()


def test_what_the_measures_compute_breaks_no_rule(project):
    project.run("check_results", AUDIT)
    assert {name: rule["broken"] for name, rule in judged(project).items() if rule["broken"]} == {}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("built"), empty_masks=False).build()


TABLES = {
    "localisation": "data/apply_segx/lesions-cnn.parquet",
    "certainty": "data/score_segu/lesions-cnn.parquet",
    "cells": "data/aggregate_agreement/lesions-cnn/cells.parquet",
    "agreement": "data/aggregate_agreement/lesions-cnn/agreement.parquet",
}


@pytest.mark.parametrize(
    ("table", "column", "change", "where", "rule"),
    [
        ("localisation", "iou", lambda v: v + 1e-4, {"reading": "original"}, "overlap"),
        ("localisation", "iou", lambda v: v + 1e-4, {"reading": "segx"}, "segx"),
        ("localisation", "truth_area", lambda v: v + 0.01, {}, "truth_area"),
        ("localisation", "predicted_area", lambda v: v + 0.01, {}, "predicted_area"),
        ("localisation", "iou", lambda v: None, {"reading": "original"}, "silent"),
        ("localisation", "precision", lambda v: v - 1e-4, {"reading": "original"}, "with_truth"),
        ("localisation", "precision", lambda v: None, {"reading": "segx"}, "silent"),
        ("localisation", "hit", lambda v: v + 1, {}, "out_of_range"),
        ("certainty", "c_iou", lambda v: v + 1e-4, {"masks": "single"}, "c_iou"),
        ("certainty", "precision", lambda v: v * 0.999, {"masks": "single"}, "c_iou"),
        ("cells", "mean", lambda v: v + 1.0, {}, "cell_statistics"),
        ("agreement", "count", lambda v: v + 1, {}, "agreement_total"),
        ("agreement", "count", lambda v: v + 1, {}, "agreement_counts"),
        ("agreement", "valid_methods", lambda v: v - 1, {}, "agreement_even"),
    ],
)
def test_one_figure_that_is_changed_is_found_with_its_row(
    built, tmp_path, table, column, change, where, rule
):
    shutil.copytree(built.folder, tmp_path, dirs_exist_ok=True)
    project = replace(built, folder=tmp_path)
    path = project.folder / TABLES[table]
    rows = pq.read_table(path)
    listed = rows.to_pylist()
    chosen = {"saliency": "map"} | where
    number = next(
        n
        for n, row in enumerate(listed)
        if row[column] and all(row.get(name, value) == value for name, value in chosen.items())
    )
    listed[number][column] = change(listed[number][column])
    pq.write_table(pa.Table.from_pylist(listed, rows.schema), path)
    with pytest.raises(QualityError, match=rule):
        project.run("check_results", AUDIT)
    found = judged(project)[rule]
    names = ("image_id", "label", "method")
    expected = {name: listed[number][name] for name in names if name in listed[number]}
    assert found["broken"] == 1
    assert {name: found["offenders"][0][name] for name in expected} == expected
