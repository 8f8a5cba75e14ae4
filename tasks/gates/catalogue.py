"""Every rule of the quality gates, as a page: ``python -m tasks.gates.catalogue``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from saliency_audit.datasets.splitting import SplitParameters
from tasks.audits import AgreementParameters, PredictParameters
from tasks.check_inputs.rules import rules as rules_of_inputs
from tasks.check_maps.rules import rules as rules_of_maps
from tasks.check_models.rules import rules as rules_of_models
from tasks.check_results.rules import rules as rules_of_results
from tasks.gates.parameters import InputBounds, MapBounds, ModelBounds, ResultBounds
from tasks.gates.rule import Rule

HEAD = """# Rules of the quality gates

Every rule, in the order of the gates. This page is written from the rules by
`python -m tasks.gates.catalogue`, and a test holds it to them. [Data
quality](quality.md) explains what a gate is, and what to do when one stops.
Bounds are those of `params.yaml`, under the key beside them; a rule without
one holds of every row. A rule that is about something the dataset has not (one
label per image, masks, thresholds) is not asked.
"""
#: A dataset for each set of rules: one label and mask per image, or several.
SINGLE: Mapping[str, Any] = {
    "size": [64, 64],
    "labels": ["a", "b"],
    "labelling": "multiclass",
    "mask_kind": "single",
    "thresholds": None,
}
SEVERAL: Mapping[str, Any] = {**SINGLE, "labelling": "multilabel", "mask_kind": "per_label"}
TITLES = {
    "check_inputs": "before anything is trained",
    "check_models": "before anything is explained",
    "check_maps": "before anything is measured",
    "check_results": "before anything is reported",
}


def all_rules() -> Iterator[tuple[str, list[Rule]]]:
    """Give the rules of each gate, with default bounds, for either kind of dataset."""
    yield "check_inputs", _united(*map(_inputs, (SINGLE, SEVERAL)))
    yield "check_models", _united(*map(_models, (SINGLE, SEVERAL)))
    yield "check_maps", rules_of_maps(MapBounds())
    yield "check_results", rules_of_results(ResultBounds(), AgreementParameters().grid)


def _inputs(description: Mapping[str, Any]) -> list[Rule]:
    return rules_of_inputs(InputBounds(), SplitParameters(), description)


def _models(description: Mapping[str, Any]) -> list[Rule]:
    return rules_of_models(ModelBounds(), PredictParameters(), description)


def _united(*lists: list[Rule]) -> list[Rule]:
    found: dict[str, Rule] = {}
    for rules in lists:
        for rule in rules:
            found.setdefault(rule.name, rule)
    return list(found.values())


def write() -> str:
    """Give the page as Markdown."""
    return "\n".join([HEAD, *(_section(gate, rules) for gate, rules in all_rules())])


def _section(gate: str, rules: list[Rule]) -> str:
    rows = "\n".join(_row(rule) for rule in rules)
    return f"""## {gate}

{len(rules)} rules, {TITLES[gate]}.

| rule | what should hold | of | if not | bound |
| --- | --- | --- | --- | --- |
{rows}
"""


def _row(rule: Rule) -> str:
    about = ", ".join(f"`{name}`" for name in rule.columns)
    bound = f"`{rule.parameter}`" if rule.parameter else ""
    ends = {"stop": "stops", "warn": "warns"}[rule.severity.value]
    cells = (f"`{rule.name}`", rule.meaning, f"{rule.facts}: {about}", ends, bound)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    Path("docs/rules.md").write_text(write(), encoding="utf-8")
