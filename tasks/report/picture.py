"""Maps, masks and images as pictures within the page: small PNGs as data, outlines as paths."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: The longest side, in pixels, up to which an image or a map is kept as it is.
LOSSLESS_SIDE = 128
#: Shades of a map's picture: enough for the eye, and small.
SHADES = 64


def data_uri(content: bytes, kind: str = "png") -> str:
    """Give a picture as a part of the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def image_uri(pixels: NDArray[np.uint8], stored: bytes) -> str:
    """Give an image, uint8 (H, W, 3), as it is stored; a large one as JPEG."""
    if max(pixels.shape[:2]) <= LOSSLESS_SIDE:
        return data_uri(stored)
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=88, subsampling=0)
    return data_uri(sink.getvalue(), "jpeg")


@lru_cache(maxsize=1)
def palette() -> tuple[tuple[int, int, int], ...]:
    """Colours of a map from 0 to 1: viridis, which reads without colour vision, and in print."""
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 1, SHADES), bytes=True)
    return tuple((int(r), int(g), int(b)) for r, g, b, _ in shades)


def map_uri(values: NDArray[np.float16]) -> str:
    """Give a map (H, W) in [0, 1] in the colours of ``palette``; a large one drawn smaller."""
    drawn = _smaller(values.astype(np.float32))
    shades = np.minimum(drawn * SHADES, SHADES - 1).astype(np.uint8)
    return data_uri(_indexed(shades, palette()))


def _smaller(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average blocks of a map so that its longest side is at most ``LOSSLESS_SIDE``."""
    factor = -(-max(values.shape) // LOSSLESS_SIDE)
    if factor == 1:
        return values
    from PIL import Image

    height, width = (max(1, side // factor) for side in values.shape)
    picture = Image.fromarray(values).resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32)


def overlay_uri(top: Mask, segx: Mask | None) -> str:
    """Give an explanation as the paper's Fig. 3 does: T white, and T∩P red; else transparent."""
    shades = top.astype(np.uint8)
    if segx is not None:
        shades[segx] = 2
    return data_uri(_indexed(shades, ((0, 0, 0), (255, 255, 255), (225, 29, 42)), clear=0))


def _indexed(
    shades: NDArray[np.uint8], colours: tuple[tuple[int, int, int], ...], clear: int | None = None
) -> bytes:
    from PIL import Image

    picture = Image.fromarray(shades, mode="P")
    picture.putpalette([part for colour in colours for part in colour])
    sink = io.BytesIO()
    options: dict[str, Any] = {} if clear is None else {"transparency": clear}
    picture.save(sink, "PNG", optimize=True, **options)
    return sink.getvalue()


def outline(mask: Mask) -> str:
    """Give the border of a mask (H, W) as an SVG path in pixels.

    >>> outline(np.array([[True, True]]))
    'M0 0h2M0 1h2M0 0v1M2 0v1'
    """
    padded = np.pad(mask, 1).astype(np.int8)
    across = np.diff(padded, axis=0)[:, 1:-1] != 0
    down = np.diff(padded, axis=1)[1:-1] != 0
    parts = [f"M{start} {y}h{length}" for y, start, length in _runs(across)]
    parts += [f"M{x} {start}v{length}" for x, start, length in _runs(down.T)]
    return "".join(parts)


def _runs(edges: Mask) -> Iterator[tuple[int, int, int]]:
    """Give runs of true in each row, as row, start and length."""
    for row in range(len(edges)):
        steps = np.flatnonzero(np.diff(np.pad(edges[row].astype(np.int8), 1)))
        for start, end in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
            yield row, start, end - start
