"""Profiles: the sketches of a dataset's and an audit's statistics, by name, and their files.

A name is what it is of, then the statistic, with slashes between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling
from saliency_audit.quality.drift import Counts, Sample, count, sample_of
from tasks import places
from tasks.artifacts import partial

Profile = Mapping[str, Sample]

#: Folder of what a person accepted, in git; one profile.json per dataset.
REFERENCES = Path("references")

#: The kind of an image that has none of the labels.
NO_LABEL = "(none)"


def reference_file(dataset: str) -> Path:
    """File of the profile that was accepted of a dataset, and who did so and why."""
    return REFERENCES / dataset / "profile.json"


def drift_file(dataset: str) -> Path:
    """File of a dataset's profile and what was compared with the accepted one."""
    return places.REPORTS / dataset / "drift.json"


def profile_to_json(profile: Profile) -> dict[str, Any]:
    """Give a profile as JSON can hold it."""
    return {name: profile[name].to_json() for name in sorted(profile)}


def profile_of(raw: Any, path: Path) -> dict[str, Sample]:
    """Give the profile that JSON holds; raises DataError naming the file and the statistic."""
    if not isinstance(raw, Mapping):
        raise DataError(
            f"{path} holds no profile: restore it from git, or run `saliency-audit run`"
        )
    found = {}
    for name, own in raw.items():
        try:
            found[str(name)] = sample_of(own)
        except DataError as error:
            raise DataError(
                f"{path}: {name}: {error}: restore it from git, or run `saliency-audit run`"
            ) from None
    return found


def write_profile(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, each list of numbers in one line: git compares it by lines."""
    with partial(path) as beside:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        # No string holds a bare line break, so what is matched stands between strings.
        text = re.sub(r"\[\n[-+.\de,\s]*\]", lambda found: " ".join(found[0].split()), text)
        beside.write_text(text + "\n", encoding="utf-8")


def label_mix(
    owned: Sequence[Sequence[str]],
    groups: Sequence[str],
    labels: Sequence[str],
    labelling: Labelling,
) -> dict[str, Counts]:
    """Count images by their labels, one list per image.

    Where images have one label each, the kinds are the labels, or the labels together where a
    threshold gave several; else each label has a statistic of its own, ``present`` or ``absent``.

    >>> label_mix([["cyst"], []], ["a", "b"], ["cyst"], Labelling.MULTICLASS)["labels"].counts
    {'(none)': 1, 'cyst': 1}
    """
    if labelling is not Labelling.MULTILABEL:
        kinds = [" + ".join(sorted(own)) or NO_LABEL for own in owned]
        return {"labels": count(kinds, groups)}
    return {
        f"labels/{label}": count(["present" if label in own else "absent" for own in owned], groups)
        for label in labels
    }
