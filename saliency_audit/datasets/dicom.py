"""DICOM images as 8-bit pixels: modality and display transforms, inversion, first frame.

Source: DICOM PS3.3, C.11.1 (modality), C.11.2 (values of interest) and C.7.6.3 (pixels).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.decoding import UnusableFile, spread


def is_dicom(path: Path) -> bool:
    """Say whether a file is DICOM, by its mark after the preamble (PS3.10, 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_dicom(path: Path, max_pixels: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Read a DICOM image, uint8 (h, w) or (h, w, 3), and notes.

    Grey values pass the modality transform, then the first window or lookup table of the file, or
    are spread from their least to their greatest where there is none (note ``scaled_min_max``;
    padding counts as the darkest). MONOCHROME1 is inverted, so that bright is dense. Of several
    frames the first is read (note ``first_frame``).
    Raises UnusableFile for a file without pixels or with more than ``max_pixels``.
    """
    from pydicom import dcmread

    data = dcmread(path)
    if "PixelData" not in data:
        raise UnusableFile("unreadable", f"{path.name} has no pixels: leave it out")
    frames = int(data.get("NumberOfFrames") or 1)
    if int(data.Rows) * int(data.Columns) > max_pixels:
        raise UnusableFile(
            "too_large", f"{path.name} claims more than {max_pixels} pixels: reduce it"
        )
    notes = ("first_frame",) if frames > 1 else ()
    pixels = _first_frame(path)
    if pixels.ndim == 3:
        return _colour(data, pixels), notes
    grey, more = _grey(data, pixels)
    return grey, (*notes, *more)


def _first_frame(path: Path) -> NDArray[Any]:
    from pydicom.pixels.utils import pixel_array

    # One frame only: a long series never comes into memory. YBR comes as RGB.
    frame: NDArray[Any] = pixel_array(path, index=0)
    return frame


def _colour(data: Any, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    depth = int(data.BitsStored)
    scaled = pixels.astype(np.float64) * (255 / (2**depth - 1))
    rounded: NDArray[np.uint8] = np.floor(np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)
    return rounded


def _grey(data: Any, pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    notes: tuple[str, ...] = ()
    padding = _padding(data, pixels)
    values = np.asarray(apply_modality_lut(pixels, data), np.float64)
    if "VOILUTSequence" in data:
        table = data.VOILUTSequence[0]
        looked_up = apply_voi_lut(values.astype(np.int64), data, index=0, prefer_lut=True)
        top = 2 ** int(table.LUTDescriptor[2]) - 1
        grey = np.floor(np.asarray(looked_up, np.float64) * (255 / top) + 0.5).astype(np.uint8)
    elif "WindowCenter" in data and "WindowWidth" in data:
        shown = _windowed(
            values,
            _first(data.WindowCenter),
            _first(data.WindowWidth),
            str(data.get("VOILUTFunction") or "LINEAR"),
        )
        grey = np.floor(255 * shown + 0.5).astype(np.uint8)
    else:
        if padding.any() and not padding.all():
            values[padding] = values[~padding].min()
        grey, notes = spread(values)
    if data.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    # Padding is no tissue: it is dark whichever way the film is shown.
    return np.where(padding, np.uint8(0), grey), notes


def _padding(data: Any, pixels: NDArray[Any]) -> NDArray[np.bool_]:
    value = data.get("PixelPaddingValue")
    if value is None:
        return np.zeros(pixels.shape, bool)
    limit = data.get("PixelPaddingRangeLimit")
    ends = sorted((int(value), int(value if limit is None else limit)))
    return (pixels >= ends[0]) & (pixels <= ends[1])


def _first(value: Any) -> float:
    from pydicom.multival import MultiValue

    return float(value[0] if isinstance(value, MultiValue) else value)


def _windowed(
    values: NDArray[np.float64], centre: float, width: float, function: str
) -> NDArray[np.float64]:
    """Apply a window, 0 to 1 (C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(-4 * (values - centre) / max(width, 1e-9)))
    elif function == "LINEAR_EXACT":
        shown = (values - centre) / max(width, 1e-9) + 0.5
    else:
        shown = (values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5
    return np.clip(shown, 0, 1)
