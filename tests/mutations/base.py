"""The small audits that are corrupted: two folders of images, each with one audit, all of it clean.

They run in this process, stage by stage, without DVC: a trial goes on from a copy of what a clean
run has left.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from saliency_audit.datasets.phantom_chest import LABELS as CHEST_LABELS
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import LABELS as SKIN_LABELS
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.datasets.sample import Sample
from saliency_audit.labelling import EVERY_LABEL
from saliency_audit.progress import silent
from tasks.artifacts import read_json
from tasks.params import Parameters
from tasks.profiles import drift_file, reference_file
from tasks.stage import Context
from tasks.stages import gates, in_order
from tests.faults.miniature import ROOT, code_digest

#: What decides how a trial goes: its result stands as long as none of this changes.
STAGES = ("tasks", "saliency_audit", "params.yaml")
CODE = (*STAGES, "tests/mutations")
METHODS = ("gradcam", "gradcam_plus_plus", "rise")
#: Height and width: unequal, so that a transposed array is another one.
SIZE = (40, 48)
MODEL = "architecture: cnn\ntrain:\n  epochs: 6\n"
#: Stages that are not run: code stands still in a trial, and pages come after all gates.
LEFT_OUT = ("code", "report", "index")
#: Stages in an order in which each follows what it needs, and what each is run for.
ORDER = tuple(
    (stage.name, (stage.arguments or ("all",))[-1])
    for stage in in_order()
    if stage.name not in LEFT_OUT
)
NAMES = tuple(name for name, _ in ORDER)
GATES = tuple(gate.name for gate, _ in gates())


@dataclass(frozen=True)
class Subject:
    """A dataset with its one audit; ``images``: how many are drawn."""

    name: str
    labels: tuple[str, ...]
    labelling: str
    images: int

    @property
    def audit(self) -> str:
        return f"{self.name}-tiny"

    def source(self, seed: int) -> PhantomSkin | PhantomChest:
        kind = PhantomSkin if self.name == "skin" else PhantomChest
        return kind(images=self.images, size=SIZE, seed=seed)

    def arguments(self, stage: str) -> list[tuple[str, ...]]:
        """What a stage is called with."""
        what = dict(ORDER)[stage]
        if what == "all":
            return [()]
        if what == "method":
            return [(self.audit, method) for method in METHODS]
        return [(self.name if what == "dataset" else self.audit,)]


SUBJECTS = {
    "skin": Subject("skin", SKIN_LABELS, "multiclass", 600),
    "chest": Subject("chest", CHEST_LABELS, "multilabel", 400),
}


def parameters() -> dict[str, Any]:
    """Give the tree of params.yaml: the project's own bounds, tiny models."""
    tree = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    tree["datasets"] = {
        subject.name: {
            "kind": "folder",
            "source": f"raw/{subject.name}",
            "labelling": subject.labelling,
            "labels": list(subject.labels),
            "size": list(SIZE),
        }
        for subject in SUBJECTS.values()
    }
    tree["audits"] = {
        subject.audit: {"dataset": subject.name, "classifier": "tiny", "images": 60}
        for subject in SUBJECTS.values()
    }
    tree["methods"] = list(METHODS)
    tree["method"] = {
        "gradcam": {},
        "gradcam_plus_plus": {},
        "rise": {"samples": 64, "seed": 0},
    }
    tree["segmenter"]["epochs"] = 5
    tree["agreement"] = {"preset": None, "methods": list(METHODS)}
    tree["report"] = {"gallery": 1, "seed": 0, "replicates": 100}
    return tree


def export(subject: Subject, folder: Path, seed: int = 0) -> None:
    """Write a phantom as a person's own folder: images.csv, images and masks as PNG files."""
    rows = [_exported(subject, sample, folder) for sample in subject.source(seed).samples()]
    write_rows(folder / "images.csv", rows)


def _exported(subject: Subject, sample: Sample, folder: Path) -> dict[str, str]:
    image = f"images/{sample.image_id}.png"
    save(folder / image, sample.pixels)
    cells = {"image": image, "label": ";".join(sample.labels), "group": sample.group_id}
    single = subject.labelling == "multiclass"
    for label in (EVERY_LABEL,) if single else subject.labels:
        column = "mask" if single else f"mask_{label}"
        cells[column] = ""
        if label in sample.masks:
            cells[column] = f"masks/{sample.image_id}{'' if single else '-' + label}.png"
            save(folder / cells[column], sample.masks[label].astype("uint8") * 255)
    return {**cells, **{name: value or "" for name, value in sample.strata.items()}}


def save(path: Path, values: Any) -> None:
    """Write a picture as a new file: the old one may be shared with another folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    Image.fromarray(values).save(path, "PNG")


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.unlink(missing_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def module_of(stage: str) -> Any:
    """Give the module in which a stage is written."""
    module = importlib.import_module(f"tasks.{stage}")
    return (
        module if hasattr(module, "STAGE") else importlib.import_module(f"tasks.{stage}.__main__")
    )


def run(stage: str, tree: dict[str, Any], *arguments: str) -> None:
    """Run a stage's own function in the folder that one is in."""
    found = module_of(stage).STAGE
    found.run(Context(Parameters(tree, found.declared(arguments)), silent), *arguments)


@contextlib.contextmanager
def copied(base: Path, target: Path) -> Iterator[Path]:
    """Go into a copy that shares its files with the base: stages never change a file in place."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(base, target, copy_function=link)
    try:
        with contextlib.chdir(target):
            yield target
    finally:
        shutil.rmtree(target, ignore_errors=True)


def link(source: str, target: str) -> None:
    """Share a file; the store of maps, which is changed in place, is copied."""
    copy: Callable[[str, str], object] = shutil.copy if source.endswith(".sqlite") else os.link
    copy(source, target)


def build(
    folder: Path,
    say: Callable[[str], None] = lambda _line: None,
    subjects: Sequence[str] = tuple(SUBJECTS),
) -> Path:
    """Make the clean audits, or find those that were made of the same code."""
    folder = folder.with_name(f"{folder.name}-{code_digest((*STAGES, 'tests/mutations/base.py'))}")
    if (folder / "finished").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tree = parameters()
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), "utf-8")
    with contextlib.chdir(folder):
        registered()
        for subject in (SUBJECTS[name] for name in subjects):
            say(f"making the clean audit of {subject.name}")
            export(subject, Path("raw") / subject.name)
            for stage in NAMES:
                for arguments in subject.arguments(stage):
                    run(stage, tree, *arguments)
            _accept(subject.name)
    (folder / "finished").touch()
    return folder


def registered() -> None:
    """Put into the folder that one is in what stages expect there: a classifier, and their code."""
    folder = Path("classifiers") / "tiny"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(MODEL, "utf-8")
    # What `tasks.code` would write: checkpoints and the store of maps are found by it.
    explaining = [f"explain/{method}" for method in METHODS]
    training = [f"train_classifier/{subject.audit}" for subject in SUBJECTS.values()]
    for name in (*training, "train_segmenter", *explaining):
        path = Path("data/code") / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("one and the same code in all trials\n", "utf-8")


def _accept(dataset: str) -> None:
    """Make the profile that is there the one that later ones are compared with."""
    path = reference_file(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = {"revision": "base", "who": "mutations", "why": "the clean audit"}
    content = {"status": "accepted", **words, "profile": read_json(drift_file(dataset))["profile"]}
    path.write_text(json.dumps(content), "utf-8")
