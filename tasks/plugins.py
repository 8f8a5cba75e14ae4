"""Every plugin that this checkout names, pinned as it is installed: ``python -m tasks.plugins``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import method_kind, method_plugin
from saliency_audit.datasets.registry import source_plugin
from saliency_audit.errors import AuditError
from saliency_audit.plugins import ARCHITECTURES, Plugin, names
from tasks import places
from tasks.params import read_tree
from tasks.pins import LOCK, check_pin, pinned

HEAD = """\
# Code of third parties that stages run: whose, and which bytes. Written by
# `python -m tasks.plugins`; a change of it reruns what is named here.
"""


def used(root: Path, tree: Mapping[str, Any]) -> dict[str, dict[str, Plugin]]:
    """Give the plugins that a checkout names, by stage and by its dataset, audit or method.

    ``tree``: its params.yaml. Raises ParameterError for a name that two distributions have.
    """
    found: dict[str, dict[str, Plugin]] = {}
    for stage, subject, plugin in _used(root, tree):
        found.setdefault(stage, {})[subject] = plugin
    return found


def _used(root: Path, tree: Mapping[str, Any]) -> Iterator[tuple[str, str, Plugin]]:
    for dataset, raw in tree["datasets"].items():
        if (plugin := source_plugin(str(raw.get("kind")))) is not None:
            yield "ingest", dataset, plugin
    for audit, raw in tree["audits"].items():
        if (plugin := _of_network(root, raw["classifier"])) is not None:
            yield "train_classifier", audit, plugin
    for method in tree["methods"]:
        kind = method_kind(method, tree["method"].get(method, {}))
        if (plugin := method_plugin(kind)) is not None:
            yield "explain", method, plugin


def _of_network(root: Path, classifier: str) -> Plugin | None:
    if not names(ARCHITECTURES):
        return None
    from saliency_audit.models.specification import read_specification
    from tasks.models import network_plugin

    return network_plugin(read_specification(root / places.CLASSIFIERS / classifier / "model.yaml"))


def check_pins(root: Path, tree: Mapping[str, Any]) -> None:
    """Raise ParameterError for the first plugin of a checkout that is not pinned as installed."""
    for stage, subjects in used(root, tree).items():
        for subject, plugin in subjects.items():
            check_pin(stage, subject, plugin, root)


def write_pins(root: Path, tree: Mapping[str, Any]) -> list[str]:
    """Pin what a checkout names as it is installed; gives a line for each.

    Without plugins there is no lock.
    """
    import yaml

    pins = {
        stage: {subject: pinned(plugin) for subject, plugin in subjects.items()}
        for stage, subjects in used(root, tree).items()
    }
    path = root / LOCK
    if not pins:
        path.unlink(missing_ok=True)
        return []
    plain = {
        stage: {s: {**asdict(pin), "imports": list(pin.imports)} for s, pin in subjects.items()}
        for stage, subjects in pins.items()
    }
    path.write_text(HEAD + yaml.safe_dump(plain, sort_keys=True), encoding="utf-8")
    return [f"{s} {n}: {p.line}" for s, subjects in pins.items() for n, p in subjects.items()]


def main() -> None:
    """Write the lock of this folder, and say what is pinned."""
    try:
        for line in write_pins(Path(), read_tree()) or [f"no plugin is named: no {LOCK} is needed"]:
            sys.stdout.write(f"{line}\n")
    except AuditError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
