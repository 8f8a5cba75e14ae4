"""Stage ``report``: the page, the tables and the metrics of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks import places
from tasks.artifacts import partial, write_json
from tasks.params import Parameters
from tasks.report.agreement_section import agreement_section
from tasks.report.certainty_section import certainty_section
from tasks.report.classification_section import classification_section
from tasks.report.data_section import data_section
from tasks.report.gallery_section import colour_bar, gallery_section
from tasks.report.headline import Answer, answers, subject
from tasks.report.inputs import AuditSummary, Inputs, read_inputs
from tasks.report.localisation_section import localisation_section
from tasks.report.making import Making
from tasks.report.maps_section import maps_section, provenance_section
from tasks.report.metrics import metrics
from tasks.report.page import render
from tasks.report.plots import plots
from tasks.report.quality_section import quality_section
from tasks.report.summary import summary
from tasks.stage import Context, Stage

SECTIONS = (
    data_section,
    classification_section,
    localisation_section,
    certainty_section,
    agreement_section,
    gallery_section,
    maps_section,
    quality_section,
    provenance_section,
)

Head = tuple[AuditSummary, str, Sequence[Answer]]


def run(context: Context, dataset: str) -> None:
    """Write a dataset's page, tables, metrics and plots, and what the index needs of it."""
    making = Making.read(context.params)
    inputs = read_inputs(dataset, audits_of(dataset, context.params), making)
    heads: list[Head] = [(a, subject(a), answers(inputs, a)) for a in inputs.audits]
    sections = []
    for done, make in enumerate(SECTIONS):
        sections.append(make(inputs))
        context.progress(done + 1, len(SECTIONS))
    folder = places.REPORTS / dataset
    page = render(
        "report.html.j2",
        dataset=dataset,
        heads=heads,
        sections=sections,
        colour_bar=colour_bar(),
    )
    write_text(folder / "index.html", page)
    write_text(folder / "summary.md", summary(inputs, heads, sections))
    tables = [table for section in sections for table in section.tables()]
    write_folder(folder / "tables", {f"{table.name}.csv": table.csv() for table in tables})
    write_folder(folder / "plots", plots(inputs))
    write_json(folder / "metrics.json", metrics(inputs))
    write_json(places.report(dataset), for_index(inputs, heads))


def audits_of(dataset: str, params: Parameters) -> dict[str, str]:
    """Give the classifiers of a dataset's audits, by audit, in the order of params.yaml."""
    return {
        audit: params.value(f"audits.{audit}.classifier")
        for audit, known in params.value("audits").items()
        if known["dataset"] == dataset
    }


def for_index(inputs: Inputs, heads: Sequence[Head]) -> dict[str, Any]:
    """Give what the page over all datasets says of this one."""
    return {
        "dataset": inputs.dataset,
        "images": inputs.counts.total,
        "groups": inputs.counts.groups,
        "labels": inputs.labels,
        "audits": [
            {
                "audit": audit.audit,
                "model": audit.model,
                "subject": about,
                "answers": [
                    {"question": a.question, "answer": a.answer, "open": a.open, "few": a.few}
                    for a in found
                ],
            }
            for audit, about, found in heads
        ],
    }


def write_text(path: Path, content: str) -> None:
    """Write a text file, whole or not at all."""
    with partial(path) as beside:
        beside.write_text(content, encoding="utf-8")


def write_folder(folder: Path, files: dict[str, str]) -> None:
    """Write text files into a folder, and take away what an earlier report left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_text(folder / name, content)
    for left in folder.iterdir():
        if left.name not in files:
            left.unlink()


STAGE = Stage(
    "report",
    ("dataset",),
    ("audits", "measures", "preset", "split", "methods", "method"),
    run,
    takes=("saliency_audit.attribution",),
    files=("tasks/report/templates",),
)

if __name__ == "__main__":
    STAGE.main()
