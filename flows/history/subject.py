"""What an audit is of: code, parameters, classifiers and data, each by digest.

Two audits of the same subject give the same bytes: one is enough.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from flows.ground.git import entries, show
from flows.records.artifacts import digest_of
from tasks import places

#: What of a revision decides an audit's result, besides classifiers and data.
CODE = ("saliency_audit", "tasks", "dvc.yaml", ".dvcignore")


@dataclass(frozen=True)
class Subject:
    """What an audit is of, as digests by name."""

    code: str
    parameters: str
    classifiers: Mapping[str, str]
    data: Mapping[str, str]
    imports: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits for all of it."""
        return _digest(asdict(self))


def subject_of(
    main: Path, commit: str, models: Mapping[str, str], imports: Mapping[str, str]
) -> Subject:
    """Give the subject of a commit.

    ``models``: digests of weights that are newer than the commit's, by classifier; ``imports``:
    what `dvc import` would bring now, by ``.dvc`` file.
    """
    files = entries(main, commit)
    tree = yaml.safe_load(show(main, commit, str(places.PARAMS)))
    code = {path: blob for path, blob in files.items() if path.split("/", 1)[0] in CODE}
    classifiers = {
        name: _digest(_under(files, f"{places.CLASSIFIERS}/{name}"))
        for name in sorted({audit["classifier"] for audit in tree["audits"].values()})
    }
    return Subject(
        code=_digest(code),
        parameters=files[str(places.PARAMS)],
        classifiers={**classifiers, **models},
        data={
            name: _source(main, files, dataset["source"])
            for name, dataset in sorted(tree["datasets"].items())
        },
        imports=imports,
    )


def _source(main: Path, files: Mapping[str, str], source: str) -> str:
    """Give the digest of a raw source: git's or DVC's where they know it, else of what is there."""
    known = {**_under(files, source), **_under(files, f"{source}.dvc")}
    return _digest(known) if known else content_digest(main, source)


def _under(files: Mapping[str, str], path: str) -> dict[str, str]:
    return {p: blob for p, blob in files.items() if p == path or p.startswith(f"{path}/")}


def content_digest(main: Path, source: str) -> str:
    """Give DVC's digest of a file or folder, or `missing`; what it knows is not read again."""
    from dvc.repo import Repo

    path = main / source
    if not path.exists():
        return "missing"
    with Repo(str(main)) as repo:
        return digest_of(repo, path)


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
