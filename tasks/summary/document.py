"""summary.json: the whole of an audit's summary, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from saliency_audit.attribution.resolution import Resolution
from saliency_audit.errors import DataError
from saliency_audit.measures.localisation_figures import LOCALISATION_FIGURES
from tasks.artifacts import Document, write_json
from tasks.summary.agreement import Agreement
from tasks.summary.certainty import Certainty, ConfidenceBin
from tasks.summary.classification import Classification
from tasks.summary.localisation import Available, Localisation
from tasks.summary.maps import Cohort, OfMethod

AGAIN = "delete it and run `saliency-audit run`"


@dataclass(frozen=True)
class NotExplained:
    """A method without maps: ``status`` ``not_applicable`` or ``not_asked``, and the reason."""

    status: str
    reason: str


@dataclass(frozen=True)
class Parameters:
    """What a reader of the numbers must know of how they were made.

    ``methods``: those that explain the audit; ``not_explained``: the others;
    ``cells``: what maps are made of, by the method, in words, where not of pixels;
    ``resolution``: how fine they are, by the method;
    ``agreement_methods``: those of the first that vote in the chosen set, and
    ``agreement_preset`` its name, if it has one.
    """

    methods: list[str]
    not_explained: dict[str, NotExplained]
    cells: dict[str, str]
    resolution: dict[str, Resolution]
    agreement_preset: str | None
    agreement_methods: list[str]
    grid: int
    kept_fraction: float
    replicates: int
    seed: int


@dataclass(frozen=True)
class Epoch:
    """One epoch of a training; ``best``: whether its weights were kept."""

    epoch: int
    train_loss: float
    tune_loss: float
    best: bool


@dataclass(frozen=True)
class Outline:
    """What a summary of any version says of itself.

    ``headline_masks``: the reading of the masks that the headline tables print.
    """

    parameters: Parameters
    headline_masks: str


@dataclass(frozen=True)
class Summary:
    """Every number of the report on an audit.

    ``description`` and ``model``: audit.json of ``predict`` and model.json of the training;
    ``localisation`` and ``certainty``: by reading of the masks, and method; ``confidence``: by
    probability and bin; ``maps``: by method; ``available``: by method and figure, empty where no
    row is out because of a map.
    """

    audit: str
    parameters: Parameters
    description: dict[str, Any]
    headline_masks: str
    model: dict[str, Any]
    history: list[Epoch]
    classification: Classification
    cohort: Cohort
    maps: dict[str, OfMethod]
    localisation: dict[str, dict[str, Localisation]]
    certainty: dict[str, dict[str, Certainty]]
    available: dict[str, dict[str, Available]]
    confidence: dict[str, dict[str, ConfidenceBin]]
    agreement: Agreement


Record = TypeVar("Record")


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary as JSON."""
    write_json(path, asdict(summary))


def read_summary(path: Path) -> Summary:
    """Read a summary; raises DataError naming the file and the key that is lacking or wrong."""
    found = _read(path, Summary)
    for key in _lacking(found):
        raise DataError(f"{path} lacks {key!r}: {AGAIN}")
    return replace(
        found,
        description=Document(found.description, path),
        model=Document(found.model, path),
    )


def read_outline(path: Path) -> Outline:
    """Read what a summary says of itself, whatever else it holds; raises DataError."""
    return _read(path, Outline)


def _read(path: Path, kind: type[Record]) -> Record:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: run `saliency-audit run` to make it") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise DataError(f"{path} {_said(first['type'], first['loc'], first['msg'])}") from None


def _said(kind: str, location: tuple[int | str, ...], message: str) -> str:
    """Put a fault that pydantic finds in words."""
    if kind == "json_invalid":
        return f"is no JSON ({message}): {AGAIN}"
    key = ".".join(map(str, location))
    fault = f"lacks {key!r}" if kind == "missing" else f"holds {key!r} that cannot be: {message}"
    return f"{fault}: {AGAIN}"


def _lacking(summary: Summary) -> Iterator[str]:
    """Give the figures that are declared and not there."""
    for masks, methods in summary.localisation.items():
        for method, found in methods.items():
            for saliency, readings in found.means.items():
                for reading, own in readings.items():
                    for figure in LOCALISATION_FIGURES:
                        if figure.key not in own:
                            place = ("localisation", masks, method, "means", saliency, reading)
                            yield ".".join((*place, figure.key))
