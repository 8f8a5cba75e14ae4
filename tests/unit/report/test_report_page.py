"""The page itself: whole, alone, the same twice, and safe whatever the labels are called."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from saliency_audit.datasets.encoding import encode_image
from saliency_audit.errors import DataError
from tasks.report.chart import Axis
from tasks.report.picture import image_uri, map_uri, outline, overlay_uri, palette

VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = (
    '<script>alert("x")</script>',
    "a|b`c*_[d](javascript:e)",
    '" onload="steal()" x="',
)


class Page(HTMLParser):
    """Follows the tags of a page; notes what it refers to and what is not closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.text.append(data)


def parse(project) -> Page:
    page = Page()
    page.feed(html(project))
    page.close()
    return page


def html(project) -> str:
    return (project.folder / "reports" / project.name / "index.html").read_text()


@pytest.fixture(scope="module", params=["skin", "chest"])
def project(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def hostile(make_project):
    return make_project(
        name="hostile",
        audits=("hostile-cnn",),
        labels=HOSTILE,
        labelling="multilabel",
        masks="per_label",
        images=48,
    ).report()


def test_every_tag_is_closed_and_every_id_unique(project):
    page = parse(project)
    assert page.open == []
    assert [i for i, n in Counter(page.ids).items() if n > 1] == []


def test_the_page_needs_no_network_and_no_script(project):
    page = parse(project)
    inner = {f"#{identifier}" for identifier in page.ids}
    inner |= {"../index.html", "drift.html", "../data_docs/index.html"}
    for link in page.links:
        assert link.startswith("data:image/") or link in inner, link
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert not [a for a in page.attributes if a[1].startswith("on")]
    assert "url(" not in html(project)
    assert "@import" not in html(project)


def test_headings_descend_one_level_at_a_time(project):
    headings = parse(project).headings
    assert headings.count(1) == 1
    assert headings[0] == 1
    for before, after in pairwise(headings):
        assert after <= before + 1


def test_tables_are_captioned_and_headed_and_drawings_are_named(project):
    page = parse(project)
    assert page.tags["caption"] == page.tags["table"] > 5
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags["th"]
    assert set(scopes) <= {"col", "row", "colgroup"}
    named = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "aria-label")]
    roles = [v for tag, name, v in page.attributes if (tag, name) == ("svg", "role")]
    assert len(named) == len(roles) > 0
    assert all(named)


def test_rows_are_as_wide_as_their_heads(project):
    for table in re.findall(r"<table>.*?</table>", html(project), re.S):
        body = re.search(r"<tbody>(.*)</tbody>", table, re.S)[1]
        head = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[0], re.S)[-1]
        width = len(re.findall(r"<th", head))
        for row in re.findall(r"<tr.*?</tr>", body, re.S):
            assert len(re.findall(r"<t[dh]", row)) == width


def test_the_page_is_small_enough_to_send(project):
    assert len(html(project)) < 5_000_000


def test_reporting_again_gives_the_same_bytes(skin):
    folders = ("data/summarise", "data/report", "reports")

    def contents():
        return {
            path.relative_to(skin.folder): path.read_bytes()
            for folder in folders
            for path in sorted((skin.folder / folder).rglob("*"))
            if path.is_file()
        }

    before = contents()
    skin.report()
    assert contents() == before


def test_hostile_labels_are_text_and_nothing_else(hostile):
    page = parse(hostile)
    assert page.open == []
    assert page.tags["script"] == 0
    assert not [a for a in page.attributes if a[1].startswith("on")]
    words = "".join(page.text)
    for label in HOSTILE:
        assert label in words
    with (hostile.folder / "reports" / "hostile" / "tables" / "dataset.csv").open() as file:
        assert set(HOSTILE) <= {row["label"] for row in csv.DictReader(file)}
    summary = (hostile.folder / "reports" / "hostile" / "summary.md").read_text()
    assert "<script" not in summary


