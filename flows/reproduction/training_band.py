"""Whether a training that gave other weights gave as good a model: its metrics within a band.

Training carries a last bit on and on, so that on another processor its weights are others after
some epochs, though nothing is wrong. What must hold is how good they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.reproduction.comparison import DIFFERENT, Comparison
from flows.reproduction.values import Difference, Tolerance, one_sided, tree_differences
from tasks.artifacts import read_json

STAGES = ("train_classifier", "train_segmenter")
#: What an artifact is whose training came out within the band.
IN_BAND = "within band"
#: Keys of model.json that say how a training went: other weights have others.
FREE = ("training", "epochs", "best_epoch", "digest")
#: Parts of model.json's quality that are losses, from 0 up; all others are in [0, 1].
LOSSES = ("log_loss",)


@dataclass(frozen=True)
class Band:
    """How far the metrics of two trainings may be apart; docs/reproduction.md gives reasons.

    ``quality``: of metrics in [0, 1] on the test split (accuracy, AUROC, Dice, IoU), absolute: two
    standard errors of the accuracy of a model that is right on 9 of 10 of 150 images. ``loss``: of
    the lowest tune loss and the log loss, as a share of the recorded one: losses have no upper end.
    """

    quality: float = 0.05
    loss: float = 0.2


def compare_trainings(recorded: Path, rerun: Path, tolerance: Tolerance, band: Band) -> Comparison:
    """Judge a folder of weights.safetensors, model.json and history.parquet by its metrics."""
    found = [
        *_metric_differences(recorded, rerun, tolerance, band),
        *_loss_differences(recorded, rerun, band),
        *_shape_differences(recorded, rerun),
    ]
    state = IN_BAND if all(d.within for d in found) else DIFFERENT
    return Comparison(state, tuple(found), "other weights, judged by their metrics")


def _metric_differences(
    recorded: Path, rerun: Path, tolerance: Tolerance, band: Band
) -> Iterator[Difference]:
    """Compare model.json: quality on the test split by the band, what was trained by tolerance."""
    cards = [read_json(folder / "model.json") for folder in (recorded, rerun)]
    for key in sorted({*cards[0], *cards[1]} - {*FREE, "quality"}):
        place = f"model.json, {key}"
        if key not in cards[0] or key not in cards[1]:
            yield one_sided(place, key in cards[0])
        else:
            yield from tree_differences(cards[0][key], cards[1][key], tolerance, place)
    leaves = [dict(_numbers(card.get("quality", {}).get("test", {}))) for card in cards]
    for key in sorted({*leaves[0], *leaves[1]}):
        one, other = leaves[0].get(key), leaves[1].get(key)
        if one == other:
            continue
        place = f"model.json, quality.test.{key}"
        if one is None or other is None:
            yield Difference(place, str(one), str(other), within=False)
        else:
            lossy = key.rsplit(".", 1)[-1] in LOSSES
            limit = band.loss * abs(one) if lossy else band.quality
            yield _banded(place, one, other, limit)


def _numbers(tree: Any, prefix: str = "") -> Iterator[tuple[str, float | None]]:
    """Give the metrics of a tree by dotted key; counts of images are none."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _numbers(value, f"{prefix}.{key}" if prefix else key)
    elif tree is None or isinstance(tree, float):
        yield prefix, tree


def _loss_differences(recorded: Path, rerun: Path, band: Band) -> Iterator[Difference]:
    """Compare the lowest tune losses; an adopted model has none."""
    lowest = [_lowest_loss(folder / "history.parquet") for folder in (recorded, rerun)]
    one, other = lowest
    if one is None or other is None:
        if one != other:
            yield one_sided("history.parquet, epochs", one is not None)
    elif one != other:
        yield _banded("history.parquet, lowest tune_loss", one, other, band.loss * abs(one))


def _lowest_loss(path: Path) -> float | None:
    losses = pq.read_table(path, columns=["tune_loss"]).column("tune_loss").to_pylist()
    return min(losses) if losses else None


def _shape_differences(recorded: Path, rerun: Path) -> Iterator[Difference]:
    """Compare which tensors there are, not what is in them."""
    files = [folder / "weights.safetensors" for folder in (recorded, rerun)]
    if not all(file.is_file() for file in files):
        if files[0].is_file() != files[1].is_file():
            yield one_sided("weights.safetensors", files[0].is_file())
        return
    shapes = [_shapes(file) for file in files]
    for name in sorted({*shapes[0], *shapes[1]}):
        one, other = (found.get(name, "not there") for found in shapes)
        if one != other:
            place = f"weights.safetensors, tensor {name}"
            yield Difference(place, one, other, within=False)


def _shapes(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
        return {name: f"{s.get_dtype()} {s.get_shape()}" for name, s in slices.items()}


def _banded(place: str, one: float, other: float, limit: float) -> Difference:
    more = f"may be {limit:.3g} apart"
    return Difference(place, f"{one:.6g}", f"{other:.6g}", abs(one - other) <= limit, more)
