"""Rules judged by Great Expectations, in this process and on nothing but the facts given.

It is imported here alone, and only when something is judged: that takes seconds.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from saliency_audit.problem import Severity
from tasks.gates.rule import Facts, Finding, Rule

#: How Great Expectations calls our severities.
SEVERITIES = {Severity.STOP: "critical", Severity.WARN: "warning", Severity.NOTE: "info"}
#: What a validation says of when and where it ran: no part of a result that is compared.
CIRCUMSTANCES = ("meta", "id")


def judge(
    facts: Sequence[Facts], rules: Sequence[Rule]
) -> tuple[list[Finding], dict[str, dict[str, Any]]]:
    """Judge rules about facts.

    Gives the findings in the order of the rules, and by name of facts the validation result of
    Great Expectations as plain values, without dates. Raises RuntimeError where an expectation
    could not be evaluated: a bug in a rule or its facts, never a verdict.
    """
    found: dict[str, Finding] = {}
    validations = {}
    with _uncollected():
        context = _context()
        for own in facts:
            asked = [rule for rule in rules if rule.facts == own.name]
            if asked:
                validations[own.name], findings = _validate(context, own, asked)
                found.update(findings)
    return [found[rule.name] for rule in rules], validations


def _context() -> Any:
    # Before the import: it tells its makers of each use otherwise.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # It tells of its own making; a stage's log is for what the stage finds.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.data_context.types import base
    from great_expectations.data_context.types.base import ProgressBarsConfig

    base.logger.setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage: there is next to none, and looking takes a quarter of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _validate(
    context: Any, facts: Facts, rules: Sequence[Rule]
) -> tuple[dict[str, Any], dict[str, Finding]]:
    import great_expectations as gx

    source = context.data_sources.add_pandas(facts.name)
    definition = source.add_dataframe_asset(facts.name).add_batch_definition_whole_dataframe("all")
    batch = definition.get_batch({"dataframe": _frame(facts)})
    suite = gx.ExpectationSuite(name=facts.name, expectations=[_expectation(r) for r in rules])
    result = batch.validate(
        suite,
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": list(facts.key),
            "return_unexpected_index_query": False,
        },
    )
    plain = result.to_json_dict()
    findings = {}
    names = {rule.name: rule for rule in rules}
    for one in plain["results"]:
        name = one["expectation_config"]["meta"]["rule"]
        findings[name] = _finding(names[name], facts, one)
    return _without_circumstances(plain), findings


def _frame(facts: Facts) -> Any:
    """Give facts as pandas has them; text as plain objects, which Great Expectations knows."""
    import pandas as pd

    frame = pd.DataFrame({name: pd.Series(v, dtype=_kind(v)) for name, v in facts.columns.items()})
    # An empty column has no values to tell its type by.
    return frame.astype(object) if frame.empty else frame


def _kind(values: Sequence[Any]) -> str | None:
    if hasattr(values, "dtype"):
        return None
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str | bool):
        return "object"
    return "float64"


def _expectation(rule: Rule) -> Any:
    import great_expectations.expectations as builtin

    from tasks.gates import expectations as own

    kind = getattr(own, rule.expectation, None) or getattr(builtin, rule.expectation)
    arguments = dict(rule.arguments)
    if "column_A" in arguments:
        arguments["ignore_row_if"] = "either_value_is_missing"
    if rule.allowed:
        arguments["mostly"] = 1 - rule.allowed
    return kind(
        **arguments,
        description=rule.meaning,
        severity=SEVERITIES[rule.severity],
        meta={"rule": rule.name},
    )


def _finding(rule: Rule, facts: Facts, one: Mapping[str, Any]) -> Finding:
    raised = one["exception_info"]
    if raised.get("raised_exception", True):
        raise RuntimeError(f"rule {rule.name} could not be judged: {raised}")
    result = one["result"]
    missing = result.get("missing_count") or 0
    offenders = [_plain(row, facts.key) for row in result.get("unexpected_index_list") or ()]
    return Finding(
        rule,
        rows=int(result["element_count"]) - int(missing),
        broken=int(result["unexpected_count"]),
        met=bool(one["success"]),
        offenders=offenders,
    )


def _plain(row: Mapping[str, Any], key: Sequence[str]) -> dict[str, Any]:
    """Give an offender as plain values, its key first."""
    order = [*(name for name in key if name in row), *(name for name in row if name not in key)]
    return {n: row[n].item() if isinstance(row[n], np.generic) else row[n] for n in order}


def _without_circumstances(validation: Mapping[str, Any]) -> dict[str, Any]:
    """Take out when a validation was made, and the full lists, which stand in a table of ours."""
    kept = {name: value for name, value in validation.items() if name not in CIRCUMSTANCES}
    for one in kept["results"]:
        for name in ("unexpected_index_list", "unexpected_list", "unexpected_rows"):
            one["result"].pop(name, None)
        one["expectation_config"]["kwargs"].pop("batch_id", None)
        one["expectation_config"].pop("id", None)
    return kept
