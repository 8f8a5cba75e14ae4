"""Reading foreign image files: real formats, damaged files, files that are no images."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from saliency_audit.datasets.image_files import (
    MAX_PIXELS,
    UnusableFile,
    read_mask,
    read_picture,
)
from saliency_audit.datasets.vocabulary import REASONS

SIZE = (16, 16)


def gradient(height=32, width=48):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5, columns * 4, (rows + columns) * 2], axis=2).astype(np.uint8)


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def reason(read, *arguments):
    with pytest.raises(UnusableFile) as error:
        read(*arguments)
    assert arguments[0].name in error.value.detail
    assert error.value.reason in REASONS
    return error.value.reason


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_lossless_formats_keep_their_pixels(tmp_path, suffix):
    picture = read_picture(saved(tmp_path / f"a.{suffix}", gradient()), (32, 48))
    np.testing.assert_array_equal(picture.pixels, gradient())
    assert (picture.width, picture.height, picture.notes) == (48, 32, ())


def test_shrinking_averages_areas(tmp_path):
    picture = read_picture(saved(tmp_path / "a.png", gradient(32, 48)), (8, 12))
    means = gradient(32, 48).reshape(8, 4, 12, 4, 3).mean(axis=(1, 3))
    assert abs(picture.pixels - means).max() <= 0.5
    assert (picture.width, picture.height) == (48, 32)


def test_enlarging_keeps_range_and_order(tmp_path):
    picture = read_picture(saved(tmp_path / "a.png", gradient(8, 8)), (32, 32))
    assert (np.diff(picture.pixels[..., 0].astype(int), axis=0) >= 0).all()
    assert picture.pixels.max() <= gradient(8, 8).max()


def test_a_large_jpeg_is_the_average_of_its_areas(tmp_path):
    path = saved(tmp_path / "a.jpg", gradient(32, 48).repeat(16, 0).repeat(16, 1), quality=95)
    picture = read_picture(path, (32, 48))
    assert abs(picture.pixels.astype(int) - gradient(32, 48)).max() <= 4
    assert (picture.width, picture.height) == (768, 512)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    source = Image.fromarray(gradient())
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    source.convert(mode).save(path)
    picture = read_picture(path, (32, 48))
    expected = np.array(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(picture.pixels, expected)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.float32)]
)
def test_more_than_8_bits_are_spread_over_the_range(tmp_path, suffix, dtype):
    values = np.linspace(100, 4100, 32 * 48).reshape(32, 48).astype(dtype)
    picture = read_picture(saved(tmp_path / f"a.{suffix}", values), (32, 48))
    expected = (values.astype(float) - values.min()) / (values.max() - values.min()) * 255
    assert abs(picture.pixels[..., 1] - expected).max() <= 0.5
    assert picture.notes == ("scaled_min_max",)


def test_values_that_are_not_finite_are_refused(tmp_path):
    values = np.full((32, 32), np.nan, np.float32)
    with pytest.raises(UnusableFile, match="not finite"):
        read_picture(saved(tmp_path / "a.tif", values), SIZE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", gradient(), exif=exif)
    upright = np.array(ImageOps.exif_transpose(Image.open(path)))
    picture = read_picture(path, upright.shape[:2])
    np.testing.assert_array_equal(picture.pixels, upright)
    assert (picture.width, picture.height) == upright.shape[1::-1]
    assert picture.notes == (() if orientation == 1 else ("turned",))


def test_of_several_frames_the_first_is_read(tmp_path):
    frames = [Image.fromarray(gradient()), Image.fromarray(255 - gradient())]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.tif", (32, 48))
    np.testing.assert_array_equal(picture.pixels, gradient())
    assert picture.notes == ("first_frame",)


def test_a_constant_image_is_noted(tmp_path):
    picture = read_picture(saved(tmp_path / "a.png", np.full((9, 9, 3), 7, np.uint8)), SIZE)
    assert picture.notes == ("constant",)


def test_a_missing_file_is_missing(tmp_path):
    assert reason(read_picture, tmp_path / "a.png", SIZE) == "image_missing"
    assert reason(read_mask, tmp_path / "a.png", SIZE, SIZE) == "mask_missing"


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("kept", [0.9, 0.5])
def test_a_truncated_file_is_set_aside(tmp_path, suffix, kept):
    noise = np.random.default_rng([0]).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert reason(read_picture, path, SIZE) in ("image_truncated", "image_unreadable")
    if suffix != "tif":
        assert reason(read_picture, path, SIZE) == "image_truncated"


def test_a_real_truncated_jpeg_is_truncated(tmp_path, real_data):
    source = next(iter(sorted((real_data / "ham10000/images").glob("*.jpg"))))
    path = tmp_path / "a.jpg"
    path.write_bytes(source.read_bytes()[:2000])
    assert reason(read_picture, path, SIZE) == "image_truncated"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "image_truncated"),
        (b"image_id,label\n", "image_unreadable"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "image_unreadable"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image_unreadable"),
        (b"\x80\x04\x95cposix\nsystem\n(S'true'\ntR.", "image_unreadable"),
        (b"GIF89a" + b"\1" * 40, "image_unreadable"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 64, "image_unreadable"),
    ],
)
def test_a_file_that_is_no_image_is_set_aside(tmp_path, data, expected):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert reason(read_picture, path, SIZE) == expected


def test_a_folder_is_no_image(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert reason(read_picture, tmp_path / "a.png", SIZE) == "image_unreadable"


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    assert side * side > MAX_PIXELS
    assert reason(read_picture, path, SIZE) == "image_too_large"
    assert reason(read_mask, path, SIZE, SIZE) == "mask_too_large"


# Masks


@pytest.fixture(scope="module")
def lesion(real_data):
    """A real lesion mask, bool (225, 300)."""
    path = real_data / "ham10000/masks/ISIC_0024306.png"
    return np.array(Image.open(path)) > 127


def as_palette(indices, colours):
    """A palette image of bool indices and the colours that they stand for."""
    size = (indices.shape[1], indices.shape[0])
    image = Image.frombytes("P", size, indices.astype(np.uint8).tobytes())
    image.putpalette([value for colour in colours for value in colour])
    return image


def test_a_palette_that_runs_backwards_is_read_by_its_colours(tmp_path, lesion):
    """As 402 of the archive's masks: index 0 is white and marks the lesion."""
    straight, backwards = tmp_path / "a.png", tmp_path / "b.png"
    as_palette(lesion, [(0, 0, 0), (255, 255, 255)]).save(straight)
    as_palette(~lesion, [(255, 255, 255), (0, 0, 0)]).save(backwards)
    assert (np.array(Image.open(backwards)) != np.array(Image.open(straight))).all()
    for path in (straight, backwards):
        mask, notes = read_mask(path, (300, 225), (225, 300))
        np.testing.assert_array_equal(mask, lesion)
        assert notes == ()


