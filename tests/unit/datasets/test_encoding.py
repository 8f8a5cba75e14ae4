"""Lossless encoding, and the digest of pixels."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saliency_audit.datasets.encoding import (
    decode_image,
    decode_mask,
    encode_image,
    encode_mask,
    pixel_sha256,
)
from saliency_audit.errors import DataError

SIDES = st.integers(1, 20)


@given(hnp.arrays(np.uint8, st.tuples(SIDES, SIDES, st.just(3))))
def test_images_come_back_as_they_were(pixels):
    np.testing.assert_array_equal(decode_image(encode_image(pixels)), pixels)


@given(hnp.arrays(np.bool_, st.tuples(SIDES, SIDES)))
def test_masks_come_back_as_they_were(mask):
    found = decode_mask(encode_mask(mask))
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, mask)


def test_a_view_of_other_memory_order_is_encoded_by_its_values():
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    turned = pixels.transpose(1, 0, 2)
    np.testing.assert_array_equal(decode_image(encode_image(turned)), turned)
    assert pixel_sha256(turned) == pixel_sha256(turned.copy())


def test_the_digest_is_of_shape_and_bytes():
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert pixel_sha256(pixels) == hashlib.sha256(b"(2, 2, 3)\n" + bytes(range(12))).hexdigest()


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
@pytest.mark.parametrize("data", [b"", b"no image", encode_mask(np.eye(40, dtype=bool))[:60]])
def test_other_bytes_are_an_error_of_data(decode, data):
    with pytest.raises(DataError, match="not PNG"):
        decode(data)


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), float)])
def test_arrays_that_are_no_image_are_refused(wrong):
    with pytest.raises(ValueError, match="uint8"):
        encode_image(wrong)
    with pytest.raises(ValueError, match="bool"):
        encode_mask(wrong)
