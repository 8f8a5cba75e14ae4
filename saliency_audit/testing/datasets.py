"""What every source of images promises, and how to look at it."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from saliency_audit.attribution.seeds import global_seed
from saliency_audit.datasets.registry import source_class
from saliency_audit.datasets.sample import Description, Sample, SetAside, Source, ThoroughSource
from saliency_audit.datasets.source_parameters import LEAST_SIDE
from saliency_audit.errors import DataError
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.testing.contract import Check, Promise, checks, promise, require, run_all
from saliency_audit.testing.global_state import taken

#: Samples that a source may hold at a time, such as those that it reads ahead.
HELD = 16
WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass
class SourceTrial:
    """A source to be tried, and what it gave when it was read first."""

    source: Source
    _items: list[Sample | SetAside] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return str(getattr(self.source, "kind", type(self.source).__name__))

    @property
    def description(self) -> Description:
        """What it says that it is."""
        return self.source.describe()

    @property
    def items(self) -> list[Sample | SetAside]:
        """All that it gives, read once."""
        if not self._items:
            self._items = list(self.source.samples())
        return self._items

    @property
    def samples(self) -> list[Sample]:
        """The images among them."""
        return [item for item in self.items if isinstance(item, Sample)]

    @property
    def set_aside(self) -> list[SetAside]:
        """The rows and files among them that cannot be used."""
        return [item for item in self.items if isinstance(item, SetAside)]


def dataset_checks(
    source: Source | str,
    parameters: Mapping[str, Any] | None = None,
    *,
    expected: Mapping[str, str] | None = None,
) -> Iterator[Check[SourceTrial]]:
    """Give the checks of ``check_dataset`` one by one, for ``pytest.mark.parametrize``."""
    built: Source = (
        source_class(source)(**(parameters or {})) if isinstance(source, str) else source
    )
    trial = SourceTrial(built)
    return checks(PROMISES, f"source {trial.name}", trial, expected or {})


def check_dataset(
    source: Source | str,
    parameters: Mapping[str, Any] | None = None,
    *,
    expected: Mapping[str, str] | None = None,
) -> list[str]:
    """Check that a source keeps what every source promises; gives the names of the checks.

    ``source``: a source, or its registered kind with its ``parameters``; of two to a few hundred
    images, which are read several times and held once. ``expected``: by the name of a check, why
    it does not hold. Raises ContractError that names each broken promise and how to mend it.

    >>> "comes_in_order" in check_dataset("phantom_skin", {"images": 3, "size": (16, 16)})
    True
    """
    return run_all(dataset_checks(source, parameters, expected=expected))


@promise(
    "The class says in words what it reads and what its parameters mean.",
    "write a docstring with each parameter's unit and range",
)
def _is_documented(trial: SourceTrial) -> None:
    kind = type(trial.source)
    own = kind.__doc__ or ""
    require(own and not own.startswith(f"{kind.__name__}("), f"{kind.__name__} has no docstring")


@promise("Parameters cannot change.", "declare the class with @dataclass(frozen=True)")
def _is_frozen(trial: SourceTrial) -> None:
    for own in fields(trial.source):  # type: ignore[arg-type]
        try:
            setattr(trial.source, own.name, getattr(trial.source, own.name))
        except FrozenInstanceError:
            continue
        require(False, f"{own.name} can be set")


@promise(
    "It has the fields that every source has: kind, source, max_set_aside.",
    "declare them: kind a Literal of its name, source a path, max_set_aside from 0 to 1",
)
def _has_its_fields(trial: SourceTrial) -> None:
    for name in ("kind", "source"):
        value = getattr(trial.source, name, None)
        require(isinstance(value, str), f"{name} is {value!r}")
    require(getattr(trial.source, "kind", ""), "kind is empty")
    bound = trial.source.max_set_aside
    require(0 <= bound <= 1, f"max_set_aside is {bound}")


@promise(
    "It describes itself before an image is read, alike each time.",
    "give labels each once (two of a binary source), and a size of 8 pixels or more a side",
)
def _describes_itself(trial: SourceTrial) -> None:
    found = trial.description
    require(found == trial.description, "described again, it is another")
    require(len(set(found.labels)) == len(found.labels), f"labels {found.labels} name one twice")
    fewest = 1 if found.labelling is Labelling.MULTILABEL else 2
    require(len(found.labels) >= fewest, f"it has {len(found.labels)} labels")
    if found.labelling is Labelling.BINARY:
        require(len(found.labels) == 2, f"a binary source has {len(found.labels)} labels")
    require(min(found.size) >= LEAST_SIDE, f"its size is {found.size}")


@promise(
    "Images come one at a time, and none is held after its turn.",
    "yield each from a generator; keep no list of them",
)
def _comes_one_at_a_time(trial: SourceTrial) -> None:
    given = trial.source.samples()
    require(iter(given) is given, f"samples gives {type(given).__name__}, not an iterator")
    alive: list[weakref.ref[Any]] = []
    for item in given:
        alive.append(weakref.ref(item))
        held = sum(reference() is not None for reference in alive)
        require(held <= HELD, f"{held} are held at a time")
        alive = [reference for reference in alive if reference() is not None]


@promise(
    "Images come in ascending order of image_id, each once, and there is one.",
    "sort what lists them by image_id",
)
def _comes_in_order(trial: SourceTrial) -> None:
    ids = [sample.image_id for sample in trial.samples]
    require(ids, "it gives no image")
    for former, following in pairwise(ids):
        require(former < following, f"{following} comes after {former}")


@promise(
    "Pixels are uint8 (H, W, 3) at the size that is described.",
    "scale in the reader: saliency_audit.datasets.image_files.read_picture does",
)
def _pixels_are_as_described(trial: SourceTrial) -> None:
    wanted = (*trial.description.size, 3)
    for sample in trial.samples:
        pixels = sample.pixels
        require(pixels.dtype == np.uint8, f"{sample.image_id} has pixels of {pixels.dtype}")
        require(pixels.shape == wanted, f"{sample.image_id} is {pixels.shape}, not {wanted}")
        least = min(sample.width, sample.height)
        require(least >= 1, f"{sample.image_id} comes from {sample.width}x{sample.height} pixels")


@promise(
    "An image has labels of those described, in their order, as many as its labelling says.",
    "set an image aside whose label is unknown or missing",
)
def _labels_are_as_described(trial: SourceTrial) -> None:
    known, labelling = trial.description.labels, trial.description.labelling
    for sample in trial.samples:
        own = list(sample.labels)
        require(own == [name for name in known if name in own], f"{sample.image_id} has {own}")
        if labelling is not Labelling.MULTILABEL:
            require(len(own) == 1, f"{sample.image_id} has {len(own)} labels, and needs one")
        require(set(sample.instances) <= set(own), f"{sample.image_id} counts labels it has not")
        least = min(sample.instances.values(), default=1)
        require(least >= 1, f"{sample.image_id} has a label {least} times")


@promise(
    "Masks are bool (H, W), under the labels that the kind of mask described has.",
    "give no mask (NONE), one under EVERY_LABEL (SINGLE), or one for each own label (PER_LABEL)",
)
def _masks_are_as_described(trial: SourceTrial) -> None:
    kind, size = trial.description.mask_kind, trial.description.size
    for sample in trial.samples:
        allowed = {
            MaskKind.NONE: set[str](),
            MaskKind.SINGLE: {EVERY_LABEL},
            MaskKind.PER_LABEL: set(sample.labels),
        }[kind]
        stray = set(sample.masks) - allowed
        require(not stray, f"{sample.image_id} has a mask of {', '.join(sorted(stray))}")
        for mask in sample.masks.values():
            require(mask.dtype == np.bool_, f"{sample.image_id} has a mask of {mask.dtype}")
            require(mask.shape == size, f"{sample.image_id} has a mask {mask.shape}, not {size}")


@promise(
    "What is odd about a mask is noted.",
    "note mask_empty or mask_lost, mask_full, mask_missing: mask_scaling.mask_notes does",
)
def _odd_masks_are_noted(trial: SourceTrial) -> None:
    kind = trial.description.mask_kind
    for sample in trial.samples:
        notes = set(sample.notes)
        wanted = {MaskKind.SINGLE: 1, MaskKind.PER_LABEL: len(sample.labels)}.get(kind, 0)
        if len(sample.masks) < wanted:
            require("mask_missing" in notes, f"{sample.image_id} lacks a mask, and does not say so")
        for mask in sample.masks.values():
            if not mask.any():
                said = notes & {"mask_empty", "mask_lost"}
                require(said, f"{sample.image_id} has an empty mask, and does not say so")
            if mask.all():
                require("mask_full" in notes, f"{sample.image_id} is all mask, and does not say so")


@promise(
    "Groups and strata are text: whose image it is, and what is known of it.",
    "give the image's own id as group where the patient is unknown; None as unknown stratum",
)
def _groups_and_strata_are_text(trial: SourceTrial) -> None:
    for sample in trial.samples:
        group = sample.group_id
        require(isinstance(group, str) and group, f"{sample.image_id} has the group {group!r}")
        for name, value in sample.strata.items():
            require(isinstance(name, str), f"{sample.image_id} has the stratum {name!r}")
            text = value is None or isinstance(value, str)
            require(text, f"{sample.image_id} has {name} {value!r}, which is no text")


@promise(
    "No file is named, or read, outside of its folder.",
    "set a row aside whose path leads out (reason path_outside)",
)
def _files_lie_in_its_folder(trial: SourceTrial) -> None:
    folder = Path(getattr(trial.source, "source", ""))
    for item in trial.items:
        if item.source_file is None or isinstance(item, SetAside):
            continue
        path = PurePosixPath(item.source_file)
        inside = not path.is_absolute() and ".." not in path.parts
        require(inside, f"{item.image_id} is of {path}")
        if folder.is_dir():
            real = (folder / path).resolve()
            require(real.is_relative_to(folder.resolve()), f"{item.image_id} leads to {real}")
            require(real.exists(), f"{item.image_id} is of {path}, which is not there")


@promise(
    "What cannot be used, and what is odd, is said in a word, and what to do in a sentence.",
    "take the words of saliency_audit.datasets.vocabulary, or one of your own: lower case and _",
)
def _words_are_words(trial: SourceTrial) -> None:
    for sample in trial.samples:
        for note in sample.notes:
            require(WORD.fullmatch(note), f"{sample.image_id} has the note {note!r}")
    for item in trial.set_aside:
        reasons = [(item.reason, item.detail), *item.more]
        for reason, detail in reasons:
            require(WORD.fullmatch(reason), f"{item.image_id} has the reason {reason!r}")
            require(detail.strip(), f"{item.image_id} is set aside without a word of what to do")


@promise(
    "It can be read again, also while it is being read, and gives the same.",
    "keep no position in the source: make all that changes inside `samples`",
)
def _can_be_read_again(trial: SourceTrial) -> None:
    require(trial.samples, "read again, it gives no image")
    other = trial.source.samples()
    for first, second, before in zip(trial.source.samples(), other, trial.items, strict=True):
        require(_alike(first, before), f"read again, {_id(before)} is another")
        require(_alike(second, before), f"read beside itself, {_id(before)} is another")


def _id(item: Sample | SetAside) -> str:
    return str(item.image_id or item.source_file)


def _alike(one: Sample | SetAside, other: Sample | SetAside) -> bool:
    return type(one) is type(other) and all(
        _equal(getattr(one, own.name), getattr(other, own.name)) for own in fields(one)
    )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return set(one) == set(other) and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


@promise(
    "Images do not depend on the process's own random numbers, and leave them as they were.",
    "draw from numpy.random.default_rng([seed, number of the image])",
)
def _global_seeds_matter_not(trial: SourceTrial) -> None:
    with global_seed(1):
        before = taken()
        for found, item in zip(trial.source.samples(), trial.items, strict=True):
            require(_alike(found, item), f"with another seed of the process {_id(item)} is another")
        after = taken()
    for what, value in before.items():
        require(after[what] == value, f"it changed {what}")


@promise(
    "Progress is told upwards, up to the whole.",
    "call progress(done, total) after each row, total None while it is not known",
)
def _tells_its_progress(trial: SourceTrial) -> None:
    told: list[tuple[int, int | None]] = []
    for _ in trial.source.samples(lambda done, total: told.append((done, total))):
        pass
    require(told, "it tells none")
    counts = [done for done, _ in told]
    require(counts == sorted(counts), f"it goes back: {counts}")
    for done, total in told:
        require(total is None or done <= total, f"{done} of {total} are done")


@promise(
    "Where `everything` reads on past errors, it gives all that `samples` gives.",
    "have both go through one loop",
)
def _everything_gives_the_samples(trial: SourceTrial) -> None:
    if not isinstance(trial.source, ThoroughSource):
        return
    found = [item for item in trial.source.everything() if not isinstance(item, DataError)]
    ids = [item.image_id for item in found if isinstance(item, Sample)]
    require(ids == [sample.image_id for sample in trial.samples], "it gives other images")


#: In the order in which they are looked at.
PROMISES: tuple[Promise[SourceTrial], ...] = (
    _is_documented,
    _is_frozen,
    _has_its_fields,
    _describes_itself,
    _comes_one_at_a_time,
    _comes_in_order,
    _pixels_are_as_described,
    _labels_are_as_described,
    _masks_are_as_described,
    _odd_masks_are_noted,
    _groups_and_strata_are_text,
    _files_lie_in_its_folder,
    _words_are_words,
    _can_be_read_again,
    _global_seeds_matter_not,
    _tells_its_progress,
    _everything_gives_the_samples,
)
