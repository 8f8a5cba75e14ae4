"""A person's own data: a CSV beside image files of any common format.

The columns are told in the docstring of ``Folder``. Nothing is unpickled, and
no path leads out of the folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

from saliency_audit.datasets.csv_rows import Row, Table, read_csv
from saliency_audit.datasets.image_files import Picture, UnusableFile, read_mask, read_picture
from saliency_audit.datasets.mask_scaling import Mask
from saliency_audit.datasets.sample import Description, Sample, SetAside
from saliency_audit.datasets.selection import choose
from saliency_audit.datasets.source_parameters import Choice, Size
from saliency_audit.errors import DataError, ParameterError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.parameters import Checked
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Distinct, Seed, Share, Text

#: Columns with a meaning of their own; ``label`` may be called ``labels``.
IMAGE, GROUP, MASK, LABEL_COLUMNS = "image", "group", "mask", ("label", "labels")
MASK_PREFIX = "mask_"
#: What an image file's name may end in, for finding those that the table does not name.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")

#: Why a row cannot be used: reason in one word, and detail.
Fault = tuple[str, str]


@dataclass(frozen=True)
class Folder(Checked):
    """Source of images listed in a CSV file, one a row.

    The columns are

    - ``image``: its file, relative to the folder, which is also its id;
    - ``label`` (or ``labels``): its label; of several, separated by ``label_separator``;
    - ``group`` (may be left out): its patient or lesion; an empty cell is a group of its own;
    - ``mask`` (may be left out): the file of a mask for all labels, or
      ``mask_<label>``: that of one label; an empty cell is no mask;
    - all others: strata, as text; an empty cell is unknown.

    Parameters: ``source``: the folder; ``table``: the CSV file in it;
    ``labelling``: multiclass, multilabel or binary; ``labels``: in order, for binary the negative
    one first; None for those of the table, sorted; ``label_separator``: one character or more;
    ``size``: working resolution (H, W), pixels, 8 or more;
    ``images``: None for all, or how many, 1 or more: drawn in proportion to the labels, group by
    group; ``seed``: of that drawing;
    ``unlisted``: image files that no row names: ``set_aside`` counts them, ``ignore`` is for a
    table that names a part of its folder on purpose;
    ``max_set_aside``: largest share of rows and files that may be unusable, 0 to 1.
    """

    kind: Literal["folder"] = "folder"
    source: str = ""
    table: str = "images.csv"
    labelling: Labelling = Labelling.MULTICLASS
    labels: Annotated[tuple[Text, ...], Distinct()] | None = None
    label_separator: Text = ";"
    size: Size = (224, 224)
    images: Choice = None
    seed: Seed = 0
    unlisted: Literal["set_aside", "ignore"] = "set_aside"
    max_set_aside: Share = 0.01

    def __post_init__(self) -> None:
        """Check the ranges, and the labels beside the labelling; raises ParameterError."""
        super().__post_init__()
        if self.labels is not None and (fault := _wrong_number(self.labels, self.labelling)):
            raise ParameterError(f"labels: {fault}")

    def describe(self) -> Description:
        """Say what the source is, from its table; raises DataError as ``samples`` does."""
        return self._sound()[1]

    def samples(self, progress: Progress = silent) -> Iterator[Sample | SetAside]:
        """Give the images of the table, in order of their ids; first what cannot be used.

        Reasons: ``row_malformed``, ``path_outside``, ``duplicate_row``, ``unknown_label``,
        ``label_missing``, ``several_labels``, ``no_metadata`` (a file without a row),
        ``mask_missing`` and those of unreadable files.
        Notes besides those of images and masks: ``mask_missing`` (an empty cell),
        ``mask_without_label`` (a mask of a label that the image does not have; left out),
        ``group_unknown`` (no group is given).
        Raises DataError where the table is missing, unreadable or lacks a column; what else is
        wrong with it as a whole it names at once.
        """
        yield from self._items(*self._sound(), progress)

    def everything(self, progress: Progress = silent) -> Iterator[Sample | SetAside | DataError]:
        """Give what ``samples`` gives, and what it would raise; see ``ThoroughSource``."""
        try:
            table = self._read_table()
        except DataError as error:
            yield error
            return
        description, faults = self._describe(table)
        for fault in faults:
            yield DataError(f"{self._place}: {fault}")
        yield from self._items(table, description, progress, thorough=True)

    def _sound(self) -> tuple[Table, Description]:
        """Read the table; raises DataError for all that is wrong with it as a whole."""
        table = self._read_table()
        description, faults = self._describe(table)
        if faults:
            raise DataError(f"{self._place}: {'; '.join(faults)}")
        return table, description

    def _items(
        self, table: Table, description: Description, progress: Progress, thorough: bool = False
    ) -> Iterator[Sample | SetAside]:
        rows: dict[str, tuple[Row, tuple[str, ...]]] = {}
        for row in table.rows:
            faults = self._faults(row, description, rows)
            cells = row.cells or {}
            if not faults:
                rows[_image_id(cells)] = (row, self._labels_of(cells, description.labels))
                continue
            if thorough and cells.get(IMAGE) and _image_id(cells) not in rows:
                labels = self._labels_of(cells, description.labels)
                faults += self._files(cells, labels, description.mask_kind).faults
            yield SetAside(
                cells.get(IMAGE) or None, self.table, row.line, *faults[0], more=tuple(faults[1:])
            )
        yield from self._unlisted(table)
        ids = list(rows)
        groups = [_group(rows[i][0].cells or {}) for i in ids]
        chosen = choose(ids, [rows[i][1] for i in ids], self.images, self.seed, group_ids=groups)
        for done, image_id in enumerate(chosen, start=1):
            yield self._sample(*rows[image_id], description)
            progress(done, len(chosen))

    @property
    def _place(self) -> Path:
        return Path(self.source) / self.table

    def _read_table(self) -> Table:
        folder = Path(self.source)
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder: give that of {self.table} as source")
        table = read_csv(contained(folder, self.table), (IMAGE,))
        if sum(name in table.columns for name in LABEL_COLUMNS) != 1:
            raise DataError(
                f"{self._place} needs one column label or labels: "
                f"its columns are {', '.join(table.columns)}"
            )
        return table

    def _describe(self, table: Table) -> tuple[Description, list[str]]:
        """Say what the source is, and what is wrong with its table as a whole."""
        faults = []
        labels = self.labels
        if labels is None:
            cells = [row.cells for row in table.rows if row.cells is not None]
            labels = tuple(sorted({name for row in cells for name in self._names(row)}))
            if not labels:
                faults.append("it has no label in any row: fill its label column")
            elif fault := _wrong_number(labels, self.labelling):
                faults.append(fault)
        own = [name for name in table.columns if _is_mask(name)]
        faults += [
            f"the column {name} names no label ({', '.join(labels)}): rename it"
            for name in own
            if labels and name.removeprefix(MASK_PREFIX) not in labels
        ]
        if own and MASK in table.columns:
            faults.append(f"it has both {MASK} and {own[0]}: keep one kind of masks")
        single = MaskKind.SINGLE if MASK in table.columns else MaskKind.NONE
        kind = MaskKind.PER_LABEL if own else single
        return Description(labels, self.labelling, kind, self.size), faults

    def _names(self, cells: Mapping[str, str]) -> list[str]:
        """Labels of a row as they stand in its cell."""
        cell = cells.get("label", cells.get("labels", ""))
        return [name.strip() for name in cell.split(self.label_separator) if name.strip()]

    def _labels_of(self, cells: Mapping[str, str], known: Sequence[str]) -> tuple[str, ...]:
        names = self._names(cells)
        return tuple(name for name in known if name in names)

    def _faults(
        self, row: Row, description: Description, taken: Mapping[str, object]
    ) -> list[Fault]:
        """Say why a row cannot be used, its files apart."""
        if row.cells is None:
            return [("row_malformed", "the row lacks cells or has too many: mend it")]
        faults = list(self._label_faults(self._names(row.cells), description))
        if not row.cells[IMAGE]:
            return [("row_malformed", "the row's image is empty: name its file"), *faults]
        image = _image_id(row.cells)
        if image in taken:
            detail = f"{image} has a row already, which counts: remove one"
            return [("duplicate_row", detail), *faults]
        return faults

    def _label_faults(self, names: Sequence[str], description: Description) -> Iterator[Fault]:
        unknown = [repr(name) for name in names if name not in description.labels]
        if unknown:
            said = f"{', '.join(unknown)} {'is no label' if len(unknown) == 1 else 'are no labels'}"
            known = ", ".join(description.labels)
            yield "unknown_label", f"{said} ({known}): mend it or add it"
        if description.labelling is not Labelling.MULTILABEL:
            if not names:
                yield "label_missing", "the row has no label: give it one"
            if len(names) > 1:
                detail = f"the row has {len(names)} labels: keep one, or set labelling: multilabel"
                yield "several_labels", detail

    def _unlisted(self, table: Table) -> Iterator[SetAside]:
        """Set aside the image files that no row names as its image or a mask."""
        if self.unlisted == "ignore":
            return
        folder = Path(self.source)
        files = [name for name in table.columns if name in (IMAGE, MASK) or _is_mask(name)]
        named = {
            str(PurePosixPath(row.cells[name])) for row in table.rows if row.cells for name in files
        }
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.suffix.lower() in SUFFIXES and name not in named and path.is_file():
                detail = f"{name} has no row in {self.table}: add one, or set unlisted: ignore"
                yield SetAside(name, name, None, "no_metadata", detail)

    def _sample(
        self, row: Row, labels: tuple[str, ...], description: Description
    ) -> Sample | SetAside:
        cells = row.cells or {}
        image_id = _image_id(cells)
        read = self._files(cells, labels, description.mask_kind)
        if read.picture is None or read.faults:
            first, *more = read.faults
            return SetAside(image_id, image_id, row.line, *first, self.table, tuple(more))
        names = self._names(cells)
        return Sample(
            image_id=image_id,
            group_id=_group(cells),
            labels=labels,
            pixels=read.picture.pixels,
            masks=read.masks,
            strata={name: cell or None for name, cell in cells.items() if _is_stratum(name)},
            instances={label: names.count(label) for label in labels},
            width=read.picture.width,
            height=read.picture.height,
            source_file=image_id,
            notes=tuple(dict.fromkeys((*read.picture.notes, *read.notes))),
            table=self.table,
            row=row.line,
        )

    def _files(self, cells: Mapping[str, str], labels: Sequence[str], kind: MaskKind) -> _Files:
        """Read the files of a row, all that can be."""
        folder, read = Path(self.source), _Files()
        with read.noting_faults():
            path = contained_file(folder, _image_id(cells), "image")
            read.picture = read_picture(path, self.size)
        # Of a mask without its image only what is wrong with its file counts.
        image = read.picture
        source_size = (image.width, image.height) if image else self.size[::-1]
        if not cells.get(GROUP):
            read.notes.append("group_unknown")
        for label, column in _mask_columns(cells, kind).items():
            has_label = label == EVERY_LABEL or label in labels
            if cells[column] and not has_label:
                read.notes.append("mask_without_label")
            elif cells[column]:
                with read.noting_faults():
                    path = contained_file(folder, cells[column], "mask")
                    read.masks[label], notes = read_mask(path, source_size, self.size)
                    read.notes += notes
            elif has_label:
                read.notes.append("mask_missing")
        return read


@dataclass
class _Files:
    """What was read of a row's files: masks by label, and why some of the files cannot be used."""

    picture: Picture | None = None
    masks: dict[str, Mask] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @contextmanager
    def noting_faults(self) -> Iterator[None]:
        try:
            yield
        except UnusableFile as fault:
            self.faults.append((fault.reason, fault.detail))


