"""Kinds that the measuring stages might bring in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from saliency_audit.measures.localisation_figures import COMPARED

from .kind import Kind, dropped, each, exchanged, put, twice
from .seams import Joined, Pick, Row, Rows


def _located(change: Any) -> Rows:
    return Rows("apply_segx", "tiny", change)


def _certain(change: Any) -> Rows:
    return Rows("score_segu", "tiny", change)


def _cells(change: Any) -> Rows:
    return Rows("aggregate_agreement", "cells", change)


def _votes(change: Any) -> Rows:
    return Rows("aggregate_agreement", "agreement", change)


def _is_map(row: Row) -> bool:
    return bool(row["saliency"] == "map" and row["status"] == "ok")


def _swapped(one: str, two: str) -> Any:
    return each(
        lambda row, _: row.update({one: row[two], two: row[one]}),
        lambda row: row[one] is not None and row[one] != row[two],
    )


def _relabelled(column: str, one: str, two: str, *names: str) -> Any:
    """Exchange the values of rows that differ in one word of their key."""

    def change(rows: list[Row], pick: Pick) -> None:
        key = ("image_id", "label", "method", "masks", "saliency", "reading")
        own = {tuple(row.get(name) for name in key): n for n, row in enumerate(rows)}

        def mate(row: Row) -> int | None:
            return own.get(tuple({**row, column: two}.get(name) for name in key))

        def differs(row: Row) -> bool:
            there = mate(row)
            return (
                row[column] == one
                and there is not None
                and [row[n] for n in names] != [rows[there][n] for n in names]
            )

        for n in pick(rows, differs):
            there = mate(rows[n])
            assert there is not None
            for name in names:
                rows[n][name], rows[there][name] = rows[there][name], rows[n][name]

    return change


def _other_masks(which: str) -> Any:
    """Measure against another image's masks."""

    def change(rows: list[Any], pick: Pick) -> None:
        before = list(rows)
        for n in pick(rows, lambda row: bool(getattr(row.regions, which))):
            mate = pick.other(
                before,
                n,
                lambda row, n=n: (
                    bool(getattr(row.regions, which))
                    and row.cohort["image_id"] != before[n].cohort["image_id"]
                ),
            )
            taken = replace(before[n].regions, **{which: getattr(mate.regions, which)})
            rows[n] = replace(before[n], regions=taken)

    return change


def _mirrored_masks(which: str) -> Any:
    """Measure against mirrored masks: areas stay."""

    def change(rows: list[Any], pick: Pick) -> None:
        for n in pick(rows, lambda row: bool(getattr(row.regions, which))):
            own = getattr(rows[n].regions, which)
            turned = {label: mask[:, ::-1].copy() for label, mask in own.items()}
            rows[n] = replace(rows[n], regions=replace(rows[n].regions, **{which: turned}))

    return change


def _other_maps(rows: list[Any], pick: Pick) -> None:
    """Measure another image's maps."""
    before = list(rows)
    for n in pick(rows):
        mate = pick.other(
            before, n, lambda row, n=n: row.cohort["image_id"] != before[n].cohort["image_id"]
        )
        rows[n] = replace(before[n], maps=mate.maps)


def _transposed(rows: list[Row], pick: Pick) -> None:
    """Number the cells column by column."""
    maps = sorted({(row["image_id"], row["label"], row["method"]) for row in rows})
    touched = {maps[n] for n in pick(maps)}
    for row in rows:
        if (row["image_id"], row["label"], row["method"]) in touched:
            row["cell"] = row["cell"] % 3 * 3 + row["cell"] // 3


def _lowest(rows: list[Row], pick: Pick) -> None:
    """Vote for the cells of lowest mean."""
    maps: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row["mean"] is not None:
            maps.setdefault((row["image_id"], row["label"], row["method"]), []).append(row)
    keys = sorted(maps)
    for n in pick(keys):
        own = maps[keys[n]]
        lowest = sorted(own, key=lambda row: row["mean"])[:3]
        for row in own:
            row["top"] = row in lowest


