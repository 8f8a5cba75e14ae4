"""Image and mask files of foreign origin, read safely, at working resolution.

Every fault of a file becomes an ``UnusableFile`` with a reason in one word,
which a source turns into a set-aside row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.decoding import UnusableFile, spread
from saliency_audit.datasets.dicom import is_dicom, read_dicom
from saliency_audit.datasets.mask_scaling import Mask, mask_notes, scale_mask

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "MAX_PIXELS", "Picture", "UnusableFile", "read_mask", "read_picture"]

#: The file formats read besides DICOM: Pillow knows others that run programs.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
#: A file that claims more pixels is refused before it is decoded: 64 million.
MAX_PIXELS = 1 << 26
#: The EXIF tag that says how a camera was held.
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """An image at working resolution, uint8 (H, W, 3), and the size of its source in pixels.

    ``notes``: ``turned`` (by its EXIF orientation), ``first_frame`` (it has more),
    ``scaled_min_max`` (more than 8 bits, spread from its least to its greatest value),
    ``constant`` (all pixels equal).
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    notes: tuple[str, ...] = ()


def read_picture(path: Path, size: tuple[int, int]) -> Picture:
    """Read an image file and scale it to ``size`` (H, W), its aspect ratio not kept.

    PNG, JPEG, TIFF, BMP and DICOM; turned as its EXIF orientation says; of several frames the
    first. Shrunk by area averages, enlarged bilinearly. Raises UnusableFile with the reason
    ``image_missing``, ``image_truncated``, ``image_unreadable`` or ``image_too_large``.
    """
    with _guarded(path, "image"):
        if is_dicom(path):
            array, notes = read_dicom(path, MAX_PIXELS)
            return _picture(_from_array(array), (array.shape[1], array.shape[0]), size, notes)
        with _opened(path) as image:
            turned = image.getexif().get(ORIENTATION, 1)
            width, height = image.size if turned < 5 else image.size[::-1]
            # A JPEG decoder can halve cheaply; twice the working size loses nothing of note.
            image.draft(None, (2 * max(size), 2 * max(size)))
            upright, notes = _upright(image)
            eight_bit, more = _eight_bit(upright)
            return _picture(eight_bit, (width, height), size, (*notes, *more))


def read_mask(
    path: Path, source_size: tuple[int, int], size: tuple[int, int]
) -> tuple[Mask, tuple[str, ...]]:
    """Read a mask file; gives the mask, bool (H, W) at ``size``, and notes.

    ``source_size``: (width, height) of the image that it belongs to; another size is scaled.
    Foreground is what is brighter than 127 of 255, after the palette is applied; 1 where the file
    holds only 0 and 1; the upper half of the range where it has more than 8 bits. A file of more
    than two values has the note ``mask_grey``.
    Raises UnusableFile with the reason ``mask_missing``, ``mask_truncated``, ``mask_unreadable``
    or ``mask_too_large``.
    """
    with _guarded(path, "mask"):
        with _opened(path) as image:
            upright, turned = _upright(image)
            found, notes = _foreground(upright)
        scaled = scale_mask(found, size)
        return scaled, (*turned, *notes, *mask_notes(found, scaled, source_size))


@contextmanager
def _guarded(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises on foreign bytes into an UnusableFile."""
    from PIL.Image import DecompressionBombError, DecompressionBombWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DecompressionBombWarning)
            yield
    except UnusableFile as fault:
        raise UnusableFile(f"{what}_{fault.reason}", fault.detail) from None
    except (FileNotFoundError, NotADirectoryError):
        raise UnusableFile(
            f"{what}_missing", f"{path.name} is not in {path.parent.name}: add it, or drop the row"
        ) from None
    except (IsADirectoryError, PermissionError) as error:
        raise UnusableFile(f"{what}_unreadable", f"{path.name}: {error.strerror}") from None
    except (DecompressionBombError, DecompressionBombWarning):
        raise UnusableFile(f"{what}_too_large", _too_large(path.name)) from None
    except MemoryError:
        raise
    except Exception as error:
        # The disk's own errors have a number and are no fault of the file.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise UnusableFile(
            f"{what}_{reason}", f"{path.name} cannot be decoded ({error}): fetch it again"
        ) from None


def _too_large(name: str) -> str:
    return f"{name} claims more than {MAX_PIXELS} pixels: reduce it, or check where it is from"


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    if not path.stat().st_size:
        raise UnusableFile("truncated", f"{path.name} is empty: fetch it again")
    try:
        opened = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        raise UnusableFile(
            "unreadable",
            f"{path.name} is no image of a known format ({', '.join(FORMATS)}, DICOM): "
            "replace or convert it",
        ) from None
    with opened as image:
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise UnusableFile("too_large", _too_large(path.name))
        yield image


def _upright(image: Image) -> tuple[Image, tuple[str, ...]]:
    from PIL import ImageOps

    notes = ("first_frame",) if getattr(image, "n_frames", 1) > 1 else ()
    if image.getexif().get(ORIENTATION, 1) == 1:
        return image, notes
    return ImageOps.exif_transpose(image), (*notes, "turned")


def _eight_bit(image: Image) -> tuple[Image, tuple[str, ...]]:
    if image.mode.startswith(("I", "F")):
        values, notes = spread(np.asarray(image).astype(np.float64))
        return _from_array(values), notes
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), ()


def _from_array(array: NDArray[np.uint8]) -> Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(array))


def _picture(
    image: Image, source_size: tuple[int, int], size: tuple[int, int], notes: tuple[str, ...]
) -> Picture:
    from PIL.Image import Resampling

    height, width = size
    shrinks = image.size[0] >= width and image.size[1] >= height
    if image.size != (width, height):
        image = image.resize((width, height), Resampling.BOX if shrinks else Resampling.BILINEAR)
    pixels = np.array(image.convert("RGB"))
    if (pixels == pixels[0, 0]).all():
        notes = (*notes, "constant")
    return Picture(pixels, source_size[0], source_size[1], notes)


def _foreground(image: Image) -> tuple[Mask, tuple[str, ...]]:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0:
            raise UnusableFile("unreadable", "the mask holds negative values or none: export it")
        return (values > values.max() / 2) & (values > 0), _grey(len(np.unique(values)))
    # A palette's colours count, not its indices: some palettes run from white to black.
    grey = np.asarray(
        image.convert("RGB").convert("L") if image.mode == "P" else image.convert("L")
    )
    brightest = int(grey.max())
    if brightest == 1:
        return grey == 1, ("mask_zero_one",)
    if 1 < brightest <= 127:
        raise UnusableFile(
            "unreadable",
            f"the mask's brightest value is {brightest} of 255, neither 1 nor above 127: "
            "save foreground as 255",
        )
    return grey > 127, _grey(len(np.flatnonzero(np.bincount(grey.ravel()))))


def _grey(values: int) -> tuple[str, ...]:
    return ("mask_grey",) if values > 2 else ()
