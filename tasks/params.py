"""params.yaml, read and checked: every key is known, every value is what its declaration says.

A parameter is declared once, as a field of a frozen dataclass beside the code that uses it. Which
dataclass stands behind which key is told here by name, so that knowing a parameter does not mean
depending on its code. A stage is refused what is wrong in the keys that it declares, and
`saliency-audit check` what is wrong in any: by the same functions.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from saliency_audit import naming, parameters
from saliency_audit.errors import ParameterError
from saliency_audit.plain_yaml import read_yaml
from tasks.places import PARAMS
from tasks.presets import applied

T = TypeVar("T")

#: What errors say first.
SOURCE = "params.yaml: "

#: The sections and what is declared of each; dots lead into a key. Of ``NAMED`` sections it is what
#: stands under each name, chosen by what is written there.
SECTIONS: Mapping[str, str] = {
    "preset": "tasks.presets:Preset",
    "datasets": "tasks.params:build_source",
    "audits": "tasks.params:build_audit",
    "methods": "tasks.audits:Methods",
    "method": "tasks.params:build_method",
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
#: Sections that map names, and what a name is of.
NAMED: Mapping[str, str] = {"datasets": "dataset", "audits": "audit", "method": "method"}
#: What such a name may be: it becomes a part of keys, of commands and of folders.
NAME = re.compile(r"[\w-]+")
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
        declared = SECTIONS.get(key)
        if declared is not None and named(declared) is not kind:
            raise LookupError(f"{key} is declared by {declared}, and not by {kind.__qualname__}")
        return build(kind, self.value(key), key)


def load(declared: Iterable[str], path: Path = PARAMS) -> Parameters:
    """Read params.yaml for a stage, and check what the stage declares; raises ParameterError."""
    tree, keys = read_tree(path), tuple(declared)
    check_declared(tree, keys)
    return Parameters(tree, keys)


def check_declared(tree: Mapping[str, Any], declared: Iterable[str]) -> None:
    """Raise ParameterError for the first of the dotted keys whose value is not as declared.

    Where keys refer to each other, that is checked where all of them are declared.
    """
    keys = tuple(declared)
    for key in keys:
        check_key(tree, key)
    for needed, check in RELATIONS:
        if all(any(key in (need, need.partition(".")[0]) for key in keys) for need in needed):
            check(tree)


def check_key(tree: Mapping[str, Any], key: str) -> None:
    """Raise ParameterError unless the value at a dotted key is as declared, with all below it."""
    section = next((s for s in SECTIONS if key == s or key.startswith(f"{s}.")), None)
    if section is None:
        for below in (s for s in SECTIONS if s.startswith(f"{key}.")):
            check_key(tree, below)
        return
    value, kind = look_up(tree, key), named(SECTIONS[section])
    inner = key.removeprefix(section).removeprefix(".")
    if section in NAMED:
        _check_names(tree, section, inner)
    elif inner:
        _checked_parameter(kind, inner, value, key)
    else:
        build(kind, value, key)


def _check_names(tree: Mapping[str, Any], section: str, inner: str) -> None:
    known = look_up(tree, section)
    if not isinstance(known, Mapping) or not known:
        raise ParameterError(
            f"{SOURCE}{section} is {parameters.shown(known)}: give a mapping, with a name for each "
            f"{NAMED[section]}"
        )
    for name in [inner.partition(".")[0]] if inner else known:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ParameterError(
                f"{SOURCE}{section} has the name {parameters.shown(name)}: give one of letters, "
                "digits, _ and -"
            )
        named(SECTIONS[section])(name, known[name])


def _checked_parameter(kind: type[Any], name: str, value: Any, key: str) -> None:
    try:
        parameters.read_parameter(kind, name, value, key)
    except ParameterError as error:
        raise ParameterError(f"{SOURCE}{error}") from None


def _methods_have_parameters(tree: Mapping[str, Any]) -> None:
    for method in tree["methods"]:
        refuse_unknown({method: None}, tree["method"], "methods: method")


def _voters_are_methods(tree: Mapping[str, Any]) -> None:
    agreement = build(named(SECTIONS["agreement"]), tree["agreement"], "agreement")
    voters = () if agreement.preset else agreement.methods
    refuse_unknown(dict.fromkeys(voters), tree["methods"], "agreement.methods: methods")


def _methods_of_audits_are_known(tree: Mapping[str, Any]) -> None:
    for name, audit in tree["audits"].items():
        asked = audit.get("methods") or ()
        refuse_unknown(dict.fromkeys(asked), tree["methods"], f"audits.{name}.methods: methods")


def _audits_have_datasets(tree: Mapping[str, Any]) -> None:
    for name, audit in tree["audits"].items():
        refuse_unknown(
            {audit["dataset"]: None}, tree["datasets"], f"audits.{name}.dataset: datasets"
        )
    audited = {audit["dataset"] for audit in tree["audits"].values()}
    for dataset in tree["datasets"]:
        if dataset not in audited:
            raise ParameterError(
                f"{SOURCE}no audit uses the dataset {dataset}: add one under audits, or take the "
                "dataset out"
            )


#: Keys that refer to each other, and what then holds.
RELATIONS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], None]], ...] = (
    (("methods", "method"), _methods_have_parameters),
    (("methods", "agreement"), _voters_are_methods),
    (("audits", "datasets"), _audits_have_datasets),
    (("audits", "methods"), _methods_of_audits_are_known),
)


def read_tree(path: Path = PARAMS) -> dict[str, Any]:
    """Read params.yaml as plain values, its top-level keys checked and its preset applied."""
    try:
        tree = read_yaml(path)
    except FileNotFoundError:
        raise ParameterError(f"{path} is missing: run from the root of the repository") from None
    if not isinstance(tree, dict):
        raise ParameterError(f"{path} holds no parameters: restore it from git")
    refuse_unknown(tree, KEYS, "")
    for section in SECTIONS:
        _refuse_missing(tree, section, path)
    parents = {section.partition(".")[0] for section in SECTIONS if "." in section}
    for parent in sorted(parents):
        own = [s.partition(".")[2] for s in SECTIONS if s.startswith(f"{parent}.")]
        refuse_unknown(tree[parent], own, parent)
    return applied(tree)


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
    naming.refuse_unknown(given, known, f"{SOURCE}unknown key {where}{'.' if where else ''}")


def build(kind: type[T], raw: Any, key: str) -> T:
    """Build what stands at a dotted key from plain values; raises ParameterError naming the key."""
    return parameters.build(kind, raw, key, source=SOURCE)


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
        raise ParameterError(f"{SOURCE}{key} has no kind: give one of {kinds}")
    try:
        source = source_class(str(raw["kind"]))
    except ParameterError as error:
        raise ParameterError(f"{SOURCE}{key}.kind: {error}") from None
    return build(source, raw, key)


def build_audit(audit: str, raw: Any) -> Any:
    """Build an audit from what is written under its name."""
    return build(named("tasks.audits:Audit"), raw, f"audits.{audit}")


def build_method(method: str, raw: Any) -> Any:
    """Build a method from its parameters, by its name or their ``class``."""
    try:
        return named("saliency_audit.attribution.registry:method_from_parameters")(method, raw)
    except ParameterError as error:
        raise ParameterError(f"{SOURCE}method.{method}: {error}") from None
