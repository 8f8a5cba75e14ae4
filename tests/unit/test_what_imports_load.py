"""Rooms of the library load little when they are imported: torch alone takes seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT_ALL = """
import importlib, json, pkgutil, sys
for room in sys.argv[1:]:
    for module in pkgutil.iter_modules(importlib.import_module(f"saliency_audit.{room}").__path__):
        importlib.import_module(f"saliency_audit.{room}.{module.name}")
print(*sys.modules)
"""
HEAVY = {"torch", "scipy", "sklearn", "skimage", "PIL", "pandas", "matplotlib"}


@pytest.mark.parametrize(
    ("rooms", "never"),
    [
        # Stages of tables alone start with numpy alone.
        (("measures", "statistics"), {*HEAVY, "pyarrow"}),
        # Its functions need torch when they are called; models and methods are handed to them.
        (
            ("faithfulness",),
            {*HEAVY, "pyarrow"}
            | {f"saliency_audit.{room}" for room in ("models", "attribution", "datasets")},
        ),
        # `check` reads all of params.yaml before anything starts.
        (("datasets",), {*HEAVY, "pydicom", "pydantic"}),
    ],
    ids=lambda value: " and ".join(value) if isinstance(value, tuple) else "",
)
def test_importing_every_module_of_a_room_loads_nothing_heavy(root, rooms, never):
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *rooms],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.split())
    assert {f"saliency_audit.{room}" for room in rooms} <= loaded
    assert not loaded & never
