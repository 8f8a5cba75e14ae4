"""The files behind a plugin: those that are really there, wherever its metadata lies."""

from __future__ import annotations

import importlib

import pytest

from saliency_audit import plugins
from saliency_audit.errors import ParameterError
from saliency_audit.plugin_files import digest, files, imports
from tests.invented_plugin import ENTRIES, FILES, write_plugin


def gradient():
    return plugins.find(plugins.METHODS, "their_gradient", ())


def test_every_file_of_the_package_counts_and_what_an_installer_writes_does_not(installed):
    place = installed()
    (place / "their_saliency" / "__pycache__").mkdir()
    (place / "their_saliency" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"compiled")
    (place / "their_saliency" / "weights.bin").write_bytes(b"1")
    assert list(files(gradient())) == sorted([*FILES, "their_saliency/weights.bin"])


def test_a_digest_is_of_bytes_and_not_of_the_record(installed):
    place = installed()
    before = digest(gradient())
    module = place / "their_saliency" / "net.py"
    module.write_text(f"{module.read_text()}# changed, and the record says nothing of it\n")
    changed = digest(gradient())
    module.write_text(FILES["their_saliency/net.py"])
    assert changed != before == digest(gradient())
    (place / "their_saliency" / "added.py").write_text("")
    assert digest(gradient()) != before


def test_an_editable_install_has_the_digest_of_a_usual_one(installed, tmp_path):
    write_plugin(tmp_path / "usual")
    installed("editable", editable=tmp_path / "sources")
    found = digest(gradient())
    assert set(files(gradient())) == set(FILES)
    (tmp_path / "sources" / "their_saliency" / "net.py").write_text("other = 1\n")
    assert digest(gradient()) != found
    usual = installed("usual", files=FILES)
    importlib.invalidate_caches()
    assert next(iter(files(gradient()).values())).is_relative_to(usual)
    assert digest(gradient()) == found


def test_what_the_record_names_beside_the_package_counts_too(installed):
    extra = {**FILES, "their_tables/weights.txt": "1"}
    place = installed(files=extra)
    before = digest(gradient())
    (place / "their_tables" / "weights.txt").write_text("2")
    assert digest(gradient()) != before
    (place / "their_tables" / "weights.txt").unlink()
    assert "their_tables/weights.txt" not in files(gradient())


def test_of_a_shared_namespace_only_the_plugins_own_part_counts(installed, tmp_path):
    own = {"company/theirs/__init__.py": "class Net: ...\n"}
    entries = {plugins.ARCHITECTURES: {"their_net": "company.theirs:Net"}}
    installed("one", files=own, entries=entries)
    other = {"company/another/__init__.py": "", "company/another/more.py": ""}
    installed("two", distribution="another", files=other, entries={})
    net = plugins.find(plugins.ARCHITECTURES, "their_net", ())
    assert list(files(net)) == ["company/theirs/__init__.py"]


def test_a_single_module_is_a_distribution_too(installed):
    entries = {plugins.METHODS: {"their_gradient": "their_module:TheirGradient"}}
    installed(files={"their_module.py": FILES["their_saliency/gradient.py"]}, entries=entries)
    assert list(files(gradient())) == ["their_module.py"]


def test_what_it_imports_of_this_package_is_known_without_importing_it(installed):
    installed(entries=ENTRIES)
    found = imports(gradient(), "saliency_audit")
    assert "saliency_audit.attribution.method" in found
    assert "saliency_audit.compute" in found
    assert not [name for name in found if name.startswith(("torch", "their_saliency"))]


def test_a_plugin_without_a_module_is_named(installed):
    installed(entries={plugins.METHODS: {"their_gradient": "nowhere:X"}}, files={})
    with pytest.raises(ParameterError, match=r"their_gradient of their-saliency .*no files"):
        digest(gradient())
