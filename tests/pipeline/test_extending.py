"""docs/extending.md tells the truth: its stage and its gate run, and every list knows them."""

from __future__ import annotations

import json
import re
import sys

import pyarrow.parquet as pq
import pytest
import yaml

from tests.pipeline.conftest import Checkout

pytestmark = pytest.mark.audit

DATASET = "phantom_skin"
#: A block of the page that is a file, or a part of dvc.yaml.
BLOCK = re.compile(r"^```(?:python|yaml)\n# (tasks/\w+\.py|dvc\.yaml)\n(.*?)^```$", re.M | re.S)
#: What the lists of a checkout say, in one process of it; pages are made without torch.
LISTS = """
import json, sys
from pathlib import Path
from tasks.pages import pages
from tasks.report.inputs import _gates
from tasks.table_check import table_problems
told = {
    "pages": dict(pages()),
    "report": [(gate["gate"], gate["about"]) for gate in _gates("phantom_skin", [])],
    "problems": [one.rule for one in table_problems(Path("data/areas/phantom_skin.parquet"))],
    "heavy": sorted({"torch", "great_expectations", "prefect", "dvc"} & set(sys.modules)),
}
from flows.execution.gates import GATES
print(json.dumps({**told, "flows": GATES}))
"""


@pytest.fixture(scope="module")
def extended(root, checkout) -> Checkout:
    """A checkout with the page's stage and gate, run by `dvc repro`."""
    files: dict[str, list[str]] = {}
    for name, text in BLOCK.findall((root / "docs" / "extending.md").read_text("utf-8")):
        files.setdefault(name, []).append(text)
    assert sorted(files) == ["dvc.yaml", "tasks/areas.py", "tasks/check_areas.py"]
    graph = yaml.safe_load((checkout.path / "dvc.yaml").read_text())
    for text in files.pop("dvc.yaml"):
        graph["stages"] |= yaml.safe_load(text)["stages"]
    (checkout.path / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    for name, (text,) in files.items():
        (checkout.path / name).write_text(text)
    ran = checkout.repro(f"areas@{DATASET}", f"check_areas@{DATASET}")
    assert ran == {"code", *(f"{name}@{DATASET}" for name in ("ingest", "areas", "check_areas"))}
    return checkout


def test_the_stage_says_what_the_masks_say(extended):
    ingested = extended.path / "data" / "ingest" / DATASET
    height, width = json.loads((ingested / "description.json").read_text())["size"]
    masks = pq.read_table(ingested / "masks.parquet", columns=["area"])["area"].to_numpy()
    (row,) = pq.read_table(extended.path / f"data/areas/{DATASET}.parquet").to_pylist()
    assert (row["label"], row["masks"]) == ("*", len(masks))
    assert row["share"] == pytest.approx(masks.mean() / (height * width))
    assert row["small"] == (masks < 0.05 * height * width).sum()


def test_the_gate_finds_the_masks_that_the_stage_counts(extended):
    (row,) = pq.read_table(extended.path / f"data/areas/{DATASET}.parquet").to_pylist()
    result = json.loads((extended.path / f"reports/{DATASET}/quality/check_areas.json").read_text())
    (rule,) = result["rules"]
    assert (rule["rows"], rule["broken"]) == (row["masks"], row["small"])
    assert (extended.path / f"data/check_areas/{DATASET}/passed.json").exists()


def test_every_list_knows_them(extended, root):
    """Pages, flows, report, tables and digests of code: by the files alone that the page shows."""
    for name in ("README.md", "docs/architecture.md", "docs/definitions.md"):
        target = extended.path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text((root / name).read_text("utf-8"), encoding="utf-8")
    other = extended.path / f"reports/{DATASET}/quality/check_inputs.json"
    other.write_text(json.dumps({"gate": "check_inputs", "rules": []}))
    told = json.loads(extended.call(sys.executable, "-c", LISTS).stdout)
    assert (told["heavy"], told["problems"]) == ([], [])
    in_order = ["check_inputs", "check_models", "check_areas", "check_maps", "check_results"]
    assert told["flows"] == in_order
    of_datasets = [["check_inputs", "images, masks and split"], ["check_areas", "areas of masks"]]
    assert told["report"] == of_datasets
    pages = told["pages"]
    assert "  ingest --> areas\n" in pages["README.md"]
    assert "--> check_areas{{check_areas}}\n" in pages["README.md"]
    assert "\n| `areas` | dataset | How large the " in pages["docs/architecture.md"]
    assert "\n## areas\n" in pages["docs/data-dictionary.md"]
    assert "\n## check_areas\n" in pages["docs/rules.md"]
    assert " tasks.areas\n" in (extended.path / "data/code/areas.txt").read_text()
    assert " tasks.check_areas:STAGE\n" in (extended.path / "data/code/report.txt").read_text()
