"""The gates' common part: rules judged as their definitions say, results written or withheld."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_audit.datasets.splitting import SplitParameters
from saliency_audit.errors import ParameterError, QualityError
from saliency_audit.problem import Severity
from tasks import places
from tasks.audits import PredictParameters
from tasks.check_inputs.rules import rules as rules_of_inputs
from tasks.check_models.rules import rules as rules_of_models
from tasks.gates.catalogue import all_rules
from tasks.gates.kinds import KINDS
from tasks.gates.outcome import Gate, pass_gate
from tasks.gates.parameters import InputBounds, MapBounds, ModelBounds, ResultBounds
from tasks.gates.rule import SHOWN, Facts, Rule, with_severities
from tasks.gates.validation import judge
from tasks.params import look_up, read_tree

GATE = Gate("check_inputs", "skin")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def facts(**columns):
    number = len(next(iter(columns.values())))
    ids = [f"image{n:03}" for n in range(number)]
    return Facts("images", ("image_id",), {"image_id": ids, **columns})


def rule(expectation, severity=Severity.STOP, allowed=0.0, name="asked", **arguments):
    return Rule(name, "images", "It holds.", "mend it", expectation, arguments, severity, allowed)


def offenders(about, asked):
    (finding,), _ = judge([about], [asked])
    return [offender["image_id"] for offender in finding.offenders]


words = st.sampled_from(["a", "b", "c", None])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=12))
def test_a_column_determines_another_as_a_loop_over_pairs_says(rows):
    about = facts(one=[one for one, _ in rows], two=[two for _, two in rows])
    known = [row for row in rows if None not in row]
    broken = [
        about.columns["image_id"][n]
        for n, row in enumerate(rows)
        if None not in row and any(row[0] == other[0] and row[1] != other[1] for other in known)
    ]
    asked = rule("ExpectColumnToDetermineColumn", column_A="one", column_B="two")
    assert offenders(about, asked) == broken


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_two_numbers_are_close_where_their_difference_is_small(rows, tolerance):
    about = facts(one=[one for one, _ in rows], two=[two for _, two in rows])
    broken = [
        about.columns["image_id"][n]
        for n, (one, two) in enumerate(rows)
        if not abs(one - two) <= tolerance
    ]
    asked = rule(
        "ExpectColumnPairValuesToBeClose", column_A="one", column_B="two", tolerance=tolerance
    )
    assert offenders(about, asked) == broken


@pytest.mark.parametrize(("allowed", "met"), [(0.0, False), (0.09, False), (0.1, True)])
def test_a_rule_may_be_broken_by_the_share_that_is_allowed(allowed, met):
    about = facts(share=[2.0, *[0.5] * 9])
    asked = rule("ExpectColumnValuesToBeBetween", allowed=allowed, column="share", max_value=1)
    (finding,), _ = judge([about], [asked])
    assert (finding.met, finding.broken, finding.rows) == (met, 1, 10)


def test_what_has_no_value_is_not_judged():
    about = facts(share=[None, 0.5, 2.0], flag=[True, None, False])
    between = rule("ExpectColumnValuesToBeBetween", column="share", max_value=1)
    among = rule("ExpectColumnValuesToBeInSet", name="flags", column="flag", value_set=[True])
    found, _ = judge([about], [between, among])
    assert [(one.rows, one.broken) for one in found] == [(2, 1), (2, 1)]
    nothing = Facts("images", ("image_id",), {"image_id": [], "share": []})
    (finding,), _ = judge([nothing], [between])
    assert finding.status == "no_rows"
    assert finding.met


def test_a_rule_that_cannot_be_judged_is_a_bug_and_no_verdict():
    asked = rule("ExpectColumnValuesToBeBetween", column="no_such_column", max_value=1)
    with pytest.raises(RuntimeError, match="asked could not be judged"):
        judge([facts(share=[0.5])], [asked])


def test_a_stopping_rule_withholds_the_leave_and_names_its_rows(in_folder):
    about = facts(share=[2.0] * 25 + [0.5])
    asked = rule("ExpectColumnValuesToBeBetween", column="share", max_value=1)
    with pytest.raises(QualityError, match=r"asked: It holds\. 25 of 26 break this: image000, ima"):
        pass_gate(GATE, [about], [asked])
    assert not (places.gate("check_inputs", "skin") / "passed.json").exists()
    result = json.loads(GATE.result.read_text())
    (found,) = result["rules"]
    assert (result["status"], found["status"], found["broken"]) == ("stopped", "broken", 25)
    assert len(found["offenders"]) == SHOWN
    rows = pq.read_table(GATE.offenders).to_pylist()
    assert [row["image_id"] for row in rows] == about.columns["image_id"][:25]
    assert json.loads(rows[0]["what"]) == {"image_id": "image000", "share": 2.0}


def test_a_warning_goes_on_and_a_turned_bound_leaves_the_leave_as_it_was(in_folder, caplog):
    about = facts(share=[2.0, 0.5])
    leave = places.gate("check_inputs", "skin") / "passed.json"
    seen = []
    for bound, status in ((1, "warned"), (1.5, "warned"), (3, "passed")):
        asked = rule(
            "ExpectColumnValuesToBeBetween", Severity.WARN, column="share", max_value=bound
        )
        pass_gate(GATE, [about], [asked])
        assert json.loads(GATE.result.read_text())["status"] == status
        seen.append((leave.read_bytes(), GATE.result.read_bytes()))
    assert "asked: It holds. 1 of 2 break this: image000; mend it" in caplog.text
    assert len({leave for leave, _ in seen}) == 1
    assert len({result for _, result in seen}) == 3


def test_what_is_left_has_the_same_bytes_when_it_is_made_again(in_folder):
    about = facts(share=[2.0, None, 0.5])
    asked = rule("ExpectColumnValuesToBeBetween", Severity.WARN, column="share", max_value=1)
    validation = places.gate("check_inputs", "skin") / "validation.json"
    first = []
    for _ in range(2):
        pass_gate(GATE, [about], [asked])
        files = (GATE.result, GATE.offenders, validation)
        first.append([path.read_bytes() for path in files])
    assert first[0] == first[1]


def test_a_person_may_change_a_severity_by_the_rules_name():
    asked = rule("ExpectColumnValuesToBeBetween", column="share", max_value=1)
    (changed,) = with_severities([asked], {"asked": "warn"}, "quality.inputs")
    assert changed.severity is Severity.WARN
    with pytest.raises(ParameterError, match=r"quality\.inputs\.severity: unknown rule aksed"):
        with_severities([asked], {"aksed": "warn"}, "quality.inputs")


def test_a_severity_of_a_rule_that_another_kind_of_dataset_has_is_no_fault():
    """check passes it, as it cannot know the kind before ingest; so must the stage."""
    kinds = {kind["mask_kind"]: kind for kind in KINDS}
    gates = {
        "inputs": lambda bounds, kind: rules_of_inputs(bounds, SplitParameters(), kind),
        "models": lambda bounds, kind: rules_of_models(bounds, PredictParameters(), kind),
    }
    for bounds, ask in zip((InputBounds, ModelBounds), gates.values(), strict=True):
        names = {m: {rule.name for rule in ask(bounds(), kind)} for m, kind in kinds.items()}
        assert names["single"] != names["per_label"]
        for other in names["single"] ^ names["per_label"]:
            changed = bounds(severity={other: "warn"})
            for mask_kind, kind in kinds.items():
                found = {rule.name: rule.severity for rule in ask(changed, kind)}
                assert set(found) == names[mask_kind]
                assert found.get(other, Severity.WARN) is Severity.WARN


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (InputBounds, "mask_full", 1.5),
        (InputBounds, "duplicate_difference", 0),
        (InputBounds, "mask_enclosure", 2),
        (ModelBounds, "chance", -0.1),
        (MapBounds, "set_aside", 5),
        (ResultBounds, "tolerance", 2),
    ],
)
def test_a_bound_out_of_its_range_is_named(kind, name, value):
    with pytest.raises(ParameterError, match=name):
        kind(**{name: value})


def test_every_rule_has_a_name_of_its_own_and_every_parameter_is_one(root):
    known = read_tree(root / "params.yaml")
    for _, rules in all_rules():
        assert len({rule.name for rule in rules}) == len(rules)
        for rule in rules:
            if rule.parameter:
                look_up(known, rule.parameter)
