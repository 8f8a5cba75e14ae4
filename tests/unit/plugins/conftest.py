"""A third party's distribution on Python's path, and out of it again."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.invented_plugin import write_plugin


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Give what installs the invented plugin: in a folder that Python looks into first."""

    def install(folder="site", **options):
        place = tmp_path / folder
        write_plugin(place, **options)
        for path in (place, options.get("editable")):
            if path is not None and str(path) not in sys.path:
                monkeypatch.syspath_prepend(str(path))
        forget()
        return place

    yield install
    forget()


def forget():
    """Let Python look for distributions and modules anew, as another process would."""
    from saliency_audit import plugins

    plugins._registered.cache_clear()
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "their_saliency"]:
        del sys.modules[name]
