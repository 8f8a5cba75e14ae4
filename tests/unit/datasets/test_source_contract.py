"""What every source promises, by the battery that a third party runs too: over every kind."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from saliency_audit.datasets.chestxdet import ChestXDet
from saliency_audit.datasets.folder import Folder
from saliency_audit.datasets.ham10000 import Ham10000
from saliency_audit.datasets.phantom_chest import PhantomChest
from saliency_audit.datasets.phantom_skin import PhantomSkin
from saliency_audit.datasets.registry import SOURCES
from saliency_audit.testing import check_dataset

SIZE = (24, 32)
TABLE = """image,label,mask,group,sex
b.png,cat,b_mask.png,g1,f
a.jpg,dog,a_mask.png,g1,
sub/c.tif,cat,,g2,m
lost.png,cat,,g3,m
../out.png,dog,,g4,m
"""


def folder_of_faults(place):
    """A table with a missing file, a path that leads out, a mask that is full and one lacking."""
    for name in ("b.png", "a.jpg", "sub/c.tif"):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)).save(path)
    full = np.full((20, 30), 255, np.uint8)
    Image.fromarray(full).save(place / "b_mask.png")
    Image.fromarray(np.where(np.arange(30) > 9, full, np.uint8(0))).save(place / "a_mask.png")
    (place / "images.csv").write_text(TABLE)
    return Folder(source=str(place), size=SIZE)


def some_chests(real, place):
    """The first sixty images of the release, with their annotations."""
    rows = json.loads((real / "annotations.json").read_text(encoding="utf-8"))
    kept = []
    for row in rows:
        (found,) = list(real.rglob(row["file_name"]))[:1] or [None]
        if found is not None and len(kept) < 60:
            target = place / found.relative_to(real)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, target)
            kept.append(row)
    (place / "annotations.json").write_text(json.dumps(kept))
    return ChestXDet(source=str(place), size=SIZE)


SOURCE = {
    "phantom_skin": lambda request, place: PhantomSkin(images=24, size=SIZE),
    "phantom_chest": lambda request, place: PhantomChest(images=24, size=SIZE),
    "folder": lambda request, place: folder_of_faults(place),
    "ham10000": lambda request, place: Ham10000(
        source=str(request.getfixturevalue("real_data") / "ham10000"), size=SIZE, images=40
    ),
    "chestxdet": lambda request, place: some_chests(
        request.getfixturevalue("real_data") / "chestxdet", place
    ),
}


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_source_keeps_its_promises(kind, request, tmp_path):
    source = SOURCE[kind](request, tmp_path)
    assert source.kind == kind
    check_dataset(source)
