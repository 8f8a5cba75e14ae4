"""Stage ``check_drift``: a dataset's profile, compared with the one that a person accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from saliency_audit.errors import DataError
from saliency_audit.quality.drift import Comparison, DriftParameters, Sample, Status, compare
from tasks import places
from tasks.artifacts import partial, read_json
from tasks.check_drift.dataset_profile import profile_dataset
from tasks.check_drift.page import Drift, drift_page
from tasks.params import Parameters
from tasks.profiles import (
    drift_file,
    profile_of,
    profile_to_json,
    reference_file,
    write_profile,
)
from tasks.stage import Context, Stage


@dataclass(frozen=True)
class Reference:
    """What a person accepted: ``profile``, and ``origin``: its revision, who and why."""

    profile: Mapping[str, Sample]
    origin: Mapping[str, str]


def run(context: Context, dataset: str) -> None:
    """Write a dataset's profile, what of it has drifted, and the page that shows it."""
    parameters = context.params.read("quality.drift", DriftParameters)
    profile = {
        **profile_dataset(dataset, context.progress),
        **_of_audits(dataset, _audits_of(dataset, context.params)),
    }
    reference = read_reference(dataset)
    before = reference.profile if reference else {}
    found = compare(before, profile, parameters) if reference else []
    origin = reference.origin if reference else None
    content = {
        "dataset": dataset,
        "status": status(reference, found),
        "reference": origin,
        "parameters": asdict(parameters),
        "comparison": [_written(own) for own in found],
        "profile": profile_to_json(profile),
    }
    write_profile(drift_file(dataset), content)
    page = drift_page(Drift(dataset, before, profile, found, origin, parameters))
    with partial(places.REPORTS / dataset / "drift.html") as beside:
        beside.write_text(page, encoding="utf-8")


def status(reference: Reference | None, found: Sequence[Comparison]) -> str:
    """Say how a dataset stands to its reference.

    ``none`` without one, ``drifted`` where any statistic has, ``too_few`` where none could be
    compared, else ``same``.
    """
    if reference is None:
        return "none"
    if any(own.drifted for own in found):
        return "drifted"
    return "same" if any(own.status is Status.OK for own in found) else "too_few"


def read_reference(dataset: str) -> Reference | None:
    """Read what was accepted of a dataset, None where nothing was.

    Raises DataError where the file says neither.
    """
    path = reference_file(dataset)
    if not path.is_file():
        return None
    raw = read_json(path)
    known = raw.get("status") if isinstance(raw, Mapping) else None
    if known == "none":
        return None
    origin = {key: raw.get(key) for key in ("revision", "who", "why")} if known else {}
    if known != "accepted" or not all(isinstance(value, str) for value in origin.values()):
        raise DataError(
            f"{path} is nothing that `saliency-audit accept` wrote: restore it from git, or write "
            '{"status": "none"} into it'
        )
    return Reference(profile_of(raw.get("profile"), path), origin)


def _audits_of(dataset: str, params: Parameters) -> list[str]:
    audits: Mapping[str, Any] = params.value("audits")
    return [audit for audit, known in audits.items() if known["dataset"] == dataset]


def _of_audits(dataset: str, audits: Iterable[str]) -> dict[str, Sample]:
    found = {}
    for audit in audits:
        path: Path = places.summarise(dataset, audit) / "profile.json"
        for name, sample in profile_of(read_json(path), path).items():
            found[f"audits/{audit}/{name}"] = sample
    return found


def _written(own: Comparison) -> dict[str, Any]:
    """Give a comparison as JSON can hold it, its numbers to six digits."""
    return {
        key: float(f"{value:.6g}") if isinstance(value, float) else value
        for key, value in asdict(own).items()
    }


STAGE = Stage(
    "check_drift",
    ("dataset",),
    ("audits", "quality.drift"),
    run,
    files=("tasks/report/templates",),
)

if __name__ == "__main__":
    STAGE.main()
