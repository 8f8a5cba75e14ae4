"""params.yaml checked as a whole, before anything starts: every key, every reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_audit.errors import ParameterError
from tasks.params import (
    SECTIONS,
    build_audit,
    build_source,
    check_declared,
    check_key,
    read_tree,
    refuse_unknown,
)


def check_parameters(root: Path) -> None:
    """Raise ParameterError for the first parameter of params.yaml that is wrong."""
    tree = read_tree(root / "params.yaml")
    check_declared(tree, SECTIONS)
    for dataset, source in read_sources(tree).items():
        if not (root / source.source).exists():
            raise ParameterError(
                f"params.yaml: datasets.{dataset}.source: {source.source} is not there"
            )
    for key, raw in tree["audits"].items():
        _check_classifier(root, key, build_audit(key, raw).classifier)


def read_sources(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Build the source of each dataset; raises ParameterError for the first that is wrong."""
    check_key(tree, "datasets")
    return {dataset: build_source(dataset, raw) for dataset, raw in tree["datasets"].items()}


def _check_classifier(root: Path, key: str, classifier: str) -> None:
    folder = root / "classifiers" / classifier
    if not (folder / "model.yaml").is_file():
        known = sorted(path.parent.name for path in root.glob("classifiers/*/model.yaml"))
        refuse_unknown({classifier: None}, known, f"audits.{key}.classifier: classifiers")
    from saliency_audit.models.specification import read_specification

    read_specification(folder / "model.yaml")
