"""Bad input ends a stage with one clear line and leaves what was there, or becomes a status.

Stages run as their commands do, in one process, on a folder of one's own.
"""

from __future__ import annotations

import importlib
import json
import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from saliency_audit.models.architectures import build
from saliency_audit.models.weights import save_weights

MEASURING = (
    "cohort",
    "check_maps",
    "apply_segx",
    "score_segu",
    "aggregate_agreement",
    "check_results",
    "summarise",
)
pytestmark = pytest.mark.audit
AUDIT = "mine-tiny"
MODEL = {"architecture": "cnn", "train": {"epochs": 1}}


@pytest.fixture
def checkout(root, tmp_path, monkeypatch):
    """A checkout of the code under test with its own folder of images, without masks."""
    for name in ("tasks", "saliency_audit"):
        (tmp_path / name).symlink_to(root / name)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree |= {
        "datasets": {
            "mine": {
                "kind": "folder",
                "source": "images",
                "labelling": "multiclass",
                "size": [32, 32],
            }
        },
        "audits": {AUDIT: {"dataset": "mine", "classifier": "tiny"}},
        "methods": ["gradcam"],
        "predict": {**tree["predict"], "background": 4},
        "agreement": {"preset": None, "grid": 3, "methods": ["gradcam"]},
        "report": {"gallery": 1, "seed": 0, "replicates": 100},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    write_model(tmp_path, MODEL)
    write_images(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_model(checkout, content):
    folder = checkout / "classifiers" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(content))
    return folder


def write_images(folder, count=60, groups=60):
    """Images whose label is the side on which they are bright."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,labels,group"]
    for number in range(count):
        label = ("left", "right")[number % 2]
        pixels = rng.integers(0, 90, (32, 32, 3)).astype(np.uint8)
        half = slice(0, 16) if label == "left" else slice(16, 32)
        pixels[:, half] += 120
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
        rows.append(f"{number:03}.png,{label},patient-{number % groups}")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def run(checkout, capsys):
    """Run a stage as its command does; gives the exit code and what it said."""

    def run_stage(name, *arguments):
        module = importlib.import_module(f"tasks.{name}")
        if not hasattr(module, "STAGE"):
            module = importlib.import_module(f"tasks.{name}.__main__")
        with pytest.raises(SystemExit) as left:
            module.STAGE.main(list(arguments))
        return left.value.code, capsys.readouterr().err

    return run_stage


def refused(outcome, code, *words):
    """Whether a stage refused with one error line that holds the words."""
    assert outcome[0] == code, outcome[1]
    errors = [line for line in outcome[1].splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in outcome[1]
    for word in words:
        assert word in errors[0]


def test_a_stage_without_what_it_needs_names_the_file(run, checkout):
    refused(run("split", "mine"), 3, "data/ingest/mine", "saliency-audit run")
    assert run("ingest", "mine") == (0, "")
    assert run("split", "mine") == (0, "")
    refused(
        run("train_classifier", AUDIT),
        3,
        f"data/code/train_classifier/{AUDIT}.txt",
        "saliency-audit run",
    )


def test_images_without_masks_are_audited_to_the_report(run, checkout):
    assert run("code") == (0, "")
    assert run("scope") == (0, "")
    for stage, argument in [
        ("ingest", "mine"),
        ("split", "mine"),
        ("check_inputs", "mine"),
        ("train_classifier", AUDIT),
        ("train_segmenter", "mine"),
        ("predict", AUDIT),
        ("check_models", AUDIT),
    ]:
        assert run(stage, argument) == (0, ""), stage
    assert run("explain", AUDIT, "gradcam") == (0, "")
    for stage in MEASURING:
        assert run(stage, AUDIT) == (0, ""), stage
    assert run("report", "mine") == (0, "")
    assert run("index") == (0, "")
    assert (checkout / "reports/mine/index.html").stat().st_size > 1000
    measured = pq.read_table(checkout / f"data/apply_segx/{AUDIT}.parquet").to_pandas()
    assert set(measured["status"]) == {"no_ground_truth"}
    assert measured[[figure.key for figure in LOCALISATION_FIGURES]].isna().all(axis=None)
    scored = pq.read_table(checkout / f"data/score_segu/{AUDIT}.parquet").to_pandas()
    assert set(scored["status"]) == {"no_predicted_mask"}
    assert scored[["c_iou", "c_auitc"]].isna().all(axis=None)
    json.loads((checkout / "reports/mine/metrics.json").read_text())


def test_too_many_broken_images_stop_and_leave_no_table(run, checkout):
    for number in range(0, 60, 4):
        path = checkout / "images" / f"{number:03}.png"
        path.write_bytes(path.read_bytes()[:60])
    refused(run("ingest", "mine"), 3, "max_set_aside", "000.png")
    assert not (checkout / "data/ingest/mine/images.parquet").exists()


def test_a_broken_image_within_the_bound_is_set_aside_and_counted(run, checkout):
    (checkout / "images" / "007.png").write_text("no image")
    tree = yaml.safe_load((checkout / "params.yaml").read_text())
    tree["datasets"]["mine"]["max_set_aside"] = 0.1
    (checkout / "params.yaml").write_text(yaml.safe_dump(tree))
    assert run("ingest", "mine")[0] == 0
    aside = pq.read_table(checkout / "data/ingest/mine/set_aside.parquet").to_pylist()
    assert [row["source_file"] for row in aside] == ["007.png"]
    assert json.loads((checkout / "data/ingest/mine/description.json").read_text())["images"] == 59


def test_one_group_only_is_refused_by_the_split(run, checkout):
    for path in (checkout / "images").iterdir():
        path.unlink()
    (checkout / "images").rmdir()
    write_images(checkout / "images", groups=1)
    assert run("ingest", "mine")[0] == 0
    refused(run("split", "mine"), 3, "group")


@pytest.fixture
def split(run):
    assert run("ingest", "mine")[0] == 0
    assert run("split", "mine")[0] == 0


def adopt(checkout, weights, **changes):
    content = {
        "architecture": "cnn",
        "adopt": {"weights": weights, "labels": ["left", "right"]},
        **changes,
    }
    return write_model(checkout, content)


def test_adopted_weights_are_audited(run, checkout, split):
    folder = adopt(checkout, "weights.safetensors")
    save_weights(folder / "weights.safetensors", build("cnn", 2, (32, 32)).state_dict())
    assert run("train_classifier", AUDIT)[0] == 0
    card = json.loads((checkout / f"data/train_classifier/{AUDIT}/model.json").read_text())
    assert card["origin"] == "adopted"


def test_weights_of_another_architecture_are_refused(run, checkout, split):
    folder = adopt(checkout, "weights.safetensors")
    save_weights(folder / "weights.safetensors", build("resnet18", 2, (32, 32)).state_dict())
    refused(run("train_classifier", AUDIT), 3, "not of architecture cnn")


def test_a_pickle_with_code_is_refused_and_not_run(run, checkout, split):
    ran = checkout / "ran"

    class Code:
        def __reduce__(self):
            return (ran.write_text, ("it ran",))

    folder = adopt(checkout, "weights.pt")
    (folder / "weights.pt").write_bytes(pickle.dumps({"weights": Code()}))
    refused(run("train_classifier", AUDIT), 3, "weights.pt")
    torch.save({"weights": Code()}, folder / "weights.pt")
    refused(run("train_classifier", AUDIT), 3, "weights.pt", "could run code")
    assert not ran.exists()


def test_nan_in_the_weights_is_refused(run, checkout, split):
    folder = adopt(checkout, "weights.safetensors")
    state = build("cnn", 2, (32, 32)).state_dict()
    state["fc2.bias"][0] = float("nan")
    save_weights(folder / "weights.safetensors", state)
    refused(run("train_classifier", AUDIT), 3, "fc2.bias", "NaN")


def test_a_missing_input_is_named(run):
    refused(run("split", "mine"), 3, "description.json is missing")
    refused(run("predict", AUDIT), 3, "missing")


def test_an_unknown_method_and_a_typo_are_named_by_the_stage(run, checkout, split):
    tree = yaml.safe_load((checkout / "params.yaml").read_text())
    (checkout / "params.yaml").write_text(
        yaml.safe_dump({**tree, "method": {**tree["method"], "gradcamm": {}}})
    )
    refused(run("explain", AUDIT, "gradcamm"), 2, "gradcamm", "did you mean gradcam?")
    (checkout / "params.yaml").write_text(yaml.safe_dump({**tree, "comput": {}}))
    refused(run("split", "mine"), 2, "comput", "did you mean compute?")


def test_a_wrong_number_of_arguments_is_usage(run):
    code, said = run("explain", AUDIT)
    assert code == 2
    assert "usage: python -m tasks.explain <audit> <method>" in said
