"""summary.json comes back as it was written, and what it lacks is named with its file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from saliency_audit.errors import DataError
from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from tasks.summary.document import read_outline, read_summary, write_summary


@pytest.fixture(scope="module")
def path(skin):
    return skin.folder / "data" / "summarise" / skin.name / skin.audits[0] / "summary.json"


def test_it_comes_back_to_the_bit(path, tmp_path):
    read = read_summary(path)
    plain = replace(read, description=dict(read.description), model=dict(read.model))
    write_summary(tmp_path / "again.json", plain)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("agreement", "lacks 'agreement'"),
        ("localisation.single.lime.rows", "lacks 'localisation.single.lime.rows'"),
        *(
            (f"localisation.single.lime.means.map.segx.{f.key}", f"means.map.segx.{f.key}'")
            for f in LOCALISATION_FIGURES
        ),
        ("certainty.single.shap.scores.c_iou.difference", "scores.c_iou.difference'"),
    ],
)
def test_what_is_lacking_is_named_with_the_file(path, tmp_path, key, said):
    content = json.loads(path.read_text())
    *above, last = key.split(".")
    place = content
    for name in above:
        place = place[name]
    del place[last]
    shorter = tmp_path / "summary.json"
    shorter.write_text(json.dumps(content))
    with pytest.raises(DataError) as fault:
        read_summary(shorter)
    assert str(shorter) in str(fault.value)
    assert said in str(fault.value)


@pytest.mark.parametrize("wrong", ["12", True, 1.5, None])
def test_a_count_that_is_none_is_refused(path, tmp_path, wrong):
    content = json.loads(path.read_text())
    content["cohort"]["rows"] = wrong
    (tmp_path / "summary.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"cohort\.rows"):
        read_summary(tmp_path / "summary.json")


def test_what_a_model_card_lacks_is_named_too(path):
    with pytest.raises(DataError, match=r"summary\.json lacks 'no_such_key'"):
        read_summary(path).model["no_such_key"]


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_what_is_no_summary_is_an_error_with_its_name(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(DataError, match=r"summary\.json"):
        read_summary(tmp_path / "summary.json")
    with pytest.raises(DataError, match="missing"):
        read_summary(tmp_path / "none.json")


def test_an_outline_is_read_of_a_summary_of_another_version(path, tmp_path):
    content = json.loads(path.read_text())
    older = {name: content[name] for name in ("parameters", "headline_masks")}
    (tmp_path / "summary.json").write_text(json.dumps(older))
    found = read_outline(tmp_path / "summary.json")
    assert asdict(found.parameters) == content["parameters"]
    assert found.headline_masks == content["headline_masks"]
