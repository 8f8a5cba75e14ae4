"""What this field needs and Great Expectations lacks. Importing it takes seconds: only in gates."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnPairMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_pair_condition_partial import (  # noqa: E501
    column_pair_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_pair_map_metric_provider import (  # noqa: E501
    ColumnPairMapMetricProvider,
)

Missing = Literal["both_values_are_missing", "either_value_is_missing", "neither"]
DOMAIN = (
    "batch_id",
    "table",
    "column_A",
    "column_B",
    "row_condition",
    "condition_parser",
    "ignore_row_if",
)


class ColumnPairDetermined(ColumnPairMapMetricProvider):
    """Whether all rows of a value of A have one value of B."""

    condition_metric_name = "column_pair_values.determined"
    condition_domain_keys = DOMAIN
    condition_value_keys = ()

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_A: Any, column_B: Any, **_: Any) -> Any:  # noqa: N805
        return column_B.groupby(column_A).transform("nunique") == 1


class ColumnPairClose(ColumnPairMapMetricProvider):
    """Whether two numbers differ by a tolerance at most."""

    condition_metric_name = "column_pair_values.close"
    condition_domain_keys = DOMAIN
    condition_value_keys = ("tolerance",)

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_A: Any, column_B: Any, tolerance: float, **_: Any) -> Any:  # noqa: N805
        return np.abs(column_A.astype(float) - column_B.astype(float)) <= tolerance


class ExpectColumnToDetermineColumn(ColumnPairMapExpectation):
    """Expect that all rows with one value in A have one value in B: no group in two splits."""

    ignore_row_if: Missing = "either_value_is_missing"
    map_metric: ClassVar[str | None] = "column_pair_values.determined"
    success_keys: ClassVar[tuple[str, ...]] = ("ignore_row_if", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B")


class ExpectColumnPairValuesToBeClose(ColumnPairMapExpectation):
    """Expect that two numbers differ by ``tolerance`` at most: a value and its closed form."""

    tolerance: float = 0.0
    ignore_row_if: Missing = "either_value_is_missing"
    map_metric: ClassVar[str | None] = "column_pair_values.close"
    success_keys: ClassVar[tuple[str, ...]] = ("tolerance", "ignore_row_if", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "tolerance")