def test_an_inverted_mask_is_kept_and_noted(tmp_path, lesion):
    """Nothing tells an inverted mask for certain: it is never turned silently."""
    mask, notes = read_mask(saved(tmp_path / "a.png", ~lesion), (300, 225), (225, 300))
    np.testing.assert_array_equal(mask, ~lesion)
    assert notes == ("mask_inverted",)


@pytest.mark.parametrize("form", ["bit", "grey", "zero_one", "rgb", "rgba", "sixteen"])
def test_every_form_of_a_mask_gives_the_same(tmp_path, lesion, form):
    grey = lesion.astype(np.uint8) * 255
    arrays = {
        "bit": lesion,
        "grey": grey,
        "zero_one": lesion.astype(np.uint8),
        "rgb": np.repeat(grey[..., None], 3, axis=2),
        "rgba": np.dstack([grey, grey, grey, np.full_like(grey, 255)]),
        "sixteen": lesion.astype(np.uint16) * 4000,
    }
    mask, notes = read_mask(saved(tmp_path / "a.png", arrays[form]), (300, 225), (225, 300))
    np.testing.assert_array_equal(mask, lesion)
    assert notes == (("mask_zero_one",) if form == "zero_one" else ())


def test_a_jpeg_mask_is_cut_at_half(tmp_path, lesion):
    path = saved(tmp_path / "a.jpg", lesion.astype(np.uint8) * 255, quality=90)
    mask, _ = read_mask(path, (300, 225), (225, 300))
    assert (mask != lesion).mean() < 0.002


def test_a_mask_of_another_size_is_scaled_nearest(tmp_path, lesion):
    mask, notes = read_mask(saved(tmp_path / "a.png", lesion), (200, 150), (75, 100))
    np.testing.assert_array_equal(mask, lesion[1::3, 1::3])
    assert notes == ("mask_rescaled",)


@pytest.mark.parametrize(("fill", "note"), [(0, "mask_empty"), (255, "mask_full")])
def test_empty_and_full_masks_are_noted(tmp_path, fill, note):
    path = saved(tmp_path / "a.png", np.full((16, 16), fill, np.uint8))
    mask, notes = read_mask(path, SIZE, SIZE)
    assert notes == (note,)
    assert (mask == bool(fill)).all()


def test_a_mask_of_unclear_values_is_refused(tmp_path):
    """Class numbers or a dark palette: neither 0 and 1, nor 0 and 255."""
    path = saved(tmp_path / "a.png", (np.eye(16) * 38).astype(np.uint8))
    with pytest.raises(UnusableFile, match="brightest value is 38"):
        read_mask(path, SIZE, SIZE)


def test_a_truncated_mask_is_set_aside(tmp_path, real_data):
    data = (real_data / "ham10000/masks/ISIC_0024306.png").read_bytes()
    path = tmp_path / "a.png"
    path.write_bytes(data[: len(data) // 2])
    assert reason(read_mask, path, SIZE, SIZE) in ("mask_truncated", "mask_unreadable")
