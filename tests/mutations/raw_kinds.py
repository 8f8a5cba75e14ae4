"""Kinds that a person brings in with a folder: its table, its images, its masks."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from .kind import Kind, exchanged, need, shifted
from .seams import Pick, Raw, RawFolder

Picture = Callable[[np.ndarray], np.ndarray]
NOISE = (
    "an image with another label is what a clinician's other opinion looks like: that data is as "
    "likely, and whether the picture bears its label is what the classifier is to find out"
)
WHO = (
    "which images show one patient or lesion is known to the table alone: that two that look "
    "unlike belong together, or apart, is as likely"
)


def _rows(change: Any) -> Raw:
    def of_folder(folder: RawFolder, pick: Pick) -> None:
        found = change(folder.rows, pick)
        if found is not None:
            folder.rows = found

    return Raw(of_folder)


def _cells(column: str, edit: Callable[[str, Pick], str]) -> Raw:
    def change(folder: RawFolder, pick: Pick) -> None:
        for n in pick(folder.rows, lambda row: bool(row[column])):
            folder.rows[n][column] = edit(folder.rows[n][column], pick)

    return Raw(change)


def _pictures(column: str, edit: Picture) -> Raw:
    def change(folder: RawFolder, pick: Pick) -> None:
        for n in pick(folder.rows, lambda row: bool(row[column])):
            name = folder.rows[n][column]
            folder.draw(name, np.ascontiguousarray(edit(folder.picture(name))))

    return Raw(change)


def _copies(edit: Callable[[RawFolder, str, str], None], **cells: str) -> Raw:
    """Take images in once more, under another name and as of another patient or lesion."""

    def change(folder: RawFolder, pick: Pick) -> None:
        labels = {row["label"] for row in folder.rows}
        for n in pick(folder.rows):
            row = dict(folder.rows[n])
            name = row["image"].replace(".png", "-b.png")
            edit(folder, row["image"], name)
            row.update(image=name, group=f"{row['group']}-b", **cells)
            if "label" in cells:
                row["label"] = min(labels - {folder.rows[n]["label"]})
            folder.rows.append(row)

    return Raw(change)


def _copy(folder: RawFolder, name: str, target: str) -> None:
    folder.draw(target, folder.picture(name))


def _as_jpeg(folder: RawFolder, name: str, target: str) -> None:
    file = io.BytesIO()
    Image.fromarray(folder.picture(name)).save(file, "JPEG", quality=80)
    folder.store(target, file.getvalue())


def _brighter(folder: RawFolder, name: str, target: str) -> None:
    folder.draw(target, np.clip(folder.picture(name) * 0.9 + 20, 0, 255).astype(np.uint8))


def _files_exchanged(column: str) -> Raw:
    """Exchange files in a ring, under names that stay."""

    def change(folder: RawFolder, pick: Pick) -> None:
        ring = pick(folder.rows)
        if len(ring) == 1:
            ring.append((ring[0] + 7) % len(folder.rows))
        names = [folder.rows[n][column] for n in ring]
        pictures = [folder.picture(name) for name in names]
        for name, picture in zip(names, [*pictures[1:], pictures[0]], strict=True):
            folder.draw(name, picture)

    return Raw(change)


def _lost(column: str) -> Raw:
    def change(folder: RawFolder, pick: Pick) -> None:
        for n in pick(folder.rows):
            folder.rows[n][column] = folder.rows[n][column].replace(".png", "_.png")

    return Raw(change)


def _wrong_finding(folder: RawFolder, pick: Pick) -> None:
    """Put a mask into the column of a finding that the image does not have."""
    names = [name for name in folder.rows[0] if name.startswith("mask_")]
    some = pick(folder.rows, lambda row: 0 < sum(bool(row[n]) for n in names) < len(names))
    for n in some:
        row = folder.rows[n]
        own = next(name for name in names if row[name])
        free = next(name for name in names if not row[name])
        row[own], row[free] = "", row[own]


def _findings_exchanged(folder: RawFolder, pick: Pick) -> None:
    names = [name for name in folder.rows[0] if name.startswith("mask_")]
    for n in pick(folder.rows, lambda row: sum(bool(row[name]) for name in names) > 1):
        row = folder.rows[n]
        one, two = [name for name in names if row[name]][:2]
        row[one], row[two] = row[two], row[one]


def _again(folder: RawFolder, pick: Pick) -> None:
    for n in reversed(pick(folder.rows)):
        folder.rows.insert(n + 1, dict(folder.rows[n]))


def _merged(folder: RawFolder, pick: Pick) -> None:
    some = pick(folder.rows)
    for n in some:
        mate = pick.other(folder.rows, n, lambda row: True)
        folder.rows[n]["group"] = mate["group"]


def _apart(folder: RawFolder, pick: Pick) -> None:
    groups = [row["group"] for row in folder.rows]
    some = pick(folder.rows, lambda row: groups.count(row["group"]) > 1)
    for n in some:
        folder.rows[n]["group"] += "-other"


def _spelled(folder: RawFolder, pick: Pick) -> None:
    groups = [row["group"] for row in folder.rows]
    for n in pick(folder.rows, lambda row: groups.count(row["group"]) > 1):
        folder.rows[n]["group"] = folder.rows[n]["group"].upper()


def _removed(folder: RawFolder, pick: Pick) -> None:
    gone = set(pick(folder.rows))
    for n in gone:
        for column in ("image", "mask"):
            (folder.path / folder.rows[n][column]).unlink()
    folder.rows = [row for n, row in enumerate(folder.rows) if n not in gone]


def _shuffled_within_label(folder: RawFolder, pick: Pick) -> None:
    exchanged("label", by="image")(folder.rows, pick)


def _thumbnails(folder: RawFolder, pick: Pick) -> None:
    for n in pick(folder.rows):
        small = Image.fromarray(folder.picture(folder.rows[n]["image"]))
        small = small.resize((small.width // 4, small.height // 4), Image.Resampling.BOX)
        folder.draw(folder.rows[n]["image"], np.array(small))


def _rolled(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape[:2]
    return np.roll(mask, (height // 4, width // 4), (0, 1))


def _noise(pixels: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(int(pixels.sum(dtype=np.int64)))
    return rng.integers(0, 256, pixels.shape, np.uint8)


def _soft(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    found: np.ndarray = uniform_filter(mask.astype(float), 5)
    need(bool(found.any()), "the mask is empty")
    return np.round(found).astype(np.uint8)


KINDS = (
    Kind(
        "label-misspelt",
        "Labels are written otherwise than the dataset's: `Network_` for `network`.",
        _cells("label", lambda cell, _: f"{cell.title()}_"),
    ),
    Kind("label-case", "Labels begin with a capital.", _cells("label", lambda c, _: c.title())),
    Kind("label-lost", "Rows have no label.", _cells("label", lambda cell, _: "")),
    Kind(
        "label-twice",
        "Rows of a multi-class table have two labels.",
        _cells("label", lambda c, _: f"{c};{'veil' if c != 'veil' else 'network'}"),
    ),
    Kind(
        "labels-shuffled",
        "Labels of some images are those of others.",
        Raw(_shuffled_within_label),
        untold=NOISE,
    ),
    Kind(
        "labels-slipped",
        "The label column has slipped down by one row.",
        _rows(shifted("label")),
        untold=NOISE,
    ),
    Kind("row-twice", "Rows stand in the table twice.", Raw(_again)),
    Kind(
        "image-copied",
        "Images stand there a second time, under another name, as of another lesion.",
        _copies(_copy),
    ),
    Kind(
        "image-copied-relabelled",
        "The same, and the copy has another label.",
        _copies(_copy, label="other"),
    ),
    Kind(
        "image-copied-jpeg",
        "Images stand there a second time as JPEG, as of another lesion.",
        _copies(_as_jpeg),
    ),
    Kind(
        "image-copied-brighter",
        "Images stand there a second time, brightened, as of another lesion.",
        _copies(_brighter),
    ),
    Kind("group-lost", "Rows do not name their lesion.", _cells("group", lambda cell, _: "")),
    Kind(
        "group-spelt-otherwise",
        "One lesion's name is written in capitals in some rows, and counts as another.",
        Raw(_spelled),
    ),
    Kind("groups-merged", "Images count as of another's lesion.", Raw(_merged), untold=WHO),
    Kind(
        "groups-apart", "Images of a lesion count as of one of their own.", Raw(_apart), untold=WHO
    ),
    Kind(
        "id-case",
        "The table writes image files in capitals.",
        _cells("image", lambda cell, _: cell.replace("skin-", "SKIN-")),
    ),
    Kind("id-shifted", "The image column has slipped down by one row.", _rows(shifted("image"))),
    Kind("image-lost", "Image files are not there under the name in the table.", _lost("image")),
    Kind(
        "rows-and-files-removed",
        "Images were removed with their masks and rows.",
        Raw(_removed),
        untold="what is left is a smaller dataset, as good as any",
    ),
    Kind(
        "channels-exchanged",
        "Images were saved as BGR: red and blue are exchanged.",
        _pictures("image", lambda p: p[..., ::-1]),
    ),
    Kind(
        "image-inverted",
        "Images are negatives: black is white.",
        _pictures("image", lambda p: 255 - p),
    ),
    Kind(
        "radiograph-inverted",
        "Radiographs are negatives, as MONOCHROME1 read as MONOCHROME2.",
        _pictures("image", lambda p: 255 - p),
        "chest",
    ),
    Kind(
        "image-dark",
        "Images are at an eighth of their brightness, as 12 bits read as 16.",
        _pictures("image", lambda p: p // 8),
    ),
    Kind(
        "image-unit",
        "Images were scaled to 0 to 1 before they were saved as whole numbers.",
        _pictures("image", lambda p: (p > 127).astype(np.uint8)),
    ),
    Kind(
        "image-blank",
        "Images are black throughout.",
        _pictures("image", np.zeros_like),
    ),
    Kind(
        "image-noise",
        "Images are noise, as raw bytes read with a wrong header.",
        _pictures("image", _noise),
    ),
    Kind("image-small", "Images are thumbnails of a quarter of the size.", Raw(_thumbnails)),
    Kind(
        "image-transposed",
        "Images were saved with height and width exchanged; their masks were not.",
        _pictures("image", lambda p: p.swapaxes(0, 1)),
    ),
    Kind(
        "image-upside-down",
        "Images were turned by half a turn; their masks were not.",
        _pictures("image", lambda p: p[::-1, ::-1]),
    ),
    Kind(
        "images-exchanged",
        "Image files are those of others, and masks and labels stay.",
        _files_exchanged("image"),
    ),
    Kind("masks-exchanged", "Mask files are those of others.", _files_exchanged("mask")),
    Kind(
        "masks-slipped",
        "The mask column has slipped down by one row.",
        _rows(shifted("mask")),
    ),
    Kind(
        "mask-inverted",
        "Masks are black where the lesion is.",
        _pictures("mask", lambda m: 255 - m),
    ),
    Kind("mask-empty", "Masks are black throughout.", _pictures("mask", np.zeros_like)),
    Kind(
        "mask-full",
        "Masks are white throughout.",
        _pictures("mask", lambda m: np.full_like(m, 255)),
    ),
    Kind("mask-moved", "Masks lie a quarter of the image off.", _pictures("mask", _rolled)),
    Kind("mask-mirrored", "Masks are mirrored.", _pictures("mask", lambda m: m[:, ::-1])),
    Kind(
        "mask-transposed",
        "Masks were saved with height and width exchanged.",
        _pictures("mask", lambda m: m.T),
    ),
    Kind(
        "mask-soft", "Masks are smoothed, and have more than two values.", _pictures("mask", _soft)
    ),
    Kind(
        "mask-class-number",
        "Masks hold 7 for the lesion, the number of its class.",
        _pictures("mask", lambda m: (m // 255 * 7).astype(np.uint8)),
    ),
    Kind("mask-file-lost", "Mask files are not there under the name in the table.", _lost("mask")),
    Kind(
        "mask-cell-lost",
        "Rows do not name their mask.",
        _cells("mask", lambda cell, _: ""),
        untold="an empty cell is how a table says that nobody has drawn the mask",
    ),
    Kind(
        "mask-of-no-finding",
        "Masks stand in the column of a finding that the image does not have.",
        Raw(_wrong_finding),
        "chest",
    ),
    Kind(
        "masks-of-findings-exchanged",
        "Two findings of an image have each other's mask.",
        Raw(_findings_exchanged),
        "chest",
        untold="that a film has one finding where another one is usual is as likely, and which "
        "finding a shape marks is known to the table alone",
    ),
    Kind(
        "age-in-months",
        "Ages are in months.",
        _cells("age", lambda cell, _: str(12 * int(cell))),
        "chest",
    ),
    Kind(
        "age-as-year",
        "Ages are years of birth.",
        _cells("age", lambda cell, _: str(2024 - int(cell))),
        "chest",
    ),
    Kind("age-999", "Unknown ages are written 999.", _cells("age", lambda cell, _: "999"), "chest"),
    Kind(
        "age-with-unit",
        "Ages have their unit with them: `52 years`.",
        _cells("age", lambda cell, _: f"{cell} years"),
        "chest",
    ),
    Kind(
        "sex-spelt-otherwise",
        "Sex is written with a capital in some rows, and counts as another one.",
        _cells("sex", lambda cell, _: cell.title()),
        "chest",
    ),
    Kind(
        "view-wrong",
        "The view of films is said to be the other one.",
        _cells("view", lambda cell, _: "AP" if cell == "PA" else "PA"),
        "chest",
        untold="both views are common, and how a film was taken is known to the table alone",
    ),
)
