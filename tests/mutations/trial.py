"""One trial: a kind entered at a rate, and who noticed first."""

from __future__ import annotations

import contextlib
import json
import logging
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saliency_audit.errors import AuditError, QualityError
from tasks.places import quality
from tasks.profiles import drift_file

from . import base
from .kind import Kind
from .seams import NothingChangedError, Pick

#: A single row, and shares of all that can be touched.
RATES = (0.01, 0.0, 0.05, 0.2)
#: Outcomes that count as noticed.
NOTICED = ("stopped", "warned", "drifted")


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    ``outcome``: stopped, warned, drifted, unseen, ``crashed`` (an error that no person is told of)
    or ``idle`` (nothing changed: a fault of the harness); ``by``: the stage; ``what``: its rules,
    its error's first words, or the statistics that drifted.
    """

    kind: str
    rate: float
    seed: int
    outcome: str
    by: str = ""
    what: list[str] = field(default_factory=list)
    seconds: float = 0.0
    code: str = ""


def attempt(kind: Kind, rate: float, seed: int, clean: Path, work: Path, code: str = "") -> Result:
    """Enter a kind into a copy of the clean audit, and run on until somebody notices."""
    began = time.monotonic()
    logging.disable(logging.WARNING)
    subject = base.SUBJECTS[kind.subject]
    # Every kind has its own numbers, and each rate the same ones.
    rng = np.random.default_rng([seed, *kind.name.encode()])
    with base.copied(clean, work):
        outcome, by, what = _run(kind, subject, Pick(rate, rng))
    logging.disable(logging.NOTSET)
    seconds = round(time.monotonic() - began, 1)
    return Result(kind.name, rate, seed, outcome, by, what, seconds, code)


def _run(kind: Kind, subject: base.Subject, pick: Pick) -> tuple[str, str, list[str]]:
    tree = base.parameters()
    first = base.NAMES.index(kind.seam.stage)
    for stage in base.NAMES[first:]:
        entered = stage == kind.seam.stage
        for arguments in subject.arguments(stage):
            if entered and stage == "explain" and arguments[-1] != kind.method:
                continue  # its maps are there, and are not touched
            seam = kind.seam.entered(subject, pick) if entered else contextlib.nullcontext()
            try:
                with seam:
                    base.run(stage, tree, *arguments)
            except QualityError:
                return "stopped", stage, _broken(subject, stage, "stop")
            except AuditError as error:
                return "stopped", stage, [f"{type(error).__name__}: {str(error)[:160]}"]
            except NothingChangedError as error:
                return "idle", stage, [str(error)]
            except Exception:
                return "crashed", stage, traceback.format_exc().splitlines()[-4:]
        if stage in base.GATES and (warned := _broken(subject, stage, "warn")):
            return "warned", stage, warned
    drifted = _drifted(subject, trained=first <= base.NAMES.index("train_segmenter"))
    return ("drifted", "check_drift", drifted) if drifted else ("unseen", "", [])


def _broken(subject: base.Subject, gate: str, severity: str) -> list[str]:
    audit = None if dict(base.ORDER)[gate] == "dataset" else subject.audit
    content: dict[str, Any] = json.loads(quality(subject.name, gate, audit).read_text("utf-8"))
    return [
        rule["rule"]
        for rule in content["rules"]
        if rule["status"] == "broken" and rule["severity"] == severity
    ]


def _drifted(subject: base.Subject, trained: bool) -> list[str]:
    """Give what has drifted; a model that was trained anew drifts by itself, and does not count."""
    content = json.loads(drift_file(subject.name).read_text("utf-8"))
    names = [own["name"] for own in content["comparison"] if own["drifted"]]
    return [name for name in names if not (trained and name.startswith("audits/"))]
