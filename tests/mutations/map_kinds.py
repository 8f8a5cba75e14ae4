"""Kinds that ``explain`` or ``cohort`` might bring in."""

from __future__ import annotations

from typing import Any

import numpy as np

from .kind import Kind, dropped, each, exchanged, put, shifted, twice
from .seams import Pick, RawMaps, Row, Rows

AGAIN = (
    "it is a map that the method could have given, and all that is said of it is true of it: only "
    "making it anew tells, which is the stage's own work (`saliency-audit reproduce` does that)"
)


def _maps(change: Any) -> Rows:
    return Rows("explain", "gradcam", change)


def _drawn(edit: Any) -> Rows:
    """Draw some maps anew, and say nothing of it."""

    def change(row: Row, _mate: Row) -> None:
        values = np.asarray(row["map"], np.float64)
        row["map"] = np.ascontiguousarray(edit(values), np.float16)

    return _maps(each(change, lambda row: row["status"] == "ok"))


def _one_for_all(rows: list[Row], pick: Pick) -> None:
    """Some images have the map of one and the same image."""
    some = pick(rows, lambda row: row["status"] == "ok")
    names = ("map", "offset", "scale", "status", "tie_share", "completeness")
    source = pick.other(rows, some[0], lambda row: row["status"] == "ok")
    for n in some:
        rows[n].update({name: source[name] for name in names})


def _strangers(rows: list[Row], pick: Pick) -> list[Row]:
    """Maps of labels that were not to be explained."""
    labels = ("homogeneous", "network", "globules", "streaks", "veil")
    own = {(row["image_id"], row["label"]) for row in rows}
    more = []
    for n in pick(rows):
        row = rows[n]
        free = next(label for label in labels if (row["image_id"], label) not in own)
        more.append({**row, "label": free})
    return [*rows, *more]


VALUES = ("map", "offset", "scale", "status", "tie_share", "completeness")


def _other_label(rows: list[Row], pick: Pick) -> None:
    """Exchange the maps of two labels of an image."""
    first: dict[str, list[int]] = {}
    for n, row in enumerate(rows):
        first.setdefault(row["image_id"], []).append(n)
    pairs = [own[:2] for own in first.values() if len(own) > 1]
    for number in pick(pairs):
        one, two = (rows[n] for n in pairs[number])
        for name in VALUES:
            one[name], two[name] = two[name], one[name]


def _cohort(change: Any) -> Rows:
    return Rows("cohort", "tiny", change)


