"""HAM10000: dermoscopic images of pigmented skin lesions, one mask each.

Images and table: Tschandl, Rosendahl, Kittler, Scientific Data 5:180161
(2018), doi:10.7910/DVN/DBW86T. Masks: Tschandl et al., Nature Medicine 26
(2020), in the same record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from saliency_audit.datasets.csv_rows import read_csv
from saliency_audit.datasets.image_files import UnusableFile, read_mask, read_picture
from saliency_audit.datasets.mask_scaling import Mask
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.datasets.selection import choose
from saliency_audit.datasets.source_parameters import Choice, Size
from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.parameters import Checked
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Seed, Share

#: The diagnoses (``dx``), in alphabetical order.
LABELS = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
IMAGE_FOLDERS = ("images", "HAM10000_images_part_1", "HAM10000_images_part_2")
MASK_FOLDERS = ("masks", "HAM10000_segmentations_lesion_tschandl")
COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


@dataclass(frozen=True)
class Ham10000(Checked):
    """Source of HAM10000 in the layout of its public archive, or with ``images`` and ``masks``.

    ``source``: its folder; ``size``: working resolution (H, W), pixels, 8 or more;
    ``images``: None for all, or how many, 1 or more: drawn in proportion to the diagnoses, lesion
    by lesion; ``seed``: of that drawing;
    ``max_set_aside``: largest share of rows and files that may be unusable, 0 to 1.

    Images are named ``<image_id>.jpg``, masks ``<image_id>.png`` or
    ``<image_id>_segmentation.png``. Groups are lesions.
    """

    kind: Literal["ham10000"] = "ham10000"
    source: str = ""
    size: Size = (224, 224)
    images: Choice = None
    seed: Seed = 0
    max_set_aside: Share = 0.01

    def describe(self) -> Description:
        """Say what the source is; without a folder of masks it has none."""
        folder = Path(self.source)
        masks = any((folder / name).is_dir() for name in MASK_FOLDERS)
        kind = MaskKind.SINGLE if masks else MaskKind.NONE
        return Description(LABELS, Labelling.MULTICLASS, kind, self.size)

    def samples(self, progress: Progress = silent) -> Iterator[Sample | SetAside]:
        """Give the images with a row, in order of image_id; first what cannot be used.

        Reasons: ``row_malformed``, ``duplicate_row``, ``unknown_label``, ``image_missing``,
        ``no_metadata`` (a file without a row), and those of unreadable files.
        Raises DataError where the folder is no HAM10000.
        """
        folder = Path(self.source)
        files = _find_files(folder, IMAGE_FOLDERS, ".jpg")
        masks = _find_files(folder, MASK_FOLDERS, ".png")
        rows: dict[str, tuple[int, Mapping[str, str]]] = {}
        listed: set[str] = set()
        table = _find_table(folder)
        for line, cells in _rows(table):
            image_id = cells["image_id"] if cells else None
            fault = _fault(cells, files, listed)
            if image_id is not None:
                listed.add(image_id)
            if fault is None and cells is not None:
                rows[cells["image_id"]] = (line, cells)
            elif fault is not None:
                yield SetAside(image_id, table.name, line, *fault)
        for image_id in sorted(files.keys() - listed):
            yield SetAside(
                image_id,
                files[image_id],
                None,
                "no_metadata",
                f"{files[image_id]} has no row in the table: add one, or remove the file",
            )
        ids = list(rows)
        chosen = choose(
            ids,
            [rows[i][1]["dx"] for i in ids],
            self.images,
            self.seed,
            group_ids=[rows[i][1]["lesion_id"] for i in ids],
        )
        for done, image_id in enumerate(chosen, start=1):
            line, cells = rows[image_id]
            file, mask = files[image_id], masks.get(image_id)
            yield self._sample(folder, file, mask, table.name, line, cells)
            progress(done, len(chosen))

    def _sample(
        self,
        folder: Path,
        file: str,
        mask_file: str | None,
        table: str,
        line: int,
        cells: Mapping[str, str],
    ) -> Sample | SetAside:
        image_id, label = cells["image_id"], cells["dx"]
        try:
            picture = read_picture(folder / file, self.size)
            source_size = (picture.width, picture.height)
            masks: dict[str, Mask] = {}
            notes: tuple[str, ...] = ("mask_missing",)
            if mask_file is not None:
                masks[EVERY_LABEL], notes = read_mask(folder / mask_file, source_size, self.size)
        except UnusableFile as fault:
            return SetAside(image_id, file, line, fault.reason, fault.detail, table)
        return Sample(
            image_id=image_id,
            group_id=cells["lesion_id"],
            labels=(label,),
            pixels=picture.pixels,
            masks=masks,
            strata={
                "age": _whole(cells["age"]),
                "sex": _known(cells["sex"]),
                "localization": _known(cells["localization"]),
                "dx_type": _known(cells["dx_type"]),
            },
            instances={label: 1},
            width=picture.width,
            height=picture.height,
            source_file=file,
            notes=(*picture.notes, *notes),
            table=table,
            row=line,
        )


def _find_table(folder: Path) -> Path:
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if table is None:
        raise DataError(f"{folder} holds no {TABLES[0]}: give the folder of HAM10000 as source")
    return table


def _rows(table: Path) -> Iterator[tuple[int, Mapping[str, str] | None]]:
    for row in read_csv(table, COLUMNS).rows:
        yield row.line, row.cells


def _fault(
    cells: Mapping[str, str] | None, files: Mapping[str, str], listed: set[str]
) -> tuple[str, str] | None:
    """Reason and detail why a row cannot be used, None where it can."""
    if cells is None or not cells["image_id"] or not cells["lesion_id"]:
        return "row_malformed", "the row lacks cells, or image_id or lesion_id: mend it"
    image_id = cells["image_id"]
    if image_id in listed:
        return "duplicate_row", f"{image_id} has a row already, which counts: remove one"
    if cells["dx"] not in LABELS:
        known = ", ".join(LABELS)
        return "unknown_label", f"dx {cells['dx']!r} is no diagnosis of HAM10000 ({known})"
    if image_id not in files:
        looked = ", ".join(IMAGE_FOLDERS)
        return "image_missing", f"{image_id}.jpg is in none of {looked}: add it, or drop the row"
    return None


def _find_files(folder: Path, names: tuple[str, ...], suffix: str) -> dict[str, str]:
    """Files by image_id, relative to the folder; the first folder that has one counts."""
    found: dict[str, str] = {}
    for name in names:
        place = folder / name
        if place.is_dir():
            for file in sorted(entry.name for entry in place.iterdir()):
                if file.lower().endswith(suffix):
                    image_id = file[: -len(suffix)].removesuffix("_segmentation")
                    found.setdefault(image_id, f"{name}/{file}")
    return found


def _known(cell: str) -> str | None:
    return None if cell in ("", "unknown") else cell


def _whole(cell: str) -> str | None:
    """Age as plain text: 80.0 becomes 80; what is no number is unknown."""
    try:
        return f"{float(cell):g}"
    except ValueError:
        return None
