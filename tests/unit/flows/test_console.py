"""What a person is told: each word as it is given, with the exit code that goes with an error."""

from __future__ import annotations

import pytest

from flows.ground.console import Voice
from saliency_audit.errors import DataError, ParameterError
from tasks.stage import BAD_PARAMETER, FAILED


def test_a_path_that_looks_like_markup_is_said_whole_and_on_one_line(capsys):
    path = "/data/" + "long/" * 60 + "[red]scan[/red] 3.png"
    Voice().say(path)
    Voice().warn(path)
    said = capsys.readouterr()
    assert said.err.splitlines() == [path, f"warning: {path}"]
    assert said.out == ""


@pytest.mark.parametrize(
    ("error", "code"), [(ParameterError("a"), BAD_PARAMETER), (DataError("a"), FAILED)]
)
def test_an_error_has_its_exit_code(error, code, capsys):
    assert Voice().complain(error) == code
    assert capsys.readouterr().err == "error: a\n"
