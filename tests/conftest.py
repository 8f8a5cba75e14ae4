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


#: The tier of a test, by a fixture that it asks for; pyproject.toml says what each tier is.
TIERS = {
    "reproduced": "audit",
    "changed": "audit",
    "flown": "audit",
    "new_checkout": "audit",
    "ready": "audit",  # of tests/mutations
    "server": "server",
    "prefect_server": "server",
    "browser": "browser",
    "real_data": "real_data",
}
#: Files whose tests together compute for more than ten seconds of a processor: `slow`.
SLOW = [
    f"tests/unit/{name}.py"
    for name in (
        "attribution/test_blocks",
        "attribution/test_method_contract",
        "attribution/test_rise",
        "docs/test_wheel",
        "models/test_architectures",
        "models/test_fitting",
        "models/test_segmenter",
        "models/test_training",
        "report/test_report_page",
    )
]
#: Files that begin, so that short ones fill the end: the two that make what others copy, then
#: those that take longest.
FIRST = [
    f"tests/{name}.py"
    for name in (
        "pipeline/test_flow",
        "pipeline/test_repro",
        "pipeline/test_workers",
        "pipeline/test_reaudit",
        "pipeline/test_lineage",
        "mutations/test_sample",
        "faults/test_sample",
    )
]


def file_of(item: pytest.Item) -> str:
    """Give the path of a test's file, from the root."""
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in order, and mark tests by their fixtures, before any is left out."""
    gone = [name for name in (*SLOW, *FIRST) if not (ROOT / name).is_file()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py names what is not there: {', '.join(gone)}")
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(file_of(item), len(FIRST)))
    for item in items:
        if file_of(item) in SLOW:
            item.add_marker("slow")
        for tier in {TIERS[name] for name in getattr(item, "fixturenames", ()) if name in TIERS}:
            item.add_marker(tier)


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
