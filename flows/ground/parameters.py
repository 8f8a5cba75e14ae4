"""params.yaml checked as a whole, before anything starts: every key, every reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_audit import naming
from saliency_audit.errors import ParameterError
from tasks.params import (
    SECTIONS,
    build,
    build_audit,
    build_source,
    check_declared,
    check_key,
    look_up,
    read_tree,
    refuse_unknown,
)
from tasks.plugins import check_pins
from tasks.stages import read_stages


def check_parameters(root: Path) -> None:
    """Raise ParameterError for the first parameter that some stage would refuse."""
    check_tree(root, read_tree(root / "params.yaml"))


def check_tree(root: Path, tree: Mapping[str, Any]) -> None:
    """Check a tree of params.yaml beside the files of a checkout; raises ParameterError."""
    check_declared(tree, SECTIONS)
    # DVC, too, wants what a stage reads of a section alone to stand there.
    alone = {key for stage in read_stages().values() for key in stage.params if "{" not in key}
    for key in sorted(alone - set(SECTIONS)):
        look_up(tree, key)
    for dataset, source in read_sources(tree).items():
        if not source.source or not (root / source.source).exists():
            raise ParameterError(
                f"params.yaml: datasets.{dataset}.source: {source.source} is not there"
            )
    for classifier, audit in {
        build_audit(name, raw).classifier: name for name, raw in tree["audits"].items()
    }.items():
        _check_classifier(root, audit, classifier)
    _check_encoder(tree["segmenter"])
    for gate, bounds in tree["quality"].items():
        _check_severities(gate, bounds.get("severity", {}))
    check_pins(root, tree)


def read_sources(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Build the source of each dataset; raises ParameterError for the first that is wrong."""
    check_key(tree, "datasets")
    return {dataset: build_source(dataset, raw) for dataset, raw in tree["datasets"].items()}


def _check_classifier(root: Path, audit: str, classifier: str) -> None:
    path = root / "classifiers" / classifier / "model.yaml"
    if not path.is_file():
        known = sorted(path.parent.name for path in root.glob("classifiers/*/model.yaml"))
        refuse_unknown({classifier: None}, known, f"audits.{audit}.classifier: classifiers")
        raise ParameterError(f"params.yaml: audits.{audit}.classifier: {path} is not there")
    from saliency_audit.models.architectures import check_architecture
    from saliency_audit.models.specification import read_specification

    specification = read_specification(path)
    adopted = specification.adopt
    if adopted is None or adopted.trusted_architecture is None:
        try:
            check_architecture(specification.architecture)
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from None


def _check_encoder(raw: Any) -> None:
    from saliency_audit.models.segmenter import SegmenterParameters, check_encoder

    try:
        check_encoder(build(SegmenterParameters, raw, "segmenter").encoder)
    except ParameterError as error:
        raise ParameterError(f"params.yaml: {error}") from None


def _check_severities(gate: str, given: Mapping[str, str]) -> None:
    if not given:
        return
    from tasks.gates.catalogue import all_rules

    known = [rule.name for name, rules in all_rules() if name == f"check_{gate}" for rule in rules]
    naming.refuse_unknown(given, known, f"params.yaml: quality.{gate}.severity: unknown rule ")
