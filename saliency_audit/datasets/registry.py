"""The kinds of sources, by the name that params.yaml gives them.

Classes are named, not imported: choosing one does not load the others. Those
of other distributions are found by entry point, as ``saliency_audit.plugins``
says.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, cast

from saliency_audit import plugins
from saliency_audit.errors import ParameterError
from saliency_audit.naming import hint

#: Kind to ``module:class``; the class is the dataclass of its parameters.
SOURCES: Mapping[str, str] = {
    "phantom_skin": "saliency_audit.datasets.phantom_skin:PhantomSkin",
    "phantom_chest": "saliency_audit.datasets.phantom_chest:PhantomChest",
    "ham10000": "saliency_audit.datasets.ham10000:Ham10000",
    "chestxdet": "saliency_audit.datasets.chestxdet:ChestXDet",
    "folder": "saliency_audit.datasets.folder:Folder",
}


def source_kinds() -> list[str]:
    """Give the names of all kinds, sorted: those of this package and those of plugins."""
    return sorted({*SOURCES, *plugins.names(plugins.DATASETS)})


def source_plugin(kind: str) -> plugins.Plugin | None:
    """Give the plugin that registers a kind, or None; errors as of ``plugins.find``."""
    return plugins.find(plugins.DATASETS, kind, SOURCES)


def source_class(kind: str) -> type[Any]:
    """Give the dataclass of a kind's parameters, which is the source.

    Raises ParameterError for an unknown kind, naming the nearest right one, and for a plugin that
    cannot be imported or is no source.

    >>> source_class("phantom_skin").__name__
    'PhantomSkin'
    >>> source_class("phantom_skim")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: unknown source phantom_skim: did you mean phantom_skin?
    """
    plugin = source_plugin(kind)
    if plugin is not None:
        return _of_plugin(plugin)
    if kind not in SOURCES:
        raise ParameterError(f"unknown source {kind}: {hint(kind, source_kinds())}")
    module, _, name = SOURCES[kind].partition(":")
    return cast("type[Any]", getattr(importlib.import_module(module), name))


def _of_plugin(plugin: plugins.Plugin) -> type[Any]:
    found = plugin.load()
    parts = ("describe", "samples", "max_set_aside", "source", "kind")
    lacking = [part for part in parts if not hasattr(found, part)]
    if not (isinstance(found, type) and is_dataclass(found)) or lacking:
        raise ParameterError(
            f"{plugin} is no source{f', it lacks {lacking[0]}' if lacking else ''}: have it name a "
            "frozen dataclass with kind, source, max_set_aside, describe and samples"
        )
    return found
