"""What holds for all rooms: each says what belongs in it, and some things are done in one place."""

from __future__ import annotations

import ast
import re

import pytest


def modules(root):
    return sorted((root / "flows").rglob("*.py"))


def test_each_room_says_what_belongs_in_it_and_what_does_not(root):
    rooms = [path for path in (root / "flows").iterdir() if (path / "__init__.py").is_file()]
    assert rooms
    for room in rooms:
        said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
        assert "What belongs here: " in said, room.name
        assert "What does not:" in said, room.name


@pytest.mark.parametrize(
    ("what", "where"),
    [
        # Beneath Prefect's public client.
        (r"client\._client\b", "ground/prefect_client.py"),
        # What one process holds at a time.
        (r"^(import|from) (fcntl|filelock)\b", "ground/hold.py"),
        # Which GPUs a machine has, and who gets them.
        (r"SALIENCY_GPUS\"", "execution/gpus.py"),
    ],
)
def test_it_is_done_in_one_module(root, what, where):
    found = [
        path.relative_to(root / "flows").as_posix()
        for path in modules(root)
        if re.search(what, path.read_text("utf-8"), re.MULTILINE)
    ]
    assert found == [where]
