"""What a source of images gives: its description, usable samples, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.progress import Progress, silent


@dataclass(frozen=True)
class Description:
    """What a source is, known before any image is read.

    ``labels``: in the order of a classifier's outputs; ``labelling``: how they relate;
    ``mask_kind``: what its masks mark; ``size``: working resolution (H, W), pixels.
    """

    labels: tuple[str, ...]
    labelling: Labelling
    mask_kind: MaskKind
    size: tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """One image that can be used, at working resolution.

    ``image_id``: unique in its source; ``group_id``: the patient or lesion;
    ``labels``: a subset of the description's, in its order;
    ``pixels``: RGB, uint8 (H, W, 3);
    ``masks``: bool (H, W) by label; under ``EVERY_LABEL`` where one mask stands for all; empty
    where there are none;
    ``strata``: age, sex, site, view and the like as text, None where unknown;
    ``instances``: how often each of ``labels`` occurs;
    ``width``, ``height``: of the source image, pixels;
    ``source_file``: within the source folder, None for a generated image;
    ``table``, ``row``: the file that lists the image and its line there (of JSON its position in
    the list, from 1), None where none does;
    ``notes``: what was odd, one word each: ``mask_rescaled`` (mask and image differ in size),
    ``mask_empty``, ``mask_full``, ``mask_lost`` (foreground too small for the working
    resolution), ``mask_missing``, ``mask_inverted`` (background enclosed by foreground: perhaps
    inverted; kept as it is), and those of the source's own docstring.
    """

    image_id: str
    group_id: str
    labels: tuple[str, ...]
    pixels: NDArray[np.uint8]
    masks: Mapping[str, NDArray[np.bool_]]
    strata: Mapping[str, str | None]
    instances: Mapping[str, int]
    width: int
    height: int
    source_file: str | None
    notes: tuple[str, ...] = ()
    table: str | None = None
    row: int | None = None


@dataclass(frozen=True)
class SetAside:
    """One row or file that cannot be used.

    ``row``: line of the CSV (the header is line 1), or position in the JSON list from 1;
    ``reason``: one word; ``detail``: what exactly is wrong, and what to do;
    ``table``: the file that ``row`` is of, where that is not ``source_file``;
    ``more``: reason and detail of what else is wrong with the same row.
    """

    image_id: str | None
    source_file: str | None
    row: int | None
    reason: str
    detail: str
    table: str | None = None
    more: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """A source of images. Its parameters are its fields."""

    @property
    def max_set_aside(self) -> float:
        """Largest share of rows and files that may be set aside, 0 to 1."""

    def describe(self) -> Description:
        """Say what the source is, without reading an image."""

    def samples(self, progress: Progress = silent) -> Iterator[Sample | SetAside]:
        """Give the samples in ascending order of image_id, one at a time."""


@runtime_checkable
class ThoroughSource(Source, Protocol):
    """A source that can be read on where ``samples`` gives up, to name all that is wrong."""

    def everything(self, progress: Progress = silent) -> Iterator[Sample | SetAside | DataError]:
        """Give what ``samples`` gives, and, in place of raising, the errors.

        The files of a row that is set aside are read, too: ``more`` says what is wrong with them.
        """
