"""What a report is made of: the dataset's counts and the summaries of its audits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import read_json
from tasks.report.dataset import DatasetCounts, count_dataset
from tasks.report.making import Making
from tasks.report.papers import Paper, paper_of
from tasks.stages import gates
from tasks.summary.certainty import Certainty
from tasks.summary.document import Summary, read_summary
from tasks.summary.localisation import Localisation

#: How methods are written where the paper has a spelling.
SPELLINGS = {
    "gradcam": "Grad-CAM",
    "gradcam_plus_plus": "Grad-CAM++",
    "hirescam": "HiRes-CAM",
    "layercam": "Layer-CAM",
    "xgradcam": "XGrad-CAM",
    "scorecam": "Score-CAM",
    "attention_rollout": "attention rollout",
    "attention_relevance": "attention relevance",
    "integrated_gradients": "Integrated Gradients",
    "smoothgrad": "SmoothGrad",
    "shap": "SHAP",
    "lime": "LIME",
    "rise": "RISE",
}


def spell(method: str) -> str:
    """Write a method's name.

    >>> spell("gradcam_plus_plus"), spell("captum_occlusion")
    ('Grad-CAM++', 'captum_occlusion')
    """
    return SPELLINGS.get(method, method)


@dataclass(frozen=True)
class AuditSummary:
    """One audit's summary; ``model`` is its classifier's name, or the audit's where that is shared.

    ``numbers`` is what the stage ``summarise`` wrote.
    """

    audit: str
    model: str
    numbers: Summary

    @property
    def methods(self) -> list[str]:
        """The methods that explain the audit, in the order of params.yaml."""
        return self.numbers.parameters.methods

    @property
    def not_applicable(self) -> dict[str, str]:
        """The methods that are asked for and cannot explain the network, with the reason."""
        known = self.numbers.parameters.not_explained
        return {m: own.reason for m, own in known.items() if own.status == "not_applicable"}

    @property
    def headline_masks(self) -> str:
        """The reading of the masks that the headline tables print."""
        return self.numbers.headline_masks

    def localisation(self, method: str, masks: str = "") -> Localisation | None:
        """Table 3's figures of a method; None where there is not that reading of the masks."""
        return self.numbers.localisation.get(masks or self.headline_masks, {}).get(method)

    def certainty(self, method: str, masks: str = "") -> Certainty | None:
        """Table 4's figures of a method; None where there is not that reading of the masks."""
        return self.numbers.certainty.get(masks or self.headline_masks, {}).get(method)

    def counts(self) -> tuple[int, int, int]:
        """Give the counted test rows: right ones, wrong ones, and patients or lesions."""
        found = self.certainty(self.methods[0]) if self.methods else None
        if found is None:
            return 0, 0, 0
        return found.correct, found.incorrect, found.groups


#: What stands beside the name of a method that cannot explain a network.
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Inputs:
    """A dataset with its audits.

    ``segmenter``: its model card; ``gates``: what each quality gate found, in their order, and what
    it is ``about``; ``making``: parameters of all of it.
    """

    dataset: str
    counts: DatasetCounts
    segmenter: dict[str, Any]
    audits: list[AuditSummary]
    gates: list[dict[str, Any]]
    making: Making

    @property
    def kept(self) -> float:
        """The kept fraction."""
        return self.making.measures.kept_fraction

    def not_applicable_rows(self) -> list[dict[str, Any]]:
        """Give the leading cells of rows that have no figure, as no method explains the network."""
        return [
            {"model": audit.model, "xai": f"{spell(method)} ({NOT_APPLICABLE})"}
            for audit in self.audits
            for method in audit.not_applicable
        ]

    def not_applicable_notes(self) -> list[str]:
        """Say why methods cannot explain a network: a note beneath a table of their rows."""
        return [
            f"Not applicable: {spell(method)} to {audit.model}: {reason}."
            for audit in self.audits
            for method, reason in audit.not_applicable.items()
        ]

    @property
    def labels(self) -> list[str]:
        """The dataset's labels, in order."""
        return self.counts.labels

    @property
    def paper(self) -> Paper | None:
        """What the paper printed of this dataset, where its figures can stand beside these.

        That is under ``preset: paper`` alone: with maps made otherwise they are no reference.
        """
        return paper_of(self.labels) if self.making.paper else None


def read_inputs(dataset: str, audits: dict[str, str], making: Making) -> Inputs:
    """Read a dataset's counts and the summaries of its audits (classifier by name).

    Raises DataError where the summary of an audit is missing, naming it.
    """
    missing = [a for a in audits if not (places.summarise(dataset, a) / "summary.json").is_file()]
    if missing:
        raise DataError(
            f"{places.summarise(dataset, missing[0]).parent} lacks the summary of "
            f"{', '.join(missing)}: run `saliency-audit run`"
        )
    shared = {c for c in audits.values() if list(audits.values()).count(c) > 1}
    summaries = [
        AuditSummary(
            audit,
            audit if classifier in shared else classifier,
            read_summary(places.summarise(dataset, audit) / "summary.json"),
        )
        for audit, classifier in audits.items()
    ]
    segmenter = read_json(places.train_segmenter(dataset) / "model.json")
    return Inputs(
        dataset,
        count_dataset(dataset),
        segmenter,
        summaries,
        list(_gates(dataset, audits)),
        making,
    )


def _gates(dataset: str, audits: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read what each quality gate found, of the dataset and then of each audit."""
    for audit in (None, *audits):
        for gate, checks in gates():
            if ("audit" in gate.arguments) == (audit is not None):
                found = read_json(places.quality(dataset, gate.name, audit))
                yield {**found, "about": checks.about}
