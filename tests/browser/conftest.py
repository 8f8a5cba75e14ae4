"""A headless Chromium, and a report to look at with it."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.invented_project import Project


@pytest.fixture(scope="session")
def browser():
    """Give a headless Chromium; where there is none the tests cannot run, and CI requires one."""
    path = os.environ.get("SALIENCY_CHROMIUM") or shutil.which("chromium")
    if path is None:
        if os.environ.get("SALIENCY_REQUIRE_CHROMIUM") == "1":
            pytest.fail("no chromium: install it, or name it in SALIENCY_CHROMIUM")
        pytest.skip("no chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Give the page of an invented project."""
    project = Project(
        tmp_path_factory.mktemp("project"),
        audits=("lesions-cnn", "lesions-resnet18"),
        faults={("lime", 2): "zero_map"},
    )
    project.build().report().run("index")
    return project.folder / "reports" / project.name / "index.html"