def contained(folder: Path, relative: str) -> Path:
    """Give the path of a file that a table names; raises DataError where it leaves the folder.

    Absolute paths, ``..``, drives and links that lead out of the folder are refused.
    """
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    leaves = posix.is_absolute() or windows.anchor or ".." in posix.parts + windows.parts
    if leaves or "\0" in relative:
        raise DataError(f"{relative!r} leads out of {folder}: give paths within that folder")
    path = folder / posix
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{relative!r} is a link out of {folder}: put the file itself there")
    return path


def contained_file(folder: Path, relative: str, what: str) -> Path:
    """Give the same path for a row: raises UnusableFile with the reason ``path_outside``."""
    try:
        return contained(folder, relative)
    except DataError as error:
        raise UnusableFile("path_outside", f"{what}: {error}") from None
    except OSError as error:
        raise UnusableFile(f"{what}_missing", f"{relative!r}: {error.strerror}") from None


def _wrong_number(labels: Sequence[str], labelling: Labelling) -> str:
    """Say what is wrong with the number of labels; empty where nothing is."""
    count = f"not {len(labels)} ({', '.join(labels)})"
    if labelling is Labelling.BINARY and len(labels) != 2:
        return f"binary takes two labels, negative and positive, {count}"
    if labelling is Labelling.MULTICLASS and len(labels) < 2:
        return f"multiclass takes two labels or more, {count}"
    return ""


def _image_id(cells: Mapping[str, str]) -> str:
    # One file has one name: ./a.png is a.png.
    return str(PurePosixPath(cells[IMAGE]))


def _group(cells: Mapping[str, str]) -> str:
    return cells.get(GROUP) or f"image-{_image_id(cells)}"


def _mask_columns(cells: Mapping[str, str], kind: MaskKind) -> dict[str, str]:
    """Columns of masks by the label that they mark."""
    if kind is MaskKind.SINGLE:
        return {EVERY_LABEL: MASK}
    own = [name for name in cells if _is_mask(name)]
    return {name.removeprefix(MASK_PREFIX): name for name in own}


def _is_mask(column: str) -> bool:
    return column.startswith(MASK_PREFIX)


def _is_stratum(column: str) -> bool:
    return column not in (IMAGE, GROUP, MASK, *LABEL_COLUMNS) and not _is_mask(column)