KINDS = (
    Kind("iou-percent", "IoU is in percent.", _located(put(iou=lambda v: 100 * v + 1))),
    Kind(
        "iou-and-auitc-exchanged",
        "IoU and AUITC stand in each other's column.",
        _located(_swapped("iou", "auitc")),
    ),
    Kind(
        "readings-exchanged",
        "What is before SegX and what is after it are exchanged.",
        _located(_relabelled("reading", "original", "segx", *COMPARED)),
    ),
    Kind(
        "controls-exchanged",
        "A map and its shuffled control are exchanged.",
        _located(_relabelled("saliency", "map", "shuffled", *COMPARED)),
    ),
    Kind(
        "iou-of-others",
        "IoU is that of another image.",
        _located(exchanged("iou", where=_is_map)),
    ),
    Kind(
        "auitc-of-others",
        "AUITC is that of another image.",
        _located(exchanged(*(name for name in COMPARED if "auitc" in name), where=_is_map)),
    ),
    Kind(
        "iou-above-ceiling",
        "IoU is above the highest possible.",
        _located(
            each(
                lambda row, _: row.update(iou=min(1.0, row["iou_ceiling"] + 0.01)),
                lambda row: _is_map(row) and row["iou_ceiling"] < 0.98,
            )
        ),
    ),
    Kind(
        "iou-null",
        "IoU is null, and the status says that all is well.",
        _located(each(lambda row, _: row.update(iou=None), _is_map)),
    ),
    Kind(
        "null-as-zero",
        "What has no value has 0.",
        _located(
            each(
                lambda row, _: row.update(dict.fromkeys(COMPARED, 0.0)),
                lambda row: row["iou"] is None,
            )
        ),
        "chest",
    ),
    Kind(
        "truth-area-pixels",
        "The area of the clinician's mask is in pixels.",
        _located(put(truth_area=lambda v: 1920 * v)),
    ),
    Kind("localisation-twice", "Rows stand there twice.", _located(twice())),
    Kind("localisation-lost", "Rows are missing.", _located(dropped())),
    Kind(
        "segx-with-other-mask",
        "SegX is applied with another image's mask.",
        Joined("apply_segx", _other_masks("predicted")),
    ),
    Kind(
        "segx-with-mirrored-mask",
        "SegX is applied with the mirrored mask.",
        Joined("apply_segx", _mirrored_masks("predicted")),
    ),
    Kind(
        "iou-with-other-mask",
        "IoU is with another image's mask.",
        Joined("apply_segx", _other_masks("truth")),
    ),
    Kind(
        "iou-with-mirrored-mask",
        "IoU is with the mirrored mask.",
        Joined("apply_segx", _mirrored_masks("truth")),
    ),
    Kind(
        "iou-of-other-map",
        "What is measured are another image's maps.",
        Joined("apply_segx", _other_maps),
    ),
    Kind("c-iou-percent", "c_IoU is in percent.", _certain(put(c_iou=lambda v: 100 * v + 1))),
    Kind(
        "c-iou-and-precision-exchanged",
        "c_IoU and precision stand in each other's column.",
        _certain(_swapped("c_iou", "precision")),
    ),
    Kind(
        "c-iou-ceiling",
        "The ceiling is that of another mask.",
        _certain(exchanged("c_iou_ceiling")),
    ),
    Kind(
        "c-iou-with-other-mask",
        "c_IoU is with another image's mask.",
        Joined("score_segu", _other_masks("predicted")),
    ),
    Kind(
        "c-iou-with-mirrored-mask",
        "c_IoU is with the mirrored mask.",
        Joined("score_segu", _mirrored_masks("predicted")),
    ),
    Kind(
        "c-iou-of-other-map",
        "What is scored are another image's maps.",
        Joined("score_segu", _other_maps),
    ),
    Kind(
        "c-iou-with-truth",
        "c_IoU is with the clinician's mask.",
        _certain(_relabelled("masks", "single", "truth", "c_iou", "c_auitc", "precision")),
    ),
    Kind(
        "mean-probability-of-others",
        "The segmenter's mean probability is that of another image.",
        _certain(
            exchanged("mean_mask_probability", where=lambda r: bool(r["mean_mask_probability"]))
        ),
    ),
    Kind("certainty-lost", "Rows are missing.", _certain(dropped())),
    Kind("certainty-twice", "Rows stand there twice.", _certain(twice())),
    Kind(
        "certainty-status",
        "Rows say that there is no mask, and have values.",
        _certain(put(status="no_predicted_mask")),
    ),
    Kind("grid-transposed", "Cells are numbered column by column.", _cells(_transposed)),
    Kind("top-lowest", "Maps vote for the cells of lowest mean.", _cells(_lowest)),
    Kind(
        "cell-percent",
        "The saliency of cells is in percent.",
        _cells(put(mean=lambda v: 100 * v + 1)),
    ),
    Kind(
        "cell-disorder",
        "Mean and highest value of cells stand in each other's column.",
        _cells(_swapped("mean", "maximum")),
    ),
    Kind("cells-lost", "Cells are missing.", _cells(dropped())),
    Kind(
        "cells-of-other-map",
        "What is put on the grid are another image's maps.",
        Joined("aggregate_agreement", _other_maps),
    ),
    Kind(
        "count-off-by-one",
        "Counts of votes are too high by one.",
        _votes(put(count=lambda n: n + 1)),
    ),
    Kind(
        "valid-methods",
        "A method counts as one that can vote, too many.",
        _votes(put(valid_methods=lambda n: n + 1)),
    ),
    Kind("agreement-lost", "Cells have no count.", _votes(dropped())),
    Kind(
        "agreement-of-others",
        "Votes are those of another image.",
        _votes(exchanged("count")),
    ),
)
