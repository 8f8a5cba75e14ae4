"""The room needs numpy to be imported, and torch to be called; its definitions name what exists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
import saliency_audit.faithfulness as room
for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")
heavy = {"torch", "scipy", "sklearn", "skimage", "PIL", "pandas", "pyarrow", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("saliency_audit.")}
print(sorted(rooms & {"models", "attribution", "datasets"}))
"""


def test_importing_every_module_loads_nothing_heavy_and_no_model(root):
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["[]", "[]"]


def test_the_definitions_name_functions_that_exist(root):
    text = (root / "docs" / "definitions.md").read_text("utf-8")
    named = set(re.findall(r"`faithfulness\.(\w+)\.(\w+)`", text))
    assert len(named) >= 8
    for module, name in named:
        assert hasattr(importlib.import_module(f"saliency_audit.faithfulness.{module}"), name)
