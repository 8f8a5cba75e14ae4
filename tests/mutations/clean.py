"""Clean data of many seeds, of generators and of splits: no gate may warn, and none may stop."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saliency_audit.errors import AuditError
from tasks.places import REPORTS

from . import base

#: What a seed is tried to: the dataset's own gate, or all gates.
INPUTS, ALL = "to check_inputs", "through all gates"
#: Images of a seed: what is trained on wants more.
IMAGES = {INPUTS: 300, ALL: 600}


@dataclass(frozen=True)
class Alarm:
    """What a clean seed gave: ``rules`` that were broken, or the error; empty if all was well."""

    seed: int
    subject: str
    depth: str
    rules: list[str] = field(default_factory=list)
    code: str = ""


def attempt(seed: int, depth: str, work: Path, code: str = "") -> Alarm:
    """Draw a phantom, skin and chest by turns, split it, and let the gates judge it."""
    name = ("phantom_skin", "phantom_chest")[seed % 2]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    logging.disable(logging.WARNING)
    with contextlib.chdir(work):
        rules = list(_broken(name, _parameters(name, seed, IMAGES[depth]), depth))
    logging.disable(logging.NOTSET)
    shutil.rmtree(work)
    return Alarm(seed, name, depth, rules, code)


def _parameters(name: str, seed: int, images: int) -> dict[str, Any]:
    tree = base.parameters()
    drawing = {"source": "", "images": images, "size": [48, 48], "seed": seed}
    tree["datasets"] = {name: {"kind": name, **drawing}}
    tree["audits"] = {f"{name}-tiny": {"dataset": name, "classifier": "tiny", "images": 40}}
    tree["split"]["seed"] = seed
    for section in ("segmenter", "predict"):
        tree[section]["seed"] = seed
    return tree


def _broken(name: str, tree: dict[str, Any], depth: str) -> Iterator[str]:
    base.registered()
    subject = base.Subject(name, (), "", 0)
    last = base.NAMES.index(base.GATES[0 if depth == INPUTS else -1])
    for stage in base.NAMES[: last + 1]:
        for arguments in subject.arguments(stage):
            try:
                base.run(stage, tree, *arguments)
            except AuditError as error:
                yield f"{stage}: {type(error).__name__}: {str(error)[:200]}"
                return
    for path in sorted(REPORTS.rglob("quality/**/*.json")):
        content = json.loads(path.read_text("utf-8"))
        for rule in content["rules"]:
            if rule["status"] == "broken":
                yield f"{rule['rule']} ({rule['broken']} of {rule['rows']})"
