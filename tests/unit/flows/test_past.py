"""The series of audits: read from branches, and weights that may come from named sources alone."""

from __future__ import annotations

import pytest

from flows.ground.git import commit_of, entries, git, identity, refuse_dirty, show
from flows.history.past_audits import past_audits
from flows.history.releases import permitted
from saliency_audit.errors import AuditError, ParameterError


@pytest.fixture
def repository(tmp_path):
    """A git repository with one commit and two audits, one of them that failed."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "a.txt").write_text("text\n")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, *identity(tmp_path), "commit", "--quiet", "-m", "First")
    for number, result in enumerate(["passed", "failed"]):
        git(tmp_path, "checkout", "--quiet", "-b", f"audit/2026010{number}-abc", "main")
        message = (
            f"Audit\n\nAudit-Result: {result}\nAudit-Subject: abc{number}\n"
            f"Audit-Classifier: knees sha256:{number}\nAudit-Classifier: chest sha256:9\n"
        )
        git(tmp_path, *identity(tmp_path), "commit", "--quiet", "--allow-empty", "-m", message)
    git(tmp_path, "checkout", "--quiet", "main")
    return tmp_path


def test_audits_are_those_of_the_branches_with_what_they_were_of(repository):
    found = {audit.branch: audit for audit in past_audits(repository)}
    assert set(found) == {"audit/20260100-abc", "audit/20260101-abc"}
    failed = found["audit/20260101-abc"]
    assert (failed.result, failed.subject) == ("failed", "abc1")
    assert failed.classifiers == {"knees": "sha256:1", "chest": "sha256:9"}
    assert failed.commit == commit_of(repository, "audit/20260101-abc")


def test_files_of_a_commit_are_read_whatever_lies_there(repository):
    (repository / "a.txt").write_text("changed\n")
    assert list(entries(repository, "main")) == ["a.txt"]
    assert show(repository, "main", "a.txt") == "text\n"
    with pytest.raises(AuditError, match=r"not committed:\n.*a\.txt"):
        refuse_dirty(repository, "serve")
    with pytest.raises(ParameterError, match="no-such: no such revision"):
        commit_of(repository, "no-such")


@pytest.mark.parametrize(
    ("reference", "allowed"),
    [
        ("models/a.pt", True),
        ("models/../a.pt", False),
        ("models/link.pt", False),
        ("s3://bucket/models/a.pt", True),
        ("s3://bucket/models/../other/a.pt", False),
        ("s3://bucket/models-of-others/a.pt", False),
        ("s3://other/models/a.pt", False),
        ("https://user:word@host/models/a.pt", False),
    ],
)
def test_weights_come_from_the_sources_alone(tmp_path, reference, allowed):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "link.pt").symlink_to(tmp_path / "elsewhere.pt")
    sources = ["models", "s3://bucket/models", "https://host/models"]
    if allowed:
        assert permitted(tmp_path, reference, sources).endswith("models/a.pt")
    else:
        with pytest.raises(ParameterError):
            permitted(tmp_path, reference, sources)
