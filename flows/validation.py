"""params.yaml checked as a whole, before anything starts: every key, every reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_audit.errors import ParameterError
from tasks.audits import Audit
from tasks.params import SECTIONS, build, build_source, look_up, named, read_tree, refuse_unknown
from tasks.plugins import check_pins


def check_parameters(root: Path) -> None:
    """Raise ParameterError for the first parameter of params.yaml that is wrong."""
    tree = read_tree(root / "params.yaml")
    for section in ("audits", "method"):
        _check_mapping(tree, section)
    for section, place in SECTIONS.items():
        if place is not None:
            build(named(place), look_up(tree, section), section)
    for dataset, source in read_sources(tree).items():
        if not (root / source.source).exists():
            raise ParameterError(
                f"params.yaml: datasets.{dataset}.source: {source.source} is not there"
            )
    audits = {key: build(Audit, raw, f"audits.{key}") for key, raw in tree["audits"].items()}
    for key, audit in audits.items():
        _check_audit(root, key, audit, tree)
    for dataset in tree["datasets"]:
        if all(audit.dataset != dataset for audit in audits.values()):
            raise ParameterError(
                f"params.yaml: no audit uses the dataset {dataset}: add one under audits, or "
                "take the dataset out"
            )
    _check_methods(tree)
    check_pins(root, tree)


def read_sources(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Build the source of each dataset; raises ParameterError for the first that is wrong."""
    _check_mapping(tree, "datasets")
    return {dataset: build_source(dataset, raw) for dataset, raw in tree["datasets"].items()}


def _check_mapping(tree: Mapping[str, Any], section: str) -> None:
    if not isinstance(tree[section], Mapping):
        raise ParameterError(f"params.yaml: {section} is no mapping of names")


def _check_audit(root: Path, key: str, audit: Audit, tree: Mapping[str, Any]) -> None:
    refuse_unknown({audit.dataset: None}, tree["datasets"], f"audits.{key}.dataset: datasets")
    folder = root / "classifiers" / audit.classifier
    if not (folder / "model.yaml").is_file():
        known = sorted(path.parent.name for path in root.glob("classifiers/*/model.yaml"))
        refuse_unknown({audit.classifier: None}, known, f"audits.{key}.classifier: classifiers")
    from saliency_audit.models.specification import read_specification

    read_specification(folder / "model.yaml")


def _check_methods(tree: Mapping[str, Any]) -> None:
    from saliency_audit.attribution.registry import method_from_parameters

    if not isinstance(tree["methods"], list) or not tree["methods"]:
        raise ParameterError("params.yaml: methods names none: give a list of methods")
    for method in tree["methods"]:
        refuse_unknown({method: None}, tree["method"], "methods: method")
    for method in tree["agreement"].get("methods", []):
        refuse_unknown({method: None}, tree["methods"], "agreement.methods: methods")
    for method, parameters in tree["method"].items():
        try:
            method_from_parameters(method, parameters)
        except ParameterError as error:
            raise ParameterError(f"params.yaml: method.{method}: {error}") from None
