"""ChestX-Det: frontal chest radiographs with boxes and polygons of findings.

Images: NIH ChestX-ray14 (Wang et al. 2017). Annotations: Lian et al., arXiv
2104.10326 (13 findings, polygons), and Liu et al., arXiv 2006.10550
(ChestX-Det10: ten findings, boxes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from saliency_audit.datasets.chestxdet_annotations import (
    ANNOTATED_SIDE,
    TEN,
    THIRTEEN,
    Fault,
    Outline,
    Row,
    read_items,
    read_row,
)
from saliency_audit.datasets.image_files import UnusableFile, read_picture
from saliency_audit.datasets.mask_scaling import Mask
from saliency_audit.datasets.polygons import draw_polygon
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.datasets.source_parameters import Size
from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.parameters import Checked
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Length, Share, Text

#: Labels by variant.
VARIANTS = {"chestxdet10": TEN, "chestxdet13": THIRTEEN}
#: Folders of images by release; those that are there count.
IMAGE_FOLDERS = ("images", "images_64", "train_data", "test_data")


@dataclass(frozen=True)
class ChestXDet(Checked):
    """Source of ChestX-Det: multi-label, a mask per finding, patients as groups.

    ``source``: its folder; ``size``: working resolution (H, W), pixels, 8 or more;
    ``variant``: ``chestxdet10`` (the other three findings are left out, their images stay) or
    ``chestxdet13``; ``mask_source``: what masks are drawn from, ``polygons`` or ``boxes``;
    ``folders``: folders of images within ``source``, None for those of the known releases;
    ``max_set_aside``: largest share of rows and files that may be unusable, 0 to 1. A copy with a
    part of the images needs a high one: each row without its image counts.

    An image is named by its file without suffix; in a later folder that repeats the name
    of a former, by ``name@folder``. Notes: ``annotation_clipped`` (coordinates outside of
    the image), ``group_unknown`` (no patient known: the image is its own group).
    """

    kind: Literal["chestxdet"] = "chestxdet"
    source: str = ""
    size: Size = (224, 224)
    variant: Literal["chestxdet10", "chestxdet13"] = "chestxdet10"
    mask_source: Literal["polygons", "boxes"] = "polygons"
    folders: Annotated[tuple[Text, ...], Length(1)] | None = None
    max_set_aside: Share = 0.01

    def describe(self) -> Description:
        """Say what the source is."""
        return Description(
            VARIANTS[self.variant], Labelling.MULTILABEL, MaskKind.PER_LABEL, self.size
        )

    def samples(self, progress: Progress = silent) -> Iterator[Sample | SetAside]:
        """Give the images with a row, in order of their ids; first what cannot be used.

        Reasons: ``row_malformed``, ``duplicate_row``, ``unknown_label``,
        ``annotation_malformed``, ``image_missing``, ``no_metadata`` (a file without a row), and
        those of unreadable files. Raises DataError where the folder is no ChestX-Det, or has no
        polygons and they are asked for.
        """
        folder = Path(self.source)
        files = _find_files(folder, self._folders(folder))
        rows: dict[str, tuple[Row, str, int]] = {}
        listed: set[str] = set()
        for name, number, item in read_items(folder):
            read = read_row(item, self.mask_source)
            if isinstance(read, Row) and read.file_name in listed:
                read = Fault(read.file_name, "duplicate_row", f"{read.file_name} has a row already")
            if read.file_name is not None:
                listed.add(read.file_name)
            if isinstance(read, Row) and read.file_name not in files:
                looked = ", ".join(self._folders(folder))
                read = Fault(
                    read.file_name,
                    "image_missing",
                    f"{read.file_name} is in none of {looked}: add it, or drop the row",
                )
            if isinstance(read, Row):
                rows[read.file_name] = (read, name, number)
            else:
                yield SetAside(read.image_id, name, number, read.reason, read.detail)
        for file_name in sorted(files.keys() - listed):
            for _, file in files[file_name]:
                detail = f"{file} has no row in the annotations: add one, or remove the file"
                yield SetAside(Path(file_name).stem, file, None, "no_metadata", detail)
        wanted = sorted(
            (image_id, file, file_name) for file_name in rows for image_id, file in files[file_name]
        )
        for done, (image_id, file, file_name) in enumerate(wanted, start=1):
            yield self._sample(folder, image_id, file, *rows[file_name])
            progress(done, len(wanted))

    def _folders(self, folder: Path) -> tuple[str, ...]:
        return self.folders or tuple(n for n in IMAGE_FOLDERS if (folder / n).is_dir())

    def _sample(
        self, folder: Path, image_id: str, file: str, row: Row, table: str, number: int
    ) -> Sample | SetAside:
        try:
            picture = read_picture(folder / file, self.size)
        except UnusableFile as fault:
            return SetAside(image_id, file, number, fault.reason, fault.detail, table)
        labels = tuple(name for name in VARIANTS[self.variant] if name in row.outlines)
        masks = {label: _draw(row.outlines[label], self.size) for label in labels}
        notes = (*(("annotation_clipped",) if row.clipped else ()), *picture.notes)
        return Sample(
            image_id=image_id,
            group_id=row.patient or f"image-{Path(row.file_name).stem}",
            labels=labels,
            pixels=picture.pixels,
            masks=masks,
            strata={"official_split": row.split, "folder": file.rsplit("/", 1)[0]},
            instances={label: len(row.outlines[label]) for label in labels},
            width=picture.width,
            height=picture.height,
            source_file=file,
            notes=notes if row.patient else (*notes, "group_unknown"),
            table=table,
            row=number,
        )


def _draw(outlines: Sequence[Outline], size: tuple[int, int]) -> Mask:
    """Draw the union of outlines at a size (H, W)."""
    scale = np.array([size[1], size[0]]) / ANNOTATED_SIDE
    mask = np.zeros(size, bool)
    for outline in outlines:
        mask |= draw_polygon(outline * scale, size)
    return mask


def _find_files(folder: Path, names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Give, by file name, the images of that name: id, and path within the folder."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        place = folder / name
        if not place.is_dir():
            raise DataError(f"{place} is missing: give folders of images within {folder}")
        for file in sorted(entry.name for entry in place.iterdir() if entry.suffix == ".png"):
            stem = Path(file).stem
            image_id = f"{stem}@{name}" if file in found else stem
            found.setdefault(file, []).append((image_id, f"{name}/{file}"))
    return found
