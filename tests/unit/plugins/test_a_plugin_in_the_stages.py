"""The stages run a third party's dataset, network and method, and what a change of one reruns."""

from __future__ import annotations

import contextlib
import importlib

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from saliency_audit.attribution.maps import quantise
from saliency_audit.attribution.method import RawMap
from saliency_audit.datasets.encoding import decode_image, pixel_sha256
from saliency_audit.errors import ParameterError
from saliency_audit.models.training import as_pixels
from saliency_audit.progress import silent
from tasks import map_store, places
from tasks.artifacts import read_json, write_table
from tasks.models import load_classifier
from tasks.params import Parameters, read_tree
from tasks.plugins import write_pins
from tasks.stage import Context
from tasks.tables.chosen import CHOSEN
from tests.invented_plugin import ENTRIES, FILES

AUDIT = "discs-theirs"
METHOD = {group: ENTRIES[group] for group in ("saliency_audit.methods",)}
REST = {group: own for group, own in ENTRIES.items() if group not in METHOD}
GRADIENT = {name: FILES[name] for name in FILES if "__init__" in name or "gradient" in name}
OTHERS = {
    name.replace("their_saliency", "their_data"): text
    for name, text in FILES.items()
    if "gradient" not in name
}


@pytest.fixture
def tree(checkout):
    """Thirty discs, their network, their method and one of ours."""
    tree = read_tree(checkout / "params.yaml")
    given = {"kind": "their_discs", "source": "params.yaml", "images": 30, "size": [16, 16]}
    return {
        **tree,
        "datasets": {"discs": given},
        "audits": {AUDIT: {"dataset": "discs", "classifier": "theirs"}},
        "methods": ["their_gradient", "gradcam"],
        "method": {"their_gradient": {"gain": 3.0}, "gradcam": {}},
    }


@pytest.fixture
def run(checkout, tree):
    def run(stage, *arguments):
        module = importlib.import_module(f"tasks.{stage}")
        parameters = Parameters(tree, module.STAGE.declared(arguments))
        with contextlib.chdir(checkout):
            module.STAGE.run(Context(parameters, silent), *arguments)

    return run


def choose(dataset, audit):
    """Write what stage ``predict`` would: the first images, both labels of each."""
    rows = pq.read_table(places.ingest(dataset) / "images.parquet").to_pylist()[:4]
    with write_table(CHOSEN, places.predict(audit) / "chosen.parquet") as table:
        for row in rows:
            table.write(
                {
                    "image_id": row["image_id"],
                    "pixel_sha256": row["pixel_sha256"],
                    "pixels": row["pixels"],
                    "explain": ["dark", "bright"],
                }
            )


def maps(method):
    return pq.read_table(places.explain(AUDIT) / f"{method}.parquet").to_pylist()


def codes():
    return {path: path.read_bytes() for path in places.CODE.rglob("*.txt")}


def test_an_audit_of_plugins_and_what_a_change_of_the_method_reruns(installed, checkout, tree, run):
    entries = {
        group: {n: v.replace("their_saliency", "their_data") for n, v in own.items()}
        for group, own in REST.items()
    }
    installed("data", distribution="their-data", files=OTHERS, entries=entries)
    installed("method", files=GRADIENT, entries=METHOD)
    with pytest.raises(ParameterError, match=r"discs of ingest .*python -m tasks\.plugins"):
        run("ingest", "discs")
    write_pins(checkout, tree)
    for stage, *arguments in (
        ["code"],
        ["scope"],
        ["ingest", "discs"],
        ["split", "discs"],
        ["train_classifier", AUDIT],
    ):
        run(stage, *arguments)
    with contextlib.chdir(checkout):
        choose("discs", AUDIT)
        # Whatever builds this network depends on the folder of its weights.
        left = read_json(places.train_classifier(AUDIT) / "plugin.json")
        assert (left["distribution"], left["version"]) == ("their-data", "1.0")
    for method in tree["methods"]:
        run("explain", AUDIT, method)

    with contextlib.chdir(checkout):
        before = codes()
        first = maps("their_gradient")
        classifier, _ = load_classifier(AUDIT)
        for row in first:
            # The equation, on the pixels that the map names.
            (source,) = [r for r in _chosen() if r["image_id"] == row["image_id"]]
            assert row["pixel_sha256"] == pixel_sha256(decode_image(source["pixels"]))
            pixels = as_pixels(decode_image(source["pixels"])[None]).requires_grad_()
            score = classifier(pixels)[0, classifier.labels.index(row["label"])]
            (gradient,) = torch.autograd.grad(score, pixels)
            expected = quantise(RawMap(3.0 * gradient[0].abs().amax(0).double().numpy()), 0.05)
            np.testing.assert_allclose(row["map"], expected.map.ravel(), atol=2e-3)
            assert row["scale"] == pytest.approx(expected.scale, rel=1e-4)
        assert len(first) == 8
        kept = {(one.name, one.maps) for one in map_store.contents()}
        assert kept == {(f"{AUDIT} {method}", 8) for method in tree["methods"]}

    changed = GRADIENT["their_saliency/gradient.py"].replace(
        "abs().amax(dim=0)", "abs().sum(dim=0)"
    )
    installed("method", files={**GRADIENT, "their_saliency/gradient.py": changed}, entries=METHOD)
    with pytest.raises(ParameterError, match=r"their_gradient of explain .*plugins\.lock differs"):
        run("explain", AUDIT, "their_gradient")
    write_pins(checkout, tree)
    run("code")
    with contextlib.chdir(checkout):
        after = codes()
        rerun = {path for path in after if after[path] != before[path]}
        assert rerun == {places.code("explain", "their_gradient")}
    for method in tree["methods"]:
        run("explain", AUDIT, method)
    with contextlib.chdir(checkout):
        # None of the former maps is taken for one of the changed method; ours are kept.
        names = [one.name for one in map_store.contents()]
        assert sorted(names) == sorted([f"{AUDIT} gradcam", *[f"{AUDIT} their_gradient"] * 2])
        assert [row["scale"] for row in maps("their_gradient")] != [row["scale"] for row in first]


def _chosen():
    return pq.read_table(places.predict(AUDIT) / "chosen.parquet").to_pylist()
