"""The rows that break a rule of a quality gate, whether or not so many may."""

import pyarrow as pa

from tasks.tables.table import Column, Table

OFFENDERS = Table(
    name="offenders",
    meaning="One row per row of facts that breaks a rule of a quality gate.",
    key=("rule", "number"),
    columns=(
        Column("rule", pa.string(), "the rule, as in the gate's JSON file"),
        Column("number", pa.int32(), "running number among those that break the rule", low=0),
        Column("severity", pa.string(), "`stop` or `warn`"),
        Column("image_id", pa.string(), "the image, where the rule is about images", null=True),
        Column("label", pa.string(), "the label, where the rule is about labels", null=True),
        Column("method", pa.string(), "the method, where the rule is about methods", null=True),
        Column("what", pa.string(), "what is there: the row's key and values, as JSON"),
    ),
)
