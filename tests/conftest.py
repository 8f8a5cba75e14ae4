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
#: Files whose tests together compute for several seconds of a processor: `slow`.
SLOW = [
    f"tests/{name}.py"
    for name in (
        "browser/test_site",
        "pipeline/test_graph",
        "unit/attribution/test_attention",
        "unit/attribution/test_blocks",
        "unit/attribution/test_gradcam",
        "unit/attribution/test_lime",
        "unit/attribution/test_method_contract",
        "unit/attribution/test_placement",
        "unit/attribution/test_rise",
        "unit/datasets/test_inspection",
        "unit/datasets/test_phantoms",
        "unit/datasets/test_source_contract",
        "unit/datasets/test_splitting",
        "unit/deploy/test_deploy",
        "unit/docs/test_dependencies",
        "unit/docs/test_wheel",
        "unit/flows/test_commands",
        "unit/flows/test_openlineage_events",
        "unit/models/test_architectures",
        "unit/models/test_checkpoints",
        "unit/models/test_fitting",
        "unit/models/test_inference",
        "unit/models/test_proof",
        "unit/models/test_segmenter",
        "unit/models/test_training",
        "unit/plugins/test_pins",
        "unit/quality/test_drift",
        "unit/report/test_report_page",
        "unit/report/test_summary_numbers",
        "unit/tasks/test_check_drift",
        "unit/tasks/test_check_results",
        "unit/tasks/test_dataset_profile",
        "unit/tasks/test_gate_contract",
        "unit/tasks/test_map_store",
        "unit/tasks/test_params_agree",
    )
]
#: Files, and single tests, that take a minute or more for what has a shorter witness in the rest:
#: `nightly`, left out of `make test`. docs/commands.md says when they run.
NIGHTLY = [
    *(
        f"tests/{name}.py"
        for name in (
            "faults/test_sample",
            "mutations/test_sample",
            "pipeline/test_alerts",
            "pipeline/test_hazards",
            "pipeline/test_placement",
            "pipeline/test_reaudit",
            "pipeline/test_reproduce",
            "pipeline/test_serve",
            "pipeline/test_workers",
            "unit/models/test_versions",
        )
    ),
    "tests/pipeline/test_flow.py::test_an_interrupt_ends_the_stages_and_a_new_run_goes_on",
    "tests/pipeline/test_flow.py::test_a_second_run_waits_if_told_to",
    "tests/pipeline/test_flow.py::test_a_server_that_is_not_there_is_named",
    "tests/pipeline/test_gates.py::test_when_the_bound_is_back_the_audit_goes_on",
    "tests/pipeline/test_lineage.py::test_a_failed_stage_says_so",
    "tests/pipeline/test_lineage.py::test_maps_of_another_model_are_said_loudly",
]
#: Files that begin, so that short ones fill the end: the two that make what others copy, then
#: those that take longest.
FIRST = [
    f"tests/{name}.py"
    for name in (
        "pipeline/test_flow",
        "pipeline/test_repro",
        "pipeline/test_lineage",
        "pipeline/test_gates",
        "pipeline/test_audits_and_methods",
        "pipeline/test_workers",
        "pipeline/test_reaudit",
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
    named = (name.partition("::")[0] for name in (*SLOW, *NIGHTLY, *FIRST))
    gone = [name for name in named if not (ROOT / name).is_file()]
    if gone:
        raise pytest.UsageError(f"tests/conftest.py names what is not there: {', '.join(gone)}")
    rank = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(file_of(item), len(FIRST)))
    for item in items:
        if file_of(item) in SLOW:
            item.add_marker("slow")
        if file_of(item) in NIGHTLY or item.nodeid.partition("[")[0] in NIGHTLY:
            item.add_marker("nightly")
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
