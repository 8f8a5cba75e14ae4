"""DVC's own tools work on an audit: what a person knows from other projects holds here, too."""

from __future__ import annotations

import json
import re

import pytest

from tests.pipeline.conftest import take_cache, with_masks

AUDIT = "phantom_skin-tiny"
pytestmark = pytest.mark.usefixtures("one_server")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def commit(checkout, message):
    checkout.call("git", "add", "-A")
    checkout.call("git", *IDENTITY, "commit", "-q", "-m", message)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The folder of a DVC remote."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def audited(flown, changed, copied, store):
    """Two audits in the history of one clone, pushed: the second has one more RISE mask."""
    checkout = copied(flown)
    checkout.call("dvc", "remote", "add", "-q", "--default", "store", str(store))
    commit(checkout, "first audit")
    take_cache(changed, checkout)
    checkout.write_params(with_masks(checkout.params(), 65))
    checkout.audit("run")
    commit(checkout, "second audit")
    checkout.call("dvc", "push", "-q")
    return checkout


def test_metrics_diff_gives_what_changed_between_two_audits(audited):
    told = json.loads(audited.call("dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD").stdout)
    ((path, changes),) = told.items()
    assert path == "reports/phantom_skin/metrics.json"
    # What the flow says of a metric is what git has of it, and only RISE has changed.
    former = json.loads(audited.call("git", "show", f"HEAD~1:{path}").stdout)
    latter = json.loads((audited.path / path).read_text())
    assert changes
    for key, change in changes.items():
        before, after = former, latter
        for part in key.split("."):
            before, after = before[part], after[part]
        assert (change["old"], change["new"]) == (before, after)
        assert before != after
        assert "gradcam" not in key


def numbers(tree):
    """A tree without what is null."""
    if not isinstance(tree, dict):
        return tree
    return {key: numbers(value) for key, value in tree.items() if value is not None}


def test_metrics_show_has_every_figure_of_the_page(audited):
    told = json.loads(audited.call("dvc", "metrics", "show", "--json").stdout)
    (shown,) = told[""]["data"].values()
    page = json.loads((audited.path / "reports/phantom_skin/metrics.json").read_text())
    assert shown["data"] == numbers(page)  # DVC shows no nulls


def test_plots_diff_draws_the_plots_of_both_audits(audited):
    folder = audited.path / ".saliency" / "plots"
    audited.call("dvc", "plots", "diff", "HEAD~1", "HEAD", "--out", str(folder))
    page = (folder / "index.html").read_text()
    specs = re.findall(r"var spec = (\{.*?\});\n", page, re.DOTALL)
    drawn = sorted((audited.path / "reports/phantom_skin/plots").iterdir())
    assert len(specs) == len(drawn) > 0
    for spec in specs:
        assert {point["rev"] for point in json.loads(spec)["data"]["values"]} == {"HEAD~1", "HEAD"}


def test_the_graph_is_drawn_with_every_stage(audited):
    drawn = audited.call("dvc", "dag", "--mermaid").stdout
    for stage in audited.lock():
        assert stage in drawn
    above = audited.call("dvc", "dag", "--dot", f"explain@{AUDIT}-rise").stdout
    assert f"predict@{AUDIT}" in above
    assert "aggregate_agreement" not in above


def test_a_fresh_clone_pulls_the_audit_and_has_nothing_to_run(audited, tmp_path):
    clone = type(audited)(tmp_path / "clone")
    audited.call("git", "clone", "-q", str(audited.path), str(clone.path))
    clone.call("dvc", "pull", "-q")
    assert (clone.path / "reports" / "phantom_skin" / "index.html").is_file()
    assert clone.repro() == set()
    assert "stages are up to date" in clone.audit("run").stderr


def test_a_former_audit_is_checked_out_again(audited):
    audited.call("git", "checkout", "-q", "HEAD~1")
    audited.call("dvc", "checkout", "-q")
    assert audited.repro() == set()
    audited.call("git", "checkout", "-q", "-")
    audited.call("dvc", "checkout", "-q")
    assert audited.call("git", "status", "--porcelain").stdout == ""
