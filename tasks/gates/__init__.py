"""What the quality gates have in common: rules, their judgement by Great Expectations, its record.

A gate is a stage. What it looks at and which rules it has stands in its own
package (``tasks/check_inputs`` and its like); bounds stand in params.yaml.
"""
