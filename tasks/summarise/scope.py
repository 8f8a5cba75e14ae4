"""What a summary is of: the audit, its methods and the parameters that its numbers depend on."""

from __future__ import annotations

from dataclasses import dataclass

from saliency_audit.statistics.resampling import Bootstrap
from tasks.audits import AgreementParameters, Audit, MeasureParameters, ReportParameters
from tasks.params import Parameters
from tasks.summary.document import Parameters as SummaryParameters


@dataclass(frozen=True)
class Scope:
    """An audit with the parameters of its summary; ``dataset`` is the audit's."""

    audit: str
    dataset: str
    methods: tuple[str, ...]
    measures: MeasureParameters
    agreement: AgreementParameters
    report: ReportParameters

    @classmethod
    def read(cls, audit: str, params: Parameters) -> Scope:
        """Read what the stage declares; raises ParameterError."""
        return cls(
            audit,
            params.read(f"audits.{audit}", Audit).dataset,
            tuple(params.value("methods")),
            params.read("measures", MeasureParameters),
            params.read("agreement", AgreementParameters),
            params.read("report", ReportParameters),
        )

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
            agreement_methods=list(self.voters),
            grid=self.agreement.grid,
            kept_fraction=self.measures.kept_fraction,
            replicates=self.report.replicates,
            seed=self.report.seed,
        )