KINDS = (
    Kind(
        "maps-of-other-model",
        "Maps are of another classifier.",
        _maps(put(model_digest="0" * 64)),
    ),
    Kind("maps-of-other-method", "Maps are of another method.", _maps(put(method="rise"))),
    Kind(
        "maps-of-other-parameters",
        "Maps were made with other parameters of the method.",
        _maps(put(method_digest="0" * 64)),
    ),
    Kind(
        "maps-of-others",
        "Maps are those of another image, which they name.",
        _maps(exchanged(*VALUES, "pixel_sha256")),
    ),
    Kind(
        "maps-slipped",
        "The maps have slipped by one row, and name the pixels they are of.",
        _maps(shifted(*VALUES, "pixel_sha256")),
    ),
    Kind("maps-of-one", "Images have the map of one and the same image.", _maps(_one_for_all)),
    Kind("maps-twice", "Maps stand there twice.", _maps(twice())),
    Kind("maps-lost", "Maps are missing.", _maps(dropped())),
    Kind("maps-of-unexplained", "Labels have maps that were not explained.", _maps(_strangers)),
    Kind("map-clipped", "Maps are cut off at 0.8.", _drawn(lambda m: np.minimum(m, 0.8))),
    Kind("map-halved", "Maps are not normalised: from 0 to 0.5.", _drawn(lambda m: m / 2)),
    Kind("map-raised", "Maps are not normalised: from 0.3 to 1.", _drawn(lambda m: 0.3 + 0.7 * m)),
    Kind("map-255", "Maps are from 0 to 255.", _drawn(lambda m: 255 * m)),
    Kind("map-negative", "Maps are from -1 to 1.", _drawn(lambda m: 2 * m - 1)),
    Kind("map-nan", "Maps hold NaN.", _drawn(lambda m: np.where(m == 1, np.nan, m))),
    Kind("map-infinite", "Maps hold infinity.", _drawn(lambda m: np.where(m == 1, np.inf, m))),
    Kind("map-zero", "Maps are 0 throughout, and called good.", _drawn(np.zeros_like)),
    Kind(
        "map-constant", "Maps are 0.5 throughout, and called good.", _drawn(lambda m: 0 * m + 0.5)
    ),
    Kind(
        "map-transposed",
        "Height and width of maps are exchanged.",
        _drawn(lambda m: m.T),
    ),
    Kind(
        "map-levels",
        "Maps were rounded to eight levels after the ties were counted.",
        _drawn(lambda m: np.round(m * 7) / 7),
    ),
    Kind(
        "map-mirrored",
        "Maps are mirrored.",
        _drawn(lambda m: m[:, ::-1]),
        untold=AGAIN,
    ),
    Kind(
        "map-of-other-label",
        "Two labels of an image have each other's map.",
        _maps(_other_label),
        "chest",
        untold=AGAIN,
    ),
    Kind(
        "map-turned-before",
        "Maps were negated before they were normalised.",
        RawMaps(lambda values: values.max() - values),
        untold=AGAIN,
    ),
    Kind(
        "map-nan-before",
        "The method gives no number for some pixels.",
        RawMaps(lambda values: np.where(values == values.max(), np.nan, values)),
    ),
    Kind(
        "map-negative-before",
        "The method gives negative evidence, which maps do not have.",
        RawMaps(lambda values: values - values.max() / 2 - 1e-3),
    ),
    Kind(
        "map-zero-before",
        "The method finds nothing in some images.",
        RawMaps(np.zeros_like),
        untold="Grad-CAM gives 0 throughout where all evidence is negative: it is told of, as the "
        "map's status, and warned of where it is common",
    ),
    Kind(
        "map-status",
        "Maps have the status of one that is constant.",
        _maps(put(status="constant_map")),
    ),
    Kind("map-status-unknown", "Maps have a status that there is not.", _maps(put(status="good"))),
    Kind(
        "map-ties-stale",
        "The share of ties is another one.",
        _maps(put(tie_share=lambda s: 0.5 * s + 0.25)),
    ),
    Kind(
        "map-unit-lost",
        "Offset and scale of maps are lost.",
        _maps(put(offset=None, scale=None)),
    ),
    Kind(
        "map-scale-zero",
        "The range of maps is said to be 0.",
        _maps(put(scale=0.0)),
    ),
    Kind(
        "map-pixels-stale",
        "Maps name other pixels than those that they are of.",
        _maps(exchanged("pixel_sha256")),
    ),
    Kind("cohort-lost", "Rows of the cohort are missing.", _cohort(dropped())),
    Kind(
        "cohort-spoilt",
        "Rows are out because of maps that are good.",
        _cohort(put(counts=False, reason="nan_map", faulty_methods=["gradcam"])),
    ),
    Kind("cohort-out", "Rows do not count, and no reason is given.", _cohort(put(counts=False))),
    Kind(
        "cohort-correct",
        "It is wrong whether predictions are.",
        _cohort(put(correct=lambda own: not own)),
    ),
    Kind(
        "cohort-split",
        "Rows of the cohort are of another split.",
        _cohort(put(split=lambda own: "tune" if own == "test" else "test")),
    ),
    Kind(
        "cohort-calibrated",
        "Calibrated probabilities of the cohort are those of others.",
        _cohort(exchanged("calibrated")),
    ),
    Kind(
        "cohort-group", "Rows of the cohort are of other lesions.", _cohort(exchanged("group_id"))
    ),
    Kind("cohort-twice", "Rows of the cohort stand there twice.", _cohort(twice())),
)
