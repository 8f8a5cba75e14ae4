"""New weights for a classifier of the registry: where they may come from, and how they get there.

A message says *what* is new, by reference and digest; it never says what to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from flows.ground.git import git
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.naming import refuse_unknown
from tasks import places

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Release:
    """New weights of a classifier.

    ``reference``: a path, absolute or from the main clone, or a URL; ``digest``: ``sha256:`` and
    64 hexadecimal digits, of the file.
    """

    classifier: str
    reference: str
    digest: str

    def __post_init__(self) -> None:
        """Check the form of what a message says; raises ParameterError."""
        if not NAME.fullmatch(self.classifier):
            raise ParameterError(
                f"classifier is {self.classifier!r}: give the name of a folder of classifiers/"
            )
        if not DIGEST.fullmatch(self.digest):
            raise ParameterError(
                f"digest is {self.digest!r}: give sha256: and 64 hexadecimal digits"
            )


def sha256_of(path: Path) -> str:
    """Give the digest of a file as a message says it."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def weights_of(root: Path, classifier: str) -> Path:
    """Give the file that holds a classifier's weights, from the root.

    Raises ParameterError for no such classifier, ModelError for one that the audit itself trains.
    """
    from saliency_audit.models.specification import read_specification

    known = sorted(p.parent.name for p in (root / places.CLASSIFIERS).glob("*/model.yaml"))
    refuse_unknown([classifier], known, "no classifier ")
    folder = places.CLASSIFIERS / classifier
    specification = read_specification(root / folder / "model.yaml")
    if specification.adopt is None:
        raise ModelError(
            f"{folder}/model.yaml says train: the audit trains this classifier itself; only one "
            "that is adopted (adopt: weights) can be retrained elsewhere"
        )
    return folder / specification.adopt.weights


def permitted(root: Path, reference: str, sources: Sequence[str]) -> str:
    """Give a reference as it may be used; raises ParameterError where it leaves the sources.

    ``sources``: folders, absolute or from ``root``, and beginnings of URLs, that weights may come
    from. Links are followed before a path is compared.
    """
    url = urlsplit(reference)
    if url.scheme and "://" in reference:
        if url.username or url.password or url.query or url.fragment:
            raise ParameterError(
                "the reference holds a name, a password or a query: give a plain address, and the "
                "secret to DVC's configuration on the machine that fetches it"
            )
        path = PurePosixPath(url.path)
        for source in sources:
            base = urlsplit(source)
            if (
                (base.scheme, base.netloc) == (url.scheme, url.netloc)
                and "%" not in url.path
                and ".." not in path.parts
                and path.is_relative_to(PurePosixPath(base.path or "/"))
            ):
                return reference
    else:
        file = Path(os.path.realpath(root / reference))
        for source in sources:
            if "://" not in source and file.is_relative_to(os.path.realpath(root / source)):
                return str(file)
    known = ", ".join(sources) or "there are none"
    raise ParameterError(
        f"{reference} is in none of the sources of models ({known}): name its folder or address "
        "under models in deploy/serve.yaml"
    )


def adopt_release(root: Path, release: Release, sources: Sequence[str], main: Path) -> Path:
    """Put new weights into ``classifiers/<name>/`` of a checkout; gives their file from its root.

    ``main``: the clone from which relative references and sources count. The file is tracked as it
    was, by git or by DVC; raises DataError where it is not the one that the message names, and
    leaves the former one then.
    """
    weights = weights_of(root, release.classifier)
    reference = permitted(main, release.reference, sources)
    beside = root / weights.with_name(f"{weights.name}.partial")
    try:
        if "://" in reference:
            _call(root, "dvc", "get-url", "--force", reference, str(beside))
        else:
            shutil.copyfile(reference, beside)
        _check(beside, release)
        beside.replace(root / weights)
    except OSError as error:
        raise DataError(f"{release.reference}: {error.strerror or error}") from None
    finally:
        beside.unlink(missing_ok=True)
    if not git(root, "ls-files", "--", str(weights)).strip():
        _call(root, "dvc", "--wait-for-lock", "add", "--quiet", str(weights))
    return weights


def _check(file: Path, release: Release) -> None:
    found = sha256_of(file)
    if found != release.digest:
        raise DataError(
            f"the weights of {release.classifier} have the digest {found}, and the message says "
            f"{release.digest}: they changed since it was sent, or are others"
        )


def _call(root: Path, *command: str) -> None:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    found = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        said = (found.stderr.strip() or found.stdout.strip()).splitlines()
        raise DataError(f"{' '.join(command[:3])} failed: {said[-1] if said else 'no output'}")
