"""DICOM images against pydicom's own transforms and the equations of the standard."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.processing import apply_windowing
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from saliency_audit.datasets.image_files import UnusableFile, read_picture

VALUES = np.random.default_rng([1]).integers(0, 4096, (20, 24)).astype(np.uint16)
SHAPE = VALUES.shape


def film(path, values=VALUES, photometric="MONOCHROME2", frames=0, **attributes):
    """Write a small DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    data.Rows, data.Columns = values.shape[1:3] if frames else values.shape[:2]
    colour = photometric == "RGB"
    data.SamplesPerPixel = 3 if colour else 1
    if colour:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric
    data.BitsAllocated = values.dtype.itemsize * 8
    data.BitsStored = 12 if values.dtype.itemsize == 2 else 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(values.dtype.kind == "i")
    if frames:
        data.NumberOfFrames = frames
    for name, value in attributes.items():
        setattr(data, name, value)
    data.PixelData = values.tobytes()
    data.save_as(path, enforce_file_format=True)
    return path


def read(path, size=SHAPE):
    picture = read_picture(path, size)
    assert (picture.pixels == picture.pixels[..., :1]).all()
    return picture.pixels[..., 0].astype(float), picture.notes


def test_without_a_window_values_are_spread(tmp_path):
    grey, notes = read(film(tmp_path / "a.dcm"))
    expected = (VALUES - VALUES.min()) / float(VALUES.max() - VALUES.min()) * 255
    assert abs(grey - expected).max() <= 0.5
    assert notes == ("scaled_min_max",)


def test_the_name_of_a_file_does_not_matter(tmp_path):
    read(film(tmp_path / "a.png"))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_first_window_is_applied_as_pydicom_does(tmp_path, function):
    path = film(
        tmp_path / "a.dcm",
        WindowCenter=["1500", "20"],
        WindowWidth=["1800", "7"],
        VOILUTFunction=function,
        RescaleSlope="1.5",
        RescaleIntercept="-200",
    )
    from pydicom import dcmread

    data = dcmread(path)
    shown = apply_windowing(VALUES * 1.5 - 200, data, index=0)
    low, high = -200, 4095 * 1.5 - 200
    grey, notes = read(path)
    assert abs(grey - (shown - low) / (high - low) * 255).max() <= 1.0
    assert notes == ()


def test_monochrome1_is_inverted(tmp_path):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    bright, _ = read(film(tmp_path / "a.dcm", **window))
    inverted, _ = read(film(tmp_path / "b.dcm", photometric="MONOCHROME1", **window))
    np.testing.assert_array_equal(inverted, 255 - bright)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_stretch_the_range(tmp_path, photometric):
    values = (VALUES // 4 + 1000).astype(np.int16)
    values[:, :4] = -2000
    path = film(tmp_path / "a.dcm", values, photometric, PixelPaddingValue=-2000)
    grey, _ = read(path)
    assert (grey[:, :4] == 0).all()
    assert grey[:, 4:].min() == 0 and grey[:, 4:].max() == 255


def test_a_lookup_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    looked_up = (np.arange(4096) ** 2 // 256).astype(np.uint16)
    table.LUTData = looked_up.tobytes()
    from pydicom.sequence import Sequence

    table["LUTData"].VR = "OW"
    path = film(tmp_path / "a.dcm", VOILUTSequence=Sequence([table]))
    grey, _ = read(path)
    assert abs(grey - looked_up[VALUES] / 65535 * 255).max() <= 0.5


def test_colour_is_kept(tmp_path):
    values = np.random.default_rng([2]).integers(0, 256, (10, 12, 3)).astype(np.uint8)
    picture = read_picture(film(tmp_path / "a.dcm", values, "RGB"), (10, 12))
    np.testing.assert_array_equal(picture.pixels, values)


def test_of_several_frames_the_first_is_read(tmp_path):
    values = np.stack([VALUES, VALUES[::-1]])
    path = film(tmp_path / "a.dcm", values, frames=2, WindowCenter=2048, WindowWidth=4096)
    grey, notes = read(path)
    one, _ = read(film(tmp_path / "b.dcm", WindowCenter=2048, WindowWidth=4096))
    np.testing.assert_array_equal(grey, one)
    assert notes == ("first_frame",)


def test_a_truncated_file_is_set_aside(tmp_path):
    path = film(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UnusableFile) as error:
        read_picture(path, SHAPE)
    assert error.value.reason in ("image_truncated", "image_unreadable")


def test_a_file_without_pixels_is_set_aside(tmp_path):
    path = film(tmp_path / "a.dcm")
    from pydicom import dcmread

    data = dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(UnusableFile, match="has no pixels"):
        read_picture(path, SHAPE)


def test_a_claim_of_too_many_pixels_is_refused(tmp_path):
    path = film(tmp_path / "a.dcm")
    from pydicom import dcmread

    data = dcmread(path)
    data.Rows = data.Columns = 60_000
    data.save_as(path)
    with pytest.raises(UnusableFile) as error:
        read_picture(path, SHAPE)
    assert error.value.reason == "image_too_large"
