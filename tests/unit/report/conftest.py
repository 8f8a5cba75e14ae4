"""Invented projects that the tests of the report share."""

from __future__ import annotations

import pytest

from tests.invented_project import Project


@pytest.fixture(scope="session")
def make_project(tmp_path_factory):
    """Give a function that invents a project and measures it."""

    def make(**settings) -> Project:
        return Project(tmp_path_factory.mktemp("project"), **settings).build()

    return make


@pytest.fixture(scope="session")
def skin(make_project) -> Project:
    """Two audits of one-mask images, reported; some maps failed. Not to be changed."""
    faults = {
        ("lime", 2): "zero_map",
        ("lime", 5): "constant_map",
        ("rise", 3): "nan_map",
        ("shap", 4): "zero_map",
    }
    audits = ("lesions-cnn", "lesions-resnet18")
    return make_project(audits=audits, faults=faults, images=90).report()


@pytest.fixture(scope="session")
def chest(make_project) -> Project:
    """An audit of several labels per image with a mask each, reported. Not to be changed."""
    return make_project(
        name="chest",
        audits=("chest-cnn",),
        labels=("nodule", "effusion", "mass"),
        labelling="multilabel",
        masks="per_label",
        accuracy=0.6,
    ).report()
