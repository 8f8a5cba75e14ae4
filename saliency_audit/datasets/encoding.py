"""Images and masks as lossless bytes, and the digest of pixels."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError


def encode_image(pixels: NDArray[np.uint8]) -> bytes:
    """Encode RGB pixels, uint8 (H, W, 3), as PNG.

    >>> pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    >>> bool((decode_image(encode_image(pixels)) == pixels).all())
    True
    """
    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"an image is uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def decode_image(data: bytes) -> NDArray[np.uint8]:
    """Decode what ``encode_image`` gave, uint8 (H, W, 3); raises DataError on other bytes."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"the stored pixels are not PNG ({error}): store the image again") from None


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Encode a mask, bool (H, W), as one-bit PNG.

    >>> bool(decode_mask(encode_mask(np.eye(9, dtype=bool)))[3, 3])
    True
    """
    from PIL import Image

    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"a mask is bool (H, W), not {mask.dtype} {mask.shape}")
    # frombytes of packed rows: fromarray takes no one-bit arrays.
    height, width = mask.shape
    return _png(Image.frombytes("1", (width, height), np.packbits(mask, axis=1).tobytes()))


def decode_mask(data: bytes) -> NDArray[np.bool_]:
    """Decode what ``encode_mask`` gave, bool (H, W); raises DataError on other bytes."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.array(image.convert("1"), dtype=bool)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"the stored mask is not PNG ({error}): store it again") from None


def pixel_sha256(pixels: NDArray[np.uint8]) -> str:
    """Digest of the shape and the raw bytes of uint8 pixels, hexadecimal.

    >>> pixel_sha256(np.zeros((2, 3, 3), np.uint8)) == pixel_sha256(np.zeros((3, 2, 3), np.uint8))
    False
    """
    digest = hashlib.sha256(f"{pixels.shape}\n".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _png(image: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")  # type: ignore[attr-defined]
    return buffer.getvalue()
