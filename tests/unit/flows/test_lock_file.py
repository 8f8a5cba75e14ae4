"""Entries of dvc.lock: what is put in from elsewhere is what is read, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.ground.git import git, identity
from flows.records.dvc_lock import entries_of, put
from flows.records.revision import lock_of
from flows.records.stages import lock_entries
from saliency_audit.errors import DataError


@pytest.fixture
def checkout(tmp_path):
    """A DVC repository with two recorded stages."""
    git(tmp_path, "init", "--quiet")
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "init", "--quiet"], cwd=tmp_path, check=True)
    stages = {name: {"cmd": f"make {name}"} for name in ("a", "b")}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return tmp_path


def test_an_entry_takes_the_place_of_the_same_stages(checkout):
    there = {"b": {"cmd": "make b", "outs": [{"path": "b.txt", "md5": "0" * 32}]}}
    put(checkout, there)
    assert lock_entries(checkout) == {"a": {"cmd": "make a"}, **there}
    assert entries_of(checkout, ["b", "never ran"]) == there


def test_a_revision_without_records_says_what_to_do(checkout):
    git(checkout, "add", "--all")
    git(checkout, *identity(checkout), "commit", "--quiet", "-m", "Recorded")
    assert set(lock_of(checkout, "HEAD")) == {"a", "b"}
    git(checkout, "rm", "--quiet", "dvc.lock")
    git(checkout, *identity(checkout), "commit", "--quiet", "-m", "Not recorded")
    with pytest.raises(DataError, match=r"no dvc\.lock.*run the audit, commit"):
        lock_of(checkout, "HEAD")
