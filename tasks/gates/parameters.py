"""The bounds of the quality gates, and how much breaking each rule matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from saliency_audit.parameters import Checked
from saliency_audit.ranges import Count, Interval, OpenShare, Positive, Share

#: What a person may make of a rule, by its name.
Severities = Mapping[str, Literal["stop", "warn"]]


@dataclass(frozen=True)
class InputBounds(Checked):
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

    split_gap: Share = 0.08
    label_mix: Share = 0.0001
    duplicate_difference: OpenShare = 0.07
    unlike_others: Positive = 6.0
    stratum_apart: Positive = 8.0
    set_aside: Share = 0.0
    mask_enclosure: Annotated[float, Interval(le=1)] = 0.2
    mask_missing: Share = 0.2
    mask_empty: Share = 0.005
    mask_full: Share = 0.005
    mask_misplaced: Share = 0.0
    constant: Share = 0.0
    severity: Severities = field(default_factory=dict)


@dataclass(frozen=True)
class ModelBounds(Checked):
    """What ``check_models`` lets pass; shares and probabilities from 0 to 1.

    ``asked_again``: of how many images the models are asked again, 1 or more; ``chance``:
    probability below which a model is better than chance; ``below_chance``: that below which a
    classifier is worse, as one with exchanged labels is; ``commonest``: that below which one that
    is adopted without proof names fewer images rightly than the commonest label would;
    ``drawn_empty``, ``drawn_full``: shares of the segmenter's masks that may be so; ``severity``:
    of a rule by its name.
    """

    asked_again: Count = 200
    chance: Share = 0.05
    below_chance: Share = 0.0001
    commonest: Share = 0.01
    drawn_empty: Share = 0.5
    drawn_full: Share = 0.05
    severity: Severities = field(default_factory=dict)


@dataclass(frozen=True)
class MapBounds(Checked):
    """What ``check_maps`` lets pass; all from 0 to 1.

    ``zero_map``, ``constant_map``: shares of a method's maps that may be so; ``equal_maps``: share
    of its maps that may equal, in every bit and unit, that of other pixels; ``set_aside``: share of
    explained rows that may be out because of a map; ``severity``: of a rule by its name.
    """

    zero_map: Share = 0.2
    constant_map: Share = 0.2
    equal_maps: Share = 0.0
    set_aside: Share = 0.05
    severity: Severities = field(default_factory=dict)


@dataclass(frozen=True)
class ResultBounds(Checked):
    """What ``check_results`` lets pass.

    ``tolerance``: how far a figure may be from what follows from others, 0 to 1; ``severity``: of a
    rule by its name.
    """

    tolerance: Share = 1e-9
    severity: Severities = field(default_factory=dict)
