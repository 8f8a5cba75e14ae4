"""Third parties' code that stages run, as it is pinned in ``plugins.lock``.

DVC does not see what is installed. So the lock beside this module, in git, says
which distribution stands behind a name, its version, a digest of its files,
and what it imports of this repository. It is part of the code of the stages
that use it; a stage refuses to run anything else. ``tasks.plugins`` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from saliency_audit.errors import ParameterError
from saliency_audit.plugin_files import digest, imports
from saliency_audit.plugins import Plugin

LOCK = Path("tasks") / "plugins.lock"
#: The package of this repository that a plugin may import.
PACKAGE = "saliency_audit"


@dataclass(frozen=True)
class Pin:
    """What a name stood for when it was pinned.

    ``name``: of the entry point; ``sha256``: of the distribution's files; ``imports``: what they
    import of this repository.
    """

    name: str
    distribution: str
    version: str
    sha256: str
    imports: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What stands in the file of a stage's code."""
        return f"{self.sha256} {self.distribution}=={self.version}:{self.name}"


#: By stage, and by its dataset, audit or method.
Pins = Mapping[str, Mapping[str, Pin]]


def read_pins(root: Path) -> Pins:
    """Read what is pinned in a checkout; nothing where there is no lock.

    Raises ParameterError where the lock cannot be read.
    """
    import yaml

    path = root / LOCK
    if not path.is_file():
        return {}
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {
            stage: {
                subject: Pin(**{**pin, "imports": tuple(pin["imports"])})
                for subject, pin in subjects.items()
            }
            for stage, subjects in tree.items()
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ParameterError(
            f"{LOCK} cannot be read ({error}): write it again by `python -m tasks.plugins`"
        ) from None


def pinned(plugin: Plugin) -> Pin:
    """Pin a plugin as it is installed; raises ParameterError where its files are nowhere."""
    return Pin(
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        sha256=digest(plugin),
        imports=tuple(imports(plugin, PACKAGE)),
    )


def check_pin(stage: str, subject: str, plugin: Plugin | None, root: Path = Path()) -> Pin | None:
    """Give the pin of a plugin that a stage is about to run, None where it runs none.

    Raises ParameterError where it is not pinned, or another is installed than was.
    """
    if plugin is None:
        return None
    known = read_pins(root).get(stage, {}).get(subject)
    found = pinned(plugin)
    if known != found:
        was = "is not in it" if known is None else f"it has {known.line}"
        raise ParameterError(
            f"{subject} of {stage} is {plugin} with {found.sha256[:16]}…, and {LOCK} differs "
            f"({was}): look at what is installed, then run `python -m tasks.plugins` to pin it, "
            "and commit the lock"
        )
    return known
