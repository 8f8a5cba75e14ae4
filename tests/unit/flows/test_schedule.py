"""What is served, and when: read from deploy/serve.yaml, and refused by key where it is wrong."""

from __future__ import annotations

import re

import pytest
import yaml

from flows.serving.schedule import Schedule, read_schedule
from saliency_audit.errors import ParameterError


def test_without_a_file_nothing_is_served_on_its_own(tmp_path):
    assert read_schedule(tmp_path) == Schedule()
    assert Schedule().cron is None


def test_the_file_of_the_repository_is_read(root):
    stated = yaml.safe_load((root / "deploy" / "serve.yaml").read_text("utf-8"))
    read = read_schedule(root)
    assert (read.revision, read.cron) == (stated["revision"], stated["cron"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crn: 0 3 * * *", "unknown key crn: did you mean cron"),
        ("watch_minutes: 0", "watch_minutes is 0.*: give a number above 0"),
        ("watch_minutes: often", "watch_minutes: "),
        ("watch: {../knees: a.pt}", r"watch\.\.\./knees: give the name of a folder"),
        ("[1]", "holds no keys"),
        ("revision: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "serve.yaml").write_text(text)
    with pytest.raises(ParameterError) as found:
        read_schedule(tmp_path)
    assert "serve.yaml" in str(found.value) or "watch" in str(found.value)
    assert re.search(message, str(found.value))
