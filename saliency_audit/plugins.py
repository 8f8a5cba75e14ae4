"""What other distributions register, by entry point: methods, datasets and architectures.

A name is looked up in the installed metadata, and its code is imported when it
is asked for, never to list it. What this package has itself stands in the
tables of its own checkout and is read from there: installed metadata of it may
be of another revision.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

from saliency_audit.errors import ParameterError

#: Groups of entry points, and what a name of each is called in an error.
METHODS = "saliency_audit.methods"
DATASETS = "saliency_audit.datasets"
ARCHITECTURES = "saliency_audit.architectures"
WORDS = {METHODS: "method", DATASETS: "dataset kind", ARCHITECTURES: "architecture"}
#: The distribution of this package.
OWN = "saliency-audit"


@dataclass(frozen=True)
class Plugin:
    """A name that a distribution registers.

    ``group``: one of ``METHODS``, ``DATASETS``, ``ARCHITECTURES``; ``name``: as in params.yaml or
    model.yaml; ``value``: ``module:attribute``; ``distribution`` and ``version``: whose it is.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    def __str__(self) -> str:
        """Name it for an error."""
        return (
            f"{WORDS[self.group]} {self.name} of {self.distribution} {self.version} "
            f"(entry point {self.name} = {self.value!r} in {self.group})"
        )

    def load(self) -> Any:
        """Import what it stands for; raises ParameterError naming the distribution where not."""
        try:
            return EntryPoint(self.name, self.value, self.group).load()
        except Exception as error:  # code from elsewhere may raise anything
            said = " ".join(str(error).split()) or "no reason given"
            raise ParameterError(
                f"{self} cannot be imported: {type(error).__name__}: {said}; mend or reinstall "
                f"{self.distribution}, or take {self.name} out of params.yaml and model.yaml"
            ) from error


def names(group: str) -> list[str]:
    """Give the names that distributions register in a group, sorted; imports none of them."""
    return sorted(_registered(group, tuple(sys.path)))


def find(group: str, name: str, built_in: Collection[str]) -> Plugin | None:
    """Give the plugin of a name, or None where no distribution registers it.

    ``built_in``: the names that this package has itself. Raises ParameterError, naming both
    distributions, where two have the name, or a plugin has that of a built-in.
    """
    found = _registered(group, tuple(sys.path)).get(name, ())
    if not found:
        return None
    owners = [f"{one.distribution} {one.version}" for one in found]
    if name in built_in:
        owners.insert(0, f"{OWN} itself")
    if len(owners) > 1:
        raise ParameterError(
            f"{WORDS[group]} {name} is registered by {' and by '.join(owners)}: which is meant "
            "cannot be told; uninstall one, or have its maker rename the entry point"
        )
    return found[0]


def distribution_of(plugin: Plugin) -> Distribution:
    """Give the installed distribution of a plugin."""
    return Distribution.from_name(plugin.distribution)


@cache
def _registered(group: str, path: tuple[str, ...]) -> dict[str, tuple[Plugin, ...]]:
    """Give the plugins of a group by name, each name's in order of their distributions.

    ``path``: where distributions are looked for; another path is looked at anew.
    """
    found: dict[str, set[Plugin]] = {}
    for entry in entry_points(group=group):
        distribution = entry.dist
        if distribution is None or _normal(distribution.name) == OWN:
            continue
        plugin = Plugin(group, entry.name, entry.value, distribution.name, distribution.version)
        found.setdefault(entry.name, set()).add(plugin)
    return {
        name: tuple(sorted(plugins, key=lambda p: (_normal(p.distribution), p.value)))
        for name, plugins in found.items()
    }


def _normal(name: str) -> str:
    """Give a distribution's name as PyPA's specification of names has it compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
