"""Measures and statistics need numpy alone, so that table stages start without torch."""

from __future__ import annotations

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in ("saliency_audit.measures", "saliency_audit.statistics"):
    for module in pkgutil.iter_modules(importlib.import_module(name).__path__):
        importlib.import_module(f"{name}.{module.name}")
heavy = {"torch", "scipy", "sklearn", "skimage", "PIL", "pandas", "pyarrow", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_every_module_loads_nothing_heavy(root):
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