def test_hostile_labels_are_text_on_the_index_too(hostile):
    hostile.run("index")
    text = (hostile.folder / "reports" / "index.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.tags["script"] == 0
    assert page.links == ["hostile/index.html"]


def test_metrics_are_rounded_numbers_without_nulls(project):
    text = (project.folder / "reports" / project.name / "metrics.json").read_text()

    def refuse(name):
        raise AssertionError(name)

    tree = json.loads(text, parse_constant=refuse)
    assert text == json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def leaves(branch):
        for value in branch.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    for value in leaves(tree):
        assert isinstance(value, int | float)
        assert value == round(value, 6)
    assert set(project.audits) <= set(tree)


def test_plots_hold_one_line_per_image_of_the_confusion_matrix(skin):
    path = skin.folder / "reports" / skin.name / "plots" / f"confusion.{skin.audits[0]}.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    table = skin.folder / "reports" / skin.name / "tables" / "classification.csv"
    with table.open() as file:
        images = int(next(csv.DictReader(file))["n"])
    assert len(rows) == images
    assert {row["actual"] for row in rows} <= set(skin.labels)


def test_the_papers_rows_stand_beside_ham10000_under_its_preset_alone(make_project):
    labels = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    ham = make_project(name="ham10000", audits=("ham10000-cnn",), labels=labels, images=120)
    text = html(ham.report())
    assert "(paper)" not in text
    assert "a disc at the centre" not in text
    ham.preset = "paper"
    text = html(ham.report())
    assert text.count("DenseNet (paper)") == 4
    assert "0.188" in text
    assert "a disc at the centre" in text


def test_an_image_split_says_that_groups_leak(make_project):
    leaking = make_project(name="leaking", audits=("leaking-cnn",), split_by="image")
    split = json.loads((leaking.folder / "data" / "split" / "leaking" / "split.json").read_text())
    assert split["leaking_groups"] > 0
    assert f"{split['leaking_groups']} of" in html(leaking.report())
    assert "more than one split" in html(leaking)


def all_maps(status):
    return {("rise", number): status for number in range(99)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"masks": "none", "empty_masks": False}, "no masks"),
        ({"test_chosen": False}, "No explained prediction of the test split"),
        ({"methods": ("gradcam",)}, "no agreement is claimed"),
        (
            {"not_applicable": dict.fromkeys(("gradcam", "shap", "lime", "rise"), "no")},
            "are not applicable to this network",
        ),
        ({"accuracy": 1.0, "seed": 1}, "c_IoU"),
        ({"segmenter_sees": False}, "No: c_IoU is 0 for every prediction"),
        ({"gallery": 0}, "nothing to show"),
        ({"audits": ()}, "names no audit"),
        ({"set_aside": 0, "images": 30}, "The dataset"),
        ({"methods": ("gradcam", "rise"), "faults": all_maps("zero_map")}, "no map: zero"),
        ({"faults": all_maps("nan_map")}, "No explained prediction"),
    ],
)
def test_a_page_is_made_of_whatever_there_is(make_project, settings, words):
    odd = make_project(name="odd", **{"audits": ("odd-cnn",), "images": 36, **settings}).report()
    page = parse(odd)
    assert page.open == []
    assert words in html(odd)
    assert "nan" not in re.findall(r"<td[^>]*>([^<]*)</td>", html(odd))
    assert "None" not in re.findall(r"<td[^>]*>([^<]*)</td>", html(odd))


def test_a_method_that_cannot_explain_a_network_is_a_row_with_its_reason(make_project):
    """The other methods have the figures that they have without it; agreement is of those left."""
    reason = "the network has no convolutional block"
    methods = ("gradcam", "lime", "rise", "shap")
    odd, plain = (
        make_project(name="odd", audits=("odd-vit",), images=36, methods=own, **more).report()
        for own, more in (
            (methods, {"not_applicable": {"shap": reason}}),
            (methods[:3], {}),
        )
    )
    text = " ".join(parse(odd).text)
    assert f"Not applicable: SHAP to vit: {reason}." in text
    assert text.count("SHAP (not applicable)") == 2, "Tables 3 and 4"
    told = rows_of(odd, "methods")
    assert [(row["xai"], row["status"], row["reason"]) for row in told] == [
        ("SHAP", "not applicable", reason)
    ]
    assert rows_of(odd, "table_3")[:3] == rows_of(plain, "table_3")
    found, other = (
        json.loads((own.folder / "reports/odd/metrics.json").read_text())["odd-vit"]
        for own in (odd, plain)
    )
    for part, names in (("localisation", ["n"]), ("certainty", ["correct", "incorrect"])):
        status = found[part].pop("shap")
        assert status == {"status": "not_applicable", **dict.fromkeys(names)}
    assert found == other
    assert found["agreement"]["all"]["methods"] == 3
    assert {row["k"] for row in rows_of(odd, "agreement")} == {"2 of 3"}


