"""Releases of weights that were announced and are not in the audited revision yet.

An audit of one must not lose another: each is applied until the revision has moved on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.ground.git import entries
from flows.history.releases import Release
from tasks import places
from tasks.artifacts import partial

FILE = places.LOCAL / "releases.json"


def announce(main: Path, commit: str, release: Release, at: datetime) -> None:
    """Take note of a release that was announced at a time; a former one is forgotten.

    A message that comes late, or again, takes no newer one's place.
    """
    kept = _read(main)
    known = kept.get(release.classifier)
    if known is not None and datetime.fromisoformat(known["at"]) > at:
        return
    over = _folder(main, commit, release)
    kept[release.classifier] = {**asdict(release), "at": at.isoformat(), "over": over}
    _write(main, kept)


def withdraw(main: Path, release: Release) -> None:
    """Forget a release, if it is still the newest: it cannot be used."""
    kept = _read(main)
    if kept.get(release.classifier, {}).get("digest") == release.digest:
        del kept[release.classifier]
        _write(main, kept)


def pending(main: Path, commit: str) -> list[Release]:
    """Give the releases that a commit does not have.

    One is over when its classifier's folder is another than when it was announced: a person has
    committed something newer, or the release itself.
    """
    found = []
    for entry in _read(main).values():
        release = Release(entry["classifier"], entry["reference"], entry["digest"])
        if entry["over"] == _folder(main, commit, release):
            found.append(release)
    return found


def _folder(main: Path, commit: str, release: Release) -> Mapping[str, str]:
    return entries(main, commit, [f"{places.CLASSIFIERS}/{release.classifier}"])


def _read(main: Path) -> dict[str, dict[str, Any]]:
    try:
        kept: dict[str, dict[str, Any]] = json.loads((main / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return kept


def _write(main: Path, kept: Mapping[str, Any]) -> None:
    with partial(main / FILE) as beside:
        beside.write_text(json.dumps(kept, indent=1), "utf-8")
