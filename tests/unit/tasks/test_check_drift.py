"""Stage ``check_drift`` on invented tables: nothing accepted, the same, planted drift."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.faithfulness.sparseness import sparseness
from tasks import places
from tasks.maps import read_maps
from tasks.profiles import drift_file, reference_file
from tests.invented_project import Project


@dataclass
class Watched(Project):
    """An invented project with the parameters of drift; ``light`` is a factor on its pixels."""

    images: int = 150
    light: float = 1.0
    mix: tuple[float, ...] | None = None

    def params(self):
        return {**super().params(), "quality": {"drift": {"groups": 15}}}

    def _image(self, rng):
        pixels, blob, guess = super()._image(rng)
        return (pixels * self.light).clip(0, 255).astype(np.uint8), blob, guess

    def _targets(self, number, rng):
        if self.mix is None:
            return super()._targets(number, rng)
        return (self.labels[rng.choice(len(self.labels), p=self.mix)],)

    def check(self):
        """Run up to the stage under test; gives what it wrote."""
        self.summarise().run("check_drift", self.name)
        return self.drift()

    def drift(self):
        return json.loads((self.folder / drift_file(self.name)).read_text())

    def page(self):
        return (self.folder / places.REPORTS / self.name / "drift.html").read_text()

    def accept(self, found):
        """Do as a person does who accepts a profile."""
        path = self.folder / reference_file(self.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        origin = {"revision": "5221ad6", "who": "R. Reader", "why": "first & <only> audit"}
        path.write_text(json.dumps({"status": "accepted", **origin, "profile": found["profile"]}))


def made(folder, **settings):
    return Watched(folder, methods=("gradcam", "rise"), **settings).build()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    project = made(tmp_path_factory.mktemp("first"))
    return project, project.check()


def against(first, tmp_path, **settings):
    """Give a project, and its drift from the first, accepted."""
    project = made(tmp_path, **settings)
    project.accept(first[1])
    return project, project.check()


def drifted(found):
    return {own["name"] for own in found["comparison"] if own["drifted"]}


def test_without_a_reference_there_is_a_profile_and_no_comparison(first):
    project, found = first
    assert (found["status"], found["reference"], found["comparison"]) == ("none", None, [])
    assert {
        "labels",
        "strata/sex",
        "images/red",
        "images/width",
        "masks/coverage",
        "audits/lesions-cnn/predictions/labels",
        "audits/lesions-cnn/predictions/confidence",
        "audits/lesions-cnn/maps/rise/status",
        "audits/lesions-cnn/maps/gradcam/gini",
    } <= set(found["profile"])
    assert "Nothing is accepted yet" in project.page()


def test_a_reference_that_says_none_is_none(first, tmp_path):
    project = made(tmp_path)
    path = tmp_path / reference_file(project.name)
    path.parent.mkdir(parents=True)
    path.write_text('{"status": "none"}\n')
    assert project.check() == first[1]


def test_a_sample_counts_as_the_lesions_that_it_shows(first):
    found = first[1]["profile"]["labels"]
    # Of three images, the last two show one lesion.
    assert (found["n"], found["groups"]) == (150, pytest.approx(150**2 / (50 * (1 + 4)), rel=1e-6))
    assert sum(found["counts"].values()) == 150


def test_what_was_accepted_is_the_same_as_itself(first, tmp_path):
    project, found = against(first, tmp_path)
    assert found["status"] == "same"
    assert found["reference"]["who"] == "R. Reader"
    assert {own["effect"] for own in found["comparison"] if own["status"] == "ok"} == {0}
    assert {own["name"] for own in found["comparison"]} == set(first[1]["profile"])
    page = project.page()
    assert "drifted" in page
    assert "first &amp; &lt;only&gt; audit" in page


def test_other_images_of_the_same_kind_are_the_same(first, tmp_path):
    assert against(first, tmp_path, seed=5)[1]["status"] == "same"


def test_brighter_images_are_found(first, tmp_path):
    project, found = against(first, tmp_path, seed=6, light=1.15)
    assert found["status"] == "drifted"
    assert {"images/red", "images/green", "images/blue"} <= drifted(found)
    assert not {name for name in drifted(found) if name.startswith(("labels", "strata", "audits"))}
    assert "mean red" in project.page()


def test_another_mix_of_labels_is_found(first, tmp_path):
    _, found = against(first, tmp_path, seed=7, mix=(0.1, 0.1, 0.8), accuracy=0.9)
    assert {"labels", "audits/lesions-cnn/predictions/labels"} <= drifted(found)
    assert not {name for name in drifted(found) if name.startswith("images")}


def test_maps_that_fail_are_found_where_they_do(first, tmp_path):
    faults = {("rise", number): "zero_map" for number in range(0, 80, 2)}
    _, found = against(first, tmp_path, seed=8, faults=faults)
    assert drifted(found) == {"audits/lesions-cnn/maps/rise/status"}


def test_a_method_that_is_new_is_no_drift(first, tmp_path):
    project = Watched(tmp_path, methods=("gradcam", "rise", "lime")).build()
    project.accept(first[1])
    found = project.check()
    assert found["status"] == "same"
    new = {own["name"] for own in found["comparison"] if own["status"] == "new"}
    assert new
    assert all("/maps/lime/" in name for name in new)
    assert "nothing was accepted of it" in project.page()


def test_where_nothing_can_be_compared_nothing_is_called_the_same(tmp_path):
    project = made(tmp_path, images=18)
    project.accept(project.check())
    found = project.check()
    assert found["status"] == "too_few"
    assert {own["status"] for own in found["comparison"]} == {"too_few"}
    assert "It cannot be told" in project.page()


def test_labels_side_by_side_have_a_statistic_each(tmp_path):
    project = made(tmp_path, labelling="multilabel", masks="per_label")
    found = project.check()["profile"]
    for label in project.labels:
        assert set(found[f"labels/{label}"]["counts"]) == {"present", "absent"}
        assert f"audits/lesions-cnn/predictions/labels/{label}" in found
        assert f"masks/coverage/{label}" in found


def test_without_masks_there_are_no_statistics_of_any(tmp_path):
    found = made(tmp_path, masks="none").check()["profile"]
    assert not {name for name in found if name.startswith("masks")}


def test_map_statistics_are_their_definitions(first):
    project, found = first
    path = project.folder / places.explain("lesions-cnn") / "gradcam.parquet"
    height, width = project.size
    expected = {"row": [], "column": [], "spread": [], "gini": [], "top_share": []}
    for row in read_maps(path, project.size):
        values = row.values.astype(float)
        down, across = ndimage.center_of_mass(values)
        expected["row"].append((down + 0.5) / height)
        expected["column"].append((across + 0.5) / width)
        rows, columns = np.mgrid[:height, :width]
        apart = ((rows - down) / height) ** 2 + ((columns - across) / width) ** 2
        expected["spread"].append(np.sqrt(np.average(apart, weights=values)))
        expected["gini"].append(sparseness(values).gini)
        # The top 5 % of 24 × 30 pixels.
        top = np.sort(values, axis=None)[::-1][:36]
        expected["top_share"].append(top.sum() / values.sum())
    for name, values in expected.items():
        kept = found["profile"][f"audits/lesions-cnn/maps/gradcam/{name}"]["kept"]
        assert kept == pytest.approx(sorted(values), rel=1e-6), name


def test_predictions_are_of_what_was_not_trained_on(first):
    project, found = first
    split = json.loads((project.folder / places.split(project.name) / "split.json").read_text())
    held_out = 150 - split["images"]["train"]
    own = found["profile"]["audits/lesions-cnn/predictions/confidence"]
    assert own["n"] == held_out


def test_equal_inputs_give_equal_bytes(first):
    project, _ = first
    paths = [
        project.folder / drift_file(project.name),
        project.folder / "reports/lesions/drift.html",
    ]
    before = [path.read_bytes() for path in paths]
    project.run("check_drift", project.name)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "nothing that"),
        ('{"status": "acepted"}', "nothing that"),
        ('{"status": "accepted"}', "nothing that"),
        ('{"status": "accepted", "revision": "1", "who": "a", "why": "b"}', "no profile"),
        (
            '{"status": "accepted", "revision": "1", "who": "a", "why": "b", '
            '"profile": {"labels": {"n": 1}}}',
            "labels",
        ),
        ("{", "no JSON"),
    ],
)
def test_a_broken_reference_is_named(first, text, said):
    project, _ = first
    path = project.folder / reference_file(project.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        project.run("check_drift", project.name)
    path.unlink()


def test_a_missing_audit_profile_is_named(tmp_path):
    project = made(tmp_path).summarise()
    (tmp_path / places.summarise("lesions", "lesions-cnn") / "profile.json").unlink()
    with pytest.raises(DataError, match="saliency-audit run"):
        project.run("check_drift", "lesions")


def test_parameters_are_checked(tmp_path):
    class Wrong(Watched):
        def params(self):
            return {**super().params(), "quality": {"drift": {"alpah": 0.1}}}

    project = Wrong(tmp_path)
    with pytest.raises(ParameterError, match="did you mean alpha"):
        project.run("check_drift", "lesions")
