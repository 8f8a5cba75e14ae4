"""What tests of more than one room share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No test times anything, and a failure must be one that everybody can repeat.
settings.register_profile("audit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("audit")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout under test."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real HAM10000 and ChestX-Det; CI requires it to be there."""
    folder = Path(os.environ.get("SALIENCY_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        if os.environ.get("SALIENCY_REQUIRE_REAL_DATA") == "1":
            pytest.fail(f"no real data at {folder}: set SALIENCY_REAL_DATA to its folder")
        pytest.skip(f"no real data at {folder}")
    return folder
