"""What a summary is of: the audit, its methods and the parameters that its numbers depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from saliency_audit.statistics.resampling import Bootstrap
from tasks.audits import AgreementParameters, MeasureParameters, ReportParameters
from tasks.pairs import Outcome, PairStatus, read_outcomes
from tasks.params import Parameters
from tasks.summary.document import NotExplained
from tasks.summary.document import Parameters as SummaryParameters


@dataclass(frozen=True)
class Scope:
    """An audit with the parameters of its summary.

    ``dataset``: the audit's; ``outcomes``: what came of each method.
    """

    audit: str
    dataset: str
    outcomes: Mapping[str, Outcome]
    measures: MeasureParameters
    agreement: AgreementParameters
    report: ReportParameters

    @classmethod
    def read(cls, audit: str, params: Parameters) -> Scope:
        """Read what the stage declares; raises ParameterError."""
        return cls(
            audit,
            params.value(f"audits.{audit}.dataset"),
            read_outcomes(audit, params.value("methods")),
            params.read("measures", MeasureParameters),
            params.read("agreement", AgreementParameters),
            params.read("report", ReportParameters),
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that explain the audit, in the order of params.yaml."""
        explained = PairStatus.EXPLAINED
        return tuple(m for m, own in self.outcomes.items() if own.status is explained)

    @property
    def bootstrap(self) -> Bootstrap:
        """How intervals are computed."""
        return Bootstrap(replicates=self.report.replicates, seed=self.report.seed)

    @property
    def voters(self) -> tuple[str, ...]:
        """Methods of ``agreement.methods`` that the audit has, in that order."""
        return tuple(method for method in self.agreement.methods if method in self.methods)

    def parameters(self) -> SummaryParameters:
        """Give what a reader of the numbers must know."""
        return SummaryParameters(
            methods=list(self.methods),
            not_explained={
                method: NotExplained(own.status.value, own.reason)
                for method, own in self.outcomes.items()
                if own.status is not PairStatus.EXPLAINED
            },
            cells={m: own.grid.words for m, own in self.outcomes.items() if own.grid is not None},
            resolution={
                m: own.resolution for m, own in self.outcomes.items() if own.resolution is not None
            },
            agreement_preset=self.agreement.preset,
            agreement_methods=list(self.voters),
            grid=self.agreement.grid,
            kept_fraction=self.measures.kept_fraction,
            replicates=self.report.replicates,
            seed=self.report.seed,
        )
