"""The strict reader: what a declaration says is taken, anything else is refused by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_audit.errors import ParameterError
from saliency_audit.parameters import Checked, build
from saliency_audit.plain_yaml import parse_yaml, read_yaml
from saliency_audit.ranges import Count, Distinct, Interval, Length, Share


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner(Checked):
    depth: Count
    share: Share = 0.5


@dataclass(frozen=True)
class Outer(Checked):
    number: Count = 4
    rate: Annotated[float, Interval(gt=0)] = 4
    flag: bool = False
    name: Annotated[str, Length(1)] = "x"
    colour: Colour = Colour.RED
    mode: Literal["a", "b", "c"] = "a"
    size: tuple[Count, Count] = (8, 8)
    names: Annotated[tuple[str, ...], Length(1), Distinct()] = ("x",)
    limit: Count | None = None
    inner: Inner | Literal[False] = False
    words: Mapping[str, Literal["stop", "warn"]] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        if self.mode == "c" and self.flag:
            raise ParameterError("mode c takes no flag")


def test_plain_values_become_what_is_declared():
    raw = {"size": [3, 4], "colour": "blue", "inner": {"depth": 2}, "rate": 3, "names": ["a", "b"]}
    built = build(Outer, raw)
    assert built == Outer(
        size=(3, 4), colour=Colour.BLUE, inner=Inner(2), rate=3.0, names=("a", "b")
    )
    assert isinstance(built.rate, float) and isinstance(built.size, tuple)
    # Python may give what YAML gives.
    assert Outer(**raw) == built


def test_a_value_that_equals_the_default_is_the_default():
    assert type(build(Outer, {"rate": 4.0}).rate) is type(Outer().rate) is int


WRONG = [
    ({"number": True}, r"at\.number is True: give a whole number, 1 or more"),
    ({"number": 3.0}, r"at\.number is 3\.0: give a whole number"),
    ({"number": "3"}, r"at\.number is '3': give a whole number"),
    ({"number": None}, r"at\.number is None"),
    ({"number": 0}, r"at\.number is 0: give 1 or more"),
    ({"number": 2**63}, r"at\.number is 9223372036854775808: give a whole number"),
    ({"rate": 10**400}, r"at\.rate is 1000+\.\.\.: give a number"),
    ({"rate": math.nan}, r"at\.rate is nan: give a number, above 0"),
    ({"rate": math.inf}, r"at\.rate is inf"),
    ({"rate": False}, r"at\.rate is False"),
    ({"rate": 0}, r"at\.rate is 0: give above 0"),
    ({"flag": 1}, r"at\.flag is 1: give true or false"),
    ({"name": 3}, r"at\.name is 3: give a text"),
    ({"name": ""}, r"at\.name is empty"),
    ({"colour": "green"}, r"at\.colour is 'green': give red or blue"),
    ({"mode": "d"}, r"at\.mode is 'd': give one of a, b, c"),
    ({"mode": ["a"]}, r"at\.mode is \['a'\]"),
    ({"size": [3]}, r"at\.size is \[3\]: give a list of 2, each a whole number, 1 or more"),
    ({"size": [3, True]}, r"at\.size is \[3, True\]"),
    ({"size": "33"}, r"at\.size is '33'"),
    ({"names": "ab"}, r"at\.names is 'ab': give a list"),
    ({"names": []}, r"at\.names is empty: give 1 or more of them"),
    ({"names": ["a", "a"]}, r"at\.names is \['a', 'a'\]: give each once"),
    ({"limit": 0}, r"at\.limit is 0: give 1 or more, or null"),
    ({"inner": True}, r"at\.inner is True"),
    ({"inner": 0}, r"at\.inner is 0"),
    ({"inner": {}}, r"at\.inner\.depth is missing: give a whole number, 1 or more"),
    ({"inner": {"dept": 1}}, r"unknown key at\.inner\.dept: did you mean depth\?"),
    ({"inner": {"depth": 1, "share": math.nan}}, r"at\.inner\.share is nan"),
    ({"words": {"rule": "halt"}}, r"at\.words\.rule is 'halt': give stop or warn"),
    ({"words": {1: "stop"}}, r"at\.words has the key 1"),
    ({"words": ["rule"]}, r"at\.words is"),
    ({"anything": {"a": [1, {"b": math.inf}]}}, r"at\.anything\.a\.b is inf"),
    ({"mode": "c", "flag": True}, r"at: mode c takes no flag"),
    ({"nmae": "x"}, r"unknown key at\.nmae: did you mean name\?"),
    ([], r"at is \[\]: give a mapping"),
    (None, r"at is None"),
]


@pytest.mark.parametrize(("raw", "said"), WRONG)
def test_anything_else_is_refused_with_key_value_and_what_to_give(raw, said):
    with pytest.raises(ParameterError, match=rf"^file: {said}"):
        build(Outer, raw, "at", source="file: ")


@pytest.mark.parametrize(
    "raw", [raw for raw, _ in WRONG if isinstance(raw, dict) and len(raw) == 1]
)
def test_python_is_refused_what_yaml_is(raw):
    (name,) = raw
    if name == "nmae":
        return
    with pytest.raises(ParameterError):
        Outer(**raw)
    with pytest.raises(ParameterError):
        replace(Outer(), **raw)


BOUNDS = st.none() | st.integers(-3, 3)


@given(BOUNDS, BOUNDS, BOUNDS, BOUNDS, st.floats(-4, 4) | st.integers(-4, 4))
def test_an_interval_is_the_one_of_annotated_types(gt, ge, lt, le, value):
    """The package's own reading of its constraints, by the type adapter of pydantic."""
    from pydantic import TypeAdapter, ValidationError

    interval = Interval(gt=gt, ge=ge, lt=lt, le=le)
    try:
        TypeAdapter(Annotated[float, interval]).validate_python(value)
        held = True
    except ValidationError:
        held = False
    assert interval.holds(value) == held


@given(st.from_type(Annotated[int, Interval(ge=3, le=5)]))
def test_hypothesis_draws_from_a_declaration(value):
    assert 3 <= value <= 5


def test_yaml_is_read_as_dvc_reads_it(tmp_path):
    text = "a: 1e-4\nb: '1e-4'\nc: 1.0e-9\nd: -2E+3\ne: 12e\nf: .nan\n"
    values = parse_yaml(text)
    assert values["a"] == 1e-4 and values["b"] == "1e-4" and values["c"] == 1e-9
    assert values["d"] == -2000.0 and values["e"] == "12e" and math.isnan(values["f"])
    from ruamel.yaml import YAML

    theirs = YAML(typ="safe").load(text)
    assert {k: v for k, v in theirs.items() if k != "f"} == {
        k: v for k, v in values.items() if k != "f"
    }
    (tmp_path / "twice.yaml").write_text("a: 1\nb: {c: 1, c: 2}\n")
    with pytest.raises(
        ParameterError, match=r"twice\.yaml is not valid YAML: .*key c stands twice"
    ):
        read_yaml(tmp_path / "twice.yaml")
