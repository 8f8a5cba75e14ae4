"""The bounds of the quality gates, and how much breaking each rule matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from saliency_audit.errors import ParameterError
from saliency_audit.ranges import check_at_least

#: What a person may make of a rule, by its name.
Severities = Mapping[str, Literal["stop", "warn"]]


def _check_shares(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ParameterError(f"{name} is {value}: give a number from 0 to 1")


@dataclass(frozen=True)
class InputBounds:
    """What ``check_inputs`` lets pass.

    ``split_gap``: how far a split's share of the images may be from the one asked for, 0 to 1;
    ``label_mix``: probability below which a label has not fallen to the splits by chance, 0 to 1;
    ``duplicate_difference``: tangent distance below which two images are one picture, above 0 and
    below 1; ``unlike_others``, ``stratum_apart``: robust standard deviations that an image's looks,
    or a number of a stratum, may be from the median, above 0; ``set_aside``: share of a source's
    rows and files that may not be used, 0 to 1; ``mask_enclosure``: how far a mask may enclose what
    it leaves out, below 1;
    ``mask_missing``, ``mask_empty``, ``mask_full``, ``mask_misplaced``, ``constant``: shares of
    masks or images that may be so, 0 to 1; ``severity``: of a rule by its name, where another is
    wanted.
    """

    split_gap: float = 0.08
    label_mix: float = 0.0001
    duplicate_difference: float = 0.07
    unlike_others: float = 6.0
    stratum_apart: float = 8.0
    set_aside: float = 0.0
    mask_enclosure: float = 0.2
    mask_missing: float = 0.2
    mask_empty: float = 0.005
    mask_full: float = 0.005
    mask_misplaced: float = 0.02
    constant: float = 0.0
    severity: Severities = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        _check_shares(
            split_gap=self.split_gap,
            label_mix=self.label_mix,
            set_aside=self.set_aside,
            mask_missing=self.mask_missing,
            mask_empty=self.mask_empty,
            mask_full=self.mask_full,
            mask_misplaced=self.mask_misplaced,
            constant=self.constant,
        )
        if not 0 < self.duplicate_difference < 1:
            raise ParameterError(
                f"duplicate_difference is {self.duplicate_difference}: give a number above 0 and "
                "below 1"
            )
        for name in ("unlike_others", "stratum_apart"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} is {getattr(self, name)}: give a number above 0")
        if self.mask_enclosure > 1:
            raise ParameterError(f"mask_enclosure is {self.mask_enclosure}: give 1 or less")


@dataclass(frozen=True)
class ModelBounds:
    """What ``check_models`` lets pass; shares and probabilities from 0 to 1.

    ``asked_again``: of how many images the models are asked again, 1 or more; ``chance``:
    probability below which a model is better than chance; ``below_chance``: that below which a
    classifier is worse, as one with exchanged labels is; ``drawn_empty``, ``drawn_full``: shares of
    the segmenter's masks that may be so; ``severity``: of a rule by its name.
    """

    asked_again: int = 200
    chance: float = 0.05
    below_chance: float = 0.0001
    drawn_empty: float = 0.5
    drawn_full: float = 0.05
    severity: Severities = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        check_at_least(1, asked_again=self.asked_again)
        _check_shares(
            chance=self.chance,
            below_chance=self.below_chance,
            drawn_empty=self.drawn_empty,
            drawn_full=self.drawn_full,
        )


@dataclass(frozen=True)
class MapBounds:
    """What ``check_maps`` lets pass; all from 0 to 1.

    ``zero_map``, ``constant_map``: shares of a method's maps that may be so; ``equal_maps``: share
    of its maps that may equal, in every bit and unit, that of other pixels; ``set_aside``: share of
    explained rows that may be out because of a map; ``severity``: of a rule by its name.
    """

    zero_map: float = 0.2
    constant_map: float = 0.2
    equal_maps: float = 0.0
    set_aside: float = 0.05
    severity: Severities = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the ranges; raises ParameterError."""
        _check_shares(
            zero_map=self.zero_map,
            constant_map=self.constant_map,
            equal_maps=self.equal_maps,
            set_aside=self.set_aside,
        )


@dataclass(frozen=True)
class ResultBounds:
    """What ``check_results`` lets pass.

    ``tolerance``: how far a figure may be from what follows from others, 0 to 1; ``severity``: of a
    rule by its name.
    """

    tolerance: float = 1e-9
    severity: Severities = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the range; raises ParameterError."""
        _check_shares(tolerance=self.tolerance)
