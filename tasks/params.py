"""params.yaml, read and checked: every key is known, every value is in its range.

A parameter is declared once, as a frozen dataclass beside the code that uses
it. Which dataclass stands behind which key is told here by name, so that
knowing a parameter does not mean depending on its code.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from saliency_audit import naming
from saliency_audit.errors import ParameterError
from tasks.places import PARAMS

T = TypeVar("T")

#: The sections, and the dataclass behind those that have one of their own; dots lead into a key.
SECTIONS: Mapping[str, str | None] = {
    "datasets": None,
    "audits": None,
    "methods": None,
    "method": None,
    "split": "saliency_audit.datasets.splitting:SplitParameters",
    "segmenter": "saliency_audit.models.segmenter:SegmenterParameters",
    "predict": "tasks.audits:PredictParameters",
    "measures": "tasks.audits:MeasureParameters",
    "agreement": "tasks.audits:AgreementParameters",
    "quality.inputs": "tasks.gates.parameters:InputBounds",
    "quality.models": "tasks.gates.parameters:ModelBounds",
    "quality.maps": "tasks.gates.parameters:MapBounds",
    "quality.results": "tasks.gates.parameters:ResultBounds",
    "quality.drift": "saliency_audit.quality.drift:DriftParameters",
    "report": "tasks.audits:ReportParameters",
    "compute": "saliency_audit.compute:Compute",
}
#: The top-level keys.
KEYS = tuple(dict.fromkeys(section.partition(".")[0] for section in SECTIONS))


class Parameters:
    """The parameters that one stage declares, and no others.

    ``declared``: dotted keys, as in the stage's ``params`` in dvc.yaml. Reading any other key is
    a bug, because DVC would not rerun the stage when it is turned.
    """

    def __init__(self, tree: Mapping[str, Any], declared: Iterable[str]) -> None:
        self._tree = tree
        self._declared = tuple(declared)

    def value(self, key: str) -> Any:
        """Give the plain value at a dotted key; raises ParameterError where there is none."""
        if not any(key == d or key.startswith(d + ".") for d in self._declared):
            raise LookupError(f"this stage does not declare the parameter {key}")
        return look_up(self._tree, key)

    def read(self, key: str, kind: type[T]) -> T:
        """Give the value at a dotted key as the dataclass that declares it."""
        return build(kind, self.value(key), key)


def load(declared: Iterable[str], path: Path = PARAMS) -> Parameters:
    """Read params.yaml for a stage; raises ParameterError naming a wrong top-level key."""
    return Parameters(read_tree(path), declared)


def read_tree(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml as plain values, its top-level keys checked."""
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(f"{path} is missing: run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ParameterError(f"{path} holds no parameters: restore it from git")
    refuse_unknown(tree, KEYS, "")
    for section in SECTIONS:
        _refuse_missing(tree, section, path)
    parents = {section.partition(".")[0] for section in SECTIONS if "." in section}
    for parent in sorted(parents):
        own = [s.partition(".")[2] for s in SECTIONS if s.startswith(f"{parent}.")]
        refuse_unknown(tree[parent], own, parent)
    return cast("dict[str, Any]", tree)


def _refuse_missing(tree: Mapping[str, Any], key: str, path: Path) -> None:
    value: Any = tree
    walked = []
    for part in key.split("."):
        walked.append(part)
        if not isinstance(value, Mapping) or part not in value:
            raise ParameterError(f"{path} lacks the key {'.'.join(walked)}: restore it from git")
        value = value[part]


def look_up(tree: Mapping[str, Any], key: str) -> Any:
    """Give the value at a dotted key; raises ParameterError naming the nearest right one."""
    value: Any = tree
    walked: list[str] = []
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            known = value if isinstance(value, Mapping) else {}
            refuse_unknown({part: None}, known, ".".join(walked))
        value = value[part]
        walked.append(part)
    return value


def refuse_unknown(given: Mapping[Any, Any], known: Iterable[str], where: str) -> None:
    """Raise ParameterError for the first key that is not known, naming the nearest that is.

    >>> refuse_unknown({"sampels": 1}, ["samples"], "shap")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: params.yaml: unknown key shap.sampels: did you
    mean samples?
    """
    naming.refuse_unknown(given, known, _unknown(where))


def _unknown(where: str) -> str:
    return f"params.yaml: unknown key {where}." if where else "params.yaml: unknown key "


def build(kind: type[T], raw: Any, key: str) -> T:
    """Build a parameter dataclass from plain values; raises ParameterError naming the key."""
    from pydantic import TypeAdapter, ValidationError

    if is_dataclass(kind):
        if not isinstance(raw, Mapping):
            raise ParameterError(f"params.yaml: {key} holds {raw!r}: give a mapping of its keys")
        naming.refuse_unknown_fields(kind, raw, _unknown(key))
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([key, *(str(part) for part in first["loc"])])
        reason = first["msg"].removeprefix("Value error, ")
        raise ParameterError(
            f"params.yaml: {place}: {reason} (given: {first['input']!r})"
        ) from None


def named(path: str) -> Any:
    """Import what ``module:name`` says."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def build_source(dataset: str, raw: Any) -> Any:
    """Build the source of a dataset from its parameters, by their ``kind``."""
    from saliency_audit.datasets.registry import source_class, source_kinds

    key = f"datasets.{dataset}"
    if not isinstance(raw, Mapping) or "kind" not in raw:
        kinds = ", ".join(source_kinds())
        raise ParameterError(f"params.yaml: {key} has no kind: give one of {kinds}")
    try:
        source = source_class(str(raw["kind"]))
    except ParameterError as error:
        raise ParameterError(f"params.yaml: {key}.kind: {error}") from None
    return build(source, raw, key)
