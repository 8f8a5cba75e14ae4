"""`saliency-audit check`, as a person calls it: what is found, what is printed, the exit codes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from flows.cli.app import app
from tasks.artifacts import write_table
from tasks.tables.history import HISTORY


@pytest.fixture
def checkout(root, tmp_path, monkeypatch):
    """A checkout whose params.yaml names one dataset, a folder of images with a mask each."""
    tree = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    tree["datasets"] = {
        "knees": {"kind": "folder", "source": "knees", "size": [16, 16], "labels": ["a", "b"]}
    }
    tree["audits"] = {"knees-cnn": {"dataset": "knees", "classifier": "cnn"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "classifiers").symlink_to(root / "classifiers")
    (tmp_path / "knees").mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,label,group,mask"]
    for number in range(40):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(
            tmp_path / "knees" / f"{number:02}.png"
        )
        Image.fromarray(np.tri(20, dtype=np.uint8) * 255).save(
            tmp_path / "knees" / f"{number:02}_m.png"
        )
        rows.append(f"{number:02}.png,{'ab'[number % 2]},p{number},{number:02}_m.png")
    (tmp_path / "knees" / "images.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(*arguments):
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    assert "Traceback" not in done.output
    return done


def relabel(checkout, label, numbers):
    table = checkout / "knees" / "images.csv"
    lines = table.read_text().splitlines()
    for number in numbers:
        cells = lines[number + 1].split(",")
        lines[number + 1] = ",".join([cells[0], label, *cells[2:]])
    table.write_text("\n".join(lines) + "\n")


def test_without_a_path_params_yaml_is_checked(checkout):
    assert check().exit_code == 0
    (checkout / "params.yaml").write_text("datasets: {}\nnothing: 1\n")
    done = check()
    assert done.exit_code == 2 and "nothing" in done.output


def test_of_sound_images_nothing_is_said(checkout):
    done = check("knees")
    assert done.exit_code == 0
    assert done.stdout == "knees: nothing is wrong or odd\n"
    found = json.loads(check("knees", "--json").stdout)
    assert found == {"path": "knees", "stop": 0, "warn": 0, "note": 0, "problems": []}


def test_problems_are_shown_to_a_limit_and_all_are_in_the_json(checkout):
    relabel(checkout, "c", range(30))
    done = check("knees")
    assert done.exit_code == 4
    lines = done.stdout.splitlines()
    assert lines[0].startswith("stop max_set_aside (1): ")
    places = [line for line in lines if "is no label (a, b)" in line and ".csv:" in line]
    assert sum(line.startswith("  knees/images.csv:") for line in places) == 20
    assert "  and 10 more" in lines
    assert lines[-1].startswith("knees as dataset knees: 31 stop")
    done = check("knees", "--json")
    assert done.exit_code == 4 and done.stdout.count("\n") == 1
    problems = {p["rule"]: p for p in json.loads(done.stdout)["problems"]}
    assert [p["at"] for p in problems["unknown_label"]["places"]] == [
        f"knees/images.csv:{number + 2}" for number in range(30)
    ]


def test_what_warns_does_not_stop(checkout):
    Image.new("L", (20, 20), 255).save(checkout / "knees" / "05_m.png")
    done = check("knees")
    assert done.exit_code == 0
    assert "warn mask_full (1)" in done.stdout
    assert "  knees/images.csv:7: 05.png\n" in done.stdout


def test_the_parameters_are_those_of_the_dataset_unless_a_kind_is_said(checkout):
    relabel(checkout, "c", (3,))
    # As a dataset of its own, c is a third label, and a rare one.
    shutil.copytree("knees", "copy")
    found = json.loads(check("copy", "--json").stdout)
    assert {p["rule"] for p in found["problems"]} == {"few_groups"}
    found = json.loads(check("knees", "--json").stdout)
    assert {p["rule"] for p in found["problems"]} == {"max_set_aside", "unknown_label"}
    done = check("knees", "--kind", "ham10000")
    assert done.exit_code == 4 and "holds no HAM10000_metadata.csv" in done.stdout


def test_a_phantom_is_checked_by_its_module(root, monkeypatch):
    monkeypatch.chdir(root)
    done = check("saliency_audit/datasets/phantom_chest.py")
    assert done.exit_code == 0
    assert "dataset phantom_chest" in done.stdout


def test_every_table_of_a_folder_is_checked(checkout):
    row = {"train_loss": 1.0, "tune_loss": 1.0, "best": True}
    for audit in ("one", "two", "three"):
        path = checkout / "data" / "train_classifier" / audit / "history.parquet"
        with write_table(HISTORY, path) as table:
            table.write_all({"epoch": n, **row} for n in (1, 2))
    assert check("data").exit_code == 0
    bad = pq.read_table(path).slice(0, 1)
    pq.write_table(pa.concat_tables([bad, bad]), path)
    second = path.parent.parent / "two" / path.name
    second.write_bytes(second.read_bytes()[:40])
    done = check("data")
    assert done.exit_code == 4
    said = [line for line in done.stdout.splitlines() if line.startswith("stop")]
    assert len(said) == 2
    assert "three/history.parquet: column epoch: twice" in said[0]
    assert "two/history.parquet: unreadable" in said[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), ("nowhere", "does not exist")),
        (("knees", "--kind", "ham1000"), ("ham1000", "did you mean ham10000?")),
        (("knees", "--table", "images"), ("--table",)),
        (("knees/images.csv", "--table", "imagse"), ("imagse", "predictions")),
        (("knees/images.csv", "--table", "images", "--kind", "folder"), ("--table",)),
        (("knees/images.csv", "--kind", "folder"), ("--kind",)),
        (("--json",), ("PATH",)),
    ],
)
def test_usage_is_refused(checkout, arguments, words):
    done = check(*arguments)
    assert done.exit_code == 2
    assert all(word in " ".join(done.output.split()) for word in words)


def test_a_file_that_is_no_table_is_one_problem(checkout):
    done = check("knees/images.csv")
    assert done.exit_code == 4
    assert "unreadable" in done.stdout and "no Parquet file" in done.stdout
