"""Stage ``check_results``: figures held to each other, and to the masks and maps they are of."""

from __future__ import annotations

from collections.abc import Sequence

from saliency_audit.labelling import MaskKind
from tasks import places
from tasks.artifacts import read_json
from tasks.audits import AgreementParameters
from tasks.check_results.rules import rules
from tasks.check_results.score_facts import Measured, Sizes, score_facts, stray_facts
from tasks.check_results.vote_facts import Cells, agreement_facts, cell_facts, own_means
from tasks.gates.outcome import Gate, pass_gate
from tasks.gates.parameters import ResultBounds
from tasks.pairs import explaining
from tasks.stage import Checks, Context, Stage


def run(context: Context, audit: str) -> None:
    """Judge the figures of an audit; raises QualityError where none may be summarised."""
    bounds = context.params.read("quality.results", ResultBounds)
    agreement = context.params.read("agreement", AgreementParameters)
    kept = float(context.params.value("measures.kept_fraction"))
    dataset = context.params.value(f"audits.{audit}.dataset")
    methods = explaining(audit, context.params.value("methods"))
    description = read_json(places.predict(audit) / "audit.json")
    sizes, kind = Sizes.of(description["size"], kept), MaskKind(description["mask_kind"])
    grid, tolerance = agreement.grid, bounds.tolerance
    measured = Measured(audit, kind, methods, sizes, grid, tolerance)
    cells = Cells.read(audit, grid)
    means = own_means(audit, description["size"], methods, cells)
    sets: dict[str, Sequence[str]] = {
        "all": methods,
        "paper": [name for name in agreement.methods if name in methods],
    }
    facts = [
        score_facts(measured),
        stray_facts(audit, methods),
        cell_facts(cells, means, tolerance),
        agreement_facts(audit, cells, sets, grid),
    ]
    pass_gate(Gate("check_results", dataset, audit), facts, rules(bounds, grid))


STAGE = Stage(
    "check_results",
    ("audit",),
    ("quality.results", "audits.{audit}.dataset", "methods", "measures.kept_fraction", "agreement"),
    run,
    checks=Checks(
        about="figures",
        before="reported",
        rules="tasks.check_results.rules:rules",
    ),
)

if __name__ == "__main__":
    STAGE.main()
