"""A dataset's report in words for git: the answers and Tables 3 and 4 as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.report.headline import Answer
from tasks.report.inputs import AuditSummary, Inputs
from tasks.report.printed import markdown_text
from tasks.report.section import Section

#: Tables that the summary repeats.
TABLES = (
    "classification",
    "segmentation",
    "table_3",
    "table_3_controls",
    "table_4",
    "methods",
    "quality",
)


def summary(
    inputs: Inputs,
    heads: Sequence[tuple[AuditSummary, str, Sequence[Answer]]],
    sections: Sequence[Section],
) -> str:
    """Give the Markdown; ``heads``: per audit what was audited and the answers."""
    lines = [f"# Saliency audit of {markdown_text(inputs.dataset)}", ""]
    for audit, subject, answers in heads:
        lines += [f"## {markdown_text(audit.model)}", "", markdown_text(subject), ""]
        for answer in answers:
            lines.append(
                f"- **{markdown_text(answer.question)}** {markdown_text(answer.answer)} "
                f"{markdown_text(answer.basis)}".rstrip()
            )
        lines.append("")
    for table in (t for section in sections for t in section.tables() if t.name in TABLES):
        lines += [f"## {markdown_text(table.caption)}", "", table.markdown(), ""]
    return "\n".join(lines)
