"""A third party's distribution on Python's path, and out of it again."""

from __future__ import annotations

import importlib
import shutil
import sys

import pytest
import yaml

from tasks.params import read_tree
from tests.invented_plugin import write_plugin

MODEL = "architecture: their_net\ntrain: {epochs: 1}\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Give what installs the invented plugin: in a folder that Python looks into first."""

    def install(folder="site", **options):
        place = tmp_path / folder
        write_plugin(place, **options)
        for path in (place, options.get("editable")):
            if path is not None and str(path) not in sys.path:
                monkeypatch.syspath_prepend(str(path))
        forget()
        return place

    yield install
    forget()


def forget():
    """Let Python look for distributions and modules anew, as another process would."""
    from saliency_audit import plugins

    plugins._registered.cache_clear()
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "their_saliency"]:
        del sys.modules[name]


@pytest.fixture
def checkout(root, tmp_path):
    """A folder whose params.yaml names a plugin of each kind beside what is built in."""
    folder = tmp_path / "checkout"
    (folder / "tasks").mkdir(parents=True)
    for name in ("tasks", "saliency_audit"):
        for path in (root / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = folder / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    for name, text in (("theirs", MODEL), ("cnn", MODEL.replace("their_net", "cnn"))):
        (folder / "classifiers" / name).mkdir(parents=True)
        (folder / "classifiers" / name / "model.yaml").write_text(text)
    tree = read_tree(root / "params.yaml")
    tree["datasets"]["discs"] = {"kind": "their_discs", "size": [32, 32]}
    tree["audits"] = {
        "discs-theirs": {"dataset": "discs", "classifier": "theirs"},
        "phantom_skin-cnn": {"dataset": "phantom_skin", "classifier": "cnn"},
        "phantom_chest-cnn": {"dataset": "phantom_chest", "classifier": "cnn"},
    }
    tree["methods"] = [*tree["methods"], "their_gradient", "doubled"]
    tree["method"] |= {"their_gradient": {}, "doubled": {"class": "their_gradient", "gain": 2.0}}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    return folder


@pytest.fixture
def tree(checkout):
    return read_tree(checkout / "params.yaml")
