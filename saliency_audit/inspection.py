"""What is wrong or odd with a source of images, said before anything is trained on it.

A source is read once, as an audit would read it: what that sets aside, notes or refuses is
collected here, and no rule is stated a second time. Only what no single image shows is looked for
here: equal pixels under several names, and what the images make of labels and groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from saliency_audit.datasets.encoding import pixel_sha256
from saliency_audit.datasets.sample import Description, Sample, SetAside, Source, ThoroughSource
from saliency_audit.datasets.set_aside import too_much
from saliency_audit.datasets.splitting import UNTRAINED, SplitParameters, split_groups
from saliency_audit.datasets.vocabulary import NOTES, REASONS
from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.problem import Problem, Problems, Severity
from saliency_audit.progress import Progress, silent

STOP, WARN, NOTE = Severity

#: How much a note of a sample matters, and what to do about it.
ADVICE: Mapping[str, tuple[Severity, str]] = {
    "turned": (NOTE, "nothing, if the mask is turned likewise"),
    "first_frame": (NOTE, "give each frame a file and a row, if others count"),
    "scaled_min_max": (NOTE, "export 8 bits, if all images should have one scale"),
    "constant": (WARN, "look whether the export failed; drop the row if it did"),
    "mask_missing": (NOTE, "give the mask, if there is one: nothing is measured against it now"),
    "mask_rescaled": (NOTE, "nothing, if image and mask show the same part of the scene"),
    "mask_aspect": (WARN, "see that image and mask show the same part of the scene"),
    "mask_empty": (WARN, "draw the mask, or leave it out where there is nothing to mark"),
    "mask_full": (WARN, "draw the mask anew: all of the image is no region"),
    "mask_inverted": (WARN, "look at it: exchange black and white if the region is black"),
    "mask_lost": (WARN, "raise the dataset's size, or leave the mask out"),
    "mask_grey": (WARN, "save masks with two values, 0 and 255, and not as JPEG"),
    "mask_zero_one": (NOTE, "nothing"),
    "mask_without_label": (WARN, "add the label to the row, or take the mask away"),
    "annotation_clipped": (NOTE, "nothing, if it reaches beyond by little"),
    "group_unknown": (WARN, "name the patient or lesion: else it may be in training and in test"),
}
#: What a label's status says, and what to do about it; see ``LabelSplit``.
STATUSES: Mapping[str, tuple[str, str]] = {
    "no_image": ("no image has the label", "add images, or take the label out of the dataset"),
    "not_in_train": ("training has no image of the label", "add patients or lesions that have it"),
    "few_groups": (
        "the label has fewer patients or lesions than there are splits: some split has none",
        "add patients or lesions that have it, or join it with another label",
    ),
    "not_in_test": ("the test split has no image of the label", "raise split.test, or add images"),
}


def inspect(
    source: Source, folder: str, split: SplitParameters, progress: Progress = silent
) -> Iterator[Problem]:
    """Read a source to its end and give all that is wrong or odd.

    ``folder``: how it is called in what is said; ``split``: how an audit would split it. Holds
    one image at a time; of each its names and a digest, and a line of text where it is at fault.
    """
    reading = _Reading(folder)
    described = reading.describe(source)
    reading.read(source, progress)
    reading.find_groups()
    if described is not None and reading.ids:
        reading.try_split(described, split)
    yield from reading.found


@dataclass
class _Reading:
    """What is kept of a source as it is read: problems, and of each usable image no pixels.

    ``digests``: number of the first image of given pixels.
    """

    folder: str
    found: Problems = field(init=False)
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    labels: list[tuple[str, ...]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    digests: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.found = Problems(self.folder)

    def describe(self, source: Source) -> Description | None:
        """Describe a source; None where it cannot, which reading it says, too."""
        try:
            described = source.describe()
        except DataError:
            return None
        if described.mask_kind is MaskKind.NONE:
            meaning = "the source has no masks: what needs the clinician's region stays empty"
            self.found.add(NOTE, "no_masks", meaning, "give masks, if there are any", self._whole())
        return described

    def read(self, source: Source, progress: Progress) -> None:
        """Read all of a source."""
        aside: list[SetAside] = []
        refused = False
        for item in _items(source, progress):
            if isinstance(item, DataError):
                refused = True
                self._refused("source", "the source cannot be used as it stands", str(item))
            elif isinstance(item, SetAside):
                aside.append(item)
            else:
                self._note(item)
        if aside or self.ids or not refused:
            self._bound(aside, source.max_set_aside)

    def _bound(self, aside: list[SetAside], bound: float) -> None:
        """Say what is set aside; it stops an audit where it is too much."""
        said = too_much(len(self.ids), aside, bound)
        if said:
            self._refused("max_set_aside", "too little of the source can be used", said)
        for item in aside:
            for reason, detail in ((item.reason, item.detail), *item.more):
                named = item.image_id
                what = detail if named is None or named in detail else f"{named}: {detail}"
                meaning = REASONS.get(reason, reason)
                advice = "as each line says; until then it is set aside"
                severity = STOP if said else WARN
                self.found.add(severity, reason, meaning, advice, [(self._place(item), what)])

    def _note(self, sample: Sample) -> None:
        place = self._place(sample)
        for note in sample.notes:
            severity, advice = ADVICE.get(note, (NOTE, "see the docstring of the source"))
            meaning = NOTES.get(note, note)
            self.found.add(severity, note, meaning, advice, [(place, sample.image_id)])
        for name, value in sample.strata.items():
            if value is None:
                rule, meaning = f"{name}_unknown", f"{name} is not known"
                self.found.add(NOTE, rule, meaning, "fill it in", [(place, sample.image_id)])
        first = self.digests.setdefault(pixel_sha256(sample.pixels), len(self.ids))
        if first != len(self.ids):
            self._equal(sample, place, first)
        self.ids.append(sample.image_id)
        self.groups.append(sample.group_id)
        self.labels.append(sample.labels)
        self.places.append(place)

    def _equal(self, sample: Sample, place: str, first: int) -> None:
        other = "" if sample.labels == self.labels[first] else ", with other labels"
        what = f"{sample.image_id} is {self.ids[first]} ({self.places[first]}){other}"
        if sample.group_id == self.groups[first]:
            rule = "duplicate_in_group"
            meaning = "equal pixels in one patient or lesion count twice"
            self.found.add(NOTE, rule, meaning, "keep one of them", [(place, what)])
        else:
            rule = "duplicate_across_groups"
            meaning = "equal pixels in two patients or lesions may be in training and in test"
            advice = "keep one of them, or give both one group"
            self.found.add(WARN, rule, meaning, advice, [(place, what)])

    def find_groups(self) -> None:
        """Say which groups have several images."""
        members: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            members[group].append(number)
        places = [
            (self.places[numbers[0]], f"{group} has {len(numbers)} images")
            for group, numbers in members.items()
            if len(numbers) > 1
        ]
        if places:
            meaning = "a patient or lesion has several images"
            advice = "nothing, with split.by: group, which keeps them in one split"
            self.found.add(NOTE, "several_in_group", meaning, advice, places)

    def try_split(self, described: Description, split: SplitParameters) -> None:
        """Say what keeps images, groups and labels from being split as an audit would."""
        try:
            # As multi-label, so that each label has a status where an audit would stop.
            result = split_groups(
                self.ids,
                self.groups,
                self.labels,
                described.labels,
                split,
                labelling=Labelling.MULTILABEL,
            )
        except DataError as error:
            self._refused("split", "the images cannot be split", str(error))
            return
        stopping = () if described.labelling is Labelling.MULTILABEL else UNTRAINED
        for entry in result.labels:
            if entry.label and entry.status in STATUSES:
                meaning, advice = STATUSES[entry.status]
                self.found.add(
                    STOP if entry.status in stopping else WARN,
                    entry.status,
                    f"{entry.label}: {meaning}",
                    advice,
                    self._having(entry.label) or self._whole(),
                )
        if result.leaking:
            meaning = "patients or lesions have images in several splits"
            advice = "set split.by: group"
            count = result.leaking
            self.found.add(WARN, "leaking_groups", meaning, advice, self._whole(), count=count)

    def _having(self, label: str) -> list[tuple[str, str]]:
        rows = zip(self.places, self.ids, self.labels, strict=True)
        return [(place, image_id) for place, image_id, labels in rows if label in labels]

    def _refused(self, rule: str, meaning: str, said: str) -> None:
        self.found.add(STOP, rule, meaning, "as each line says", [(self.folder, said)])

    def _whole(self) -> list[tuple[str, str]]:
        return [(self.folder, "")]

    def _place(self, item: Sample | SetAside) -> str:
        """Say where an item is: file and line, where a file lists it."""
        file = item.source_file if item.table is None else item.table
        if file is None:
            return item.image_id or self.folder
        path = Path(self.folder) / file
        if item.row is None:
            return str(path)
        return f"{path}, row {item.row}" if path.suffix == ".json" else f"{path}:{item.row}"


def _items(source: Source, progress: Progress) -> Iterator[Sample | SetAside | DataError]:
    if isinstance(source, ThoroughSource):
        yield from source.everything(progress)
        return
    try:
        yield from source.samples(progress)
    except DataError as error:
        yield error