def rows_of(project, table) -> list[dict[str, str]]:
    text = (project.folder / "reports" / project.name / "tables" / f"{table}.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def test_where_every_prediction_is_right_nothing_is_claimed(make_project):
    right = make_project(name="right", audits=("right-cnn",), accuracy=1.0, seed=4)
    path = right.folder / "data" / "cohort" / "right-cnn.parquet"
    table = pq.read_table(path)
    table = table.filter(table.column("correct"))
    pq.write_table(table, path)
    for stage in ("apply_segx", "score_segu", "aggregate_agreement"):
        right.run(stage, "right-cnn")
    text = html(right.report())
    assert "There is no wrong explained test prediction" in text
    table = right.folder / "reports" / "right" / "tables" / "table_4_auroc.csv"
    with table.open() as file:
        assert {row["c_iou"] for row in csv.DictReader(file)} == {""}


def test_a_missing_summary_is_named(make_project):
    bare = make_project(name="bare", audits=("bare-cnn", "bare-other"))
    bare.run("summarise", "bare-cnn")
    with pytest.raises(DataError, match="bare-other"):
        bare.run("report", "bare")


def test_the_index_names_a_dataset_without_a_report(make_project):
    bare = make_project(name="bare", audits=("bare-cnn",))
    with pytest.raises(DataError, match="bare"):
        bare.run("index")


def test_tables_of_other_predictions_are_refused(make_project):
    mixed = make_project(name="mixed", audits=("mixed-cnn",))
    path = mixed.folder / "data" / "cohort" / "mixed-cnn.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(DataError, match="do not belong together"):
        mixed.run("summarise", "mixed-cnn")


def test_what_an_earlier_report_left_is_taken_away(make_project):
    changed = make_project(name="changed", audits=("changed-cnn",)).report()
    stale = changed.folder / "reports" / "changed" / "tables" / "stale.csv"
    stale.write_text("old")
    changed.report()
    assert not stale.exists()


def test_the_stages_of_the_report_import_no_torch(root):
    code = (
        "import sys, tasks.summarise.__main__, tasks.report.__main__, tasks.index;"
        "print([m for m in ('torch', 'matplotlib', 'pandas', 'PIL') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_pictures_of_large_images_are_small_and_of_small_ones_exact():
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert image_uri(large, encode_image(large)).startswith("data:image/jpeg;base64,")
    assert opened(map_uri(rng.random((224, 300)).astype(np.float16))).size == (100, 74)
    small = rng.integers(0, 256, (64, 48, 3)).astype(np.uint8)
    shown = np.asarray(opened(image_uri(small, encode_image(small))))
    assert (shown == small).all()


def test_a_map_is_drawn_in_the_colour_of_each_value():
    values = np.linspace(0, 1, 64, dtype=np.float16).reshape(8, 8)
    shown = np.asarray(opened(map_uri(values)).convert("RGB")).reshape(-1, 3)
    light = shown @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) >= -2).all()
    assert tuple(shown[0]) == palette()[0]
    assert tuple(shown[-1]) == palette()[-1]


def test_an_overlay_is_white_for_the_map_and_red_for_segx():
    top = np.array([[True, True, False]])
    shown = np.asarray(opened(overlay_uri(top, np.array([[False, True, False]]))).convert("RGBA"))
    white, red, nothing = shown[0].tolist()
    assert white == [255, 255, 255, 255]
    assert red[0] > 200 > 60 > red[1]
    assert nothing[3] == 0


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_an_outline_encloses_exactly_the_mask(mask):
    edges = set()
    for x, y, way, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", outline(mask)):
        for step in range(int(length)):
            edges.add((way, int(x) + step * (way == "h"), int(y) + step * (way == "v")))
    for row in range(mask.shape[0]):
        inside = False
        for column in range(mask.shape[1]):
            inside ^= ("v", column, row) in edges
            assert inside == mask[row, column]
    for column in range(mask.shape[1]):
        inside = False
        for row in range(mask.shape[0]):
            inside ^= ("h", column, row) in edges
            assert inside == mask[row, column]


@given(st.floats(-1e3, 1e3, allow_nan=False), st.floats(1e-3, 1e3, allow_nan=False))
def test_ticks_are_within_the_axis_even_and_few(low, span):
    axis = Axis("", low, low + span)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-6 <= tick <= low + span + 1e-6 for tick in ticks)
    steps = np.diff(ticks)
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
