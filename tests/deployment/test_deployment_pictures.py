import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from harness.deployment.pictures import LEAST, MOST, check_picture, check_values, dicom_image, read_picture
from harness.errors import CohortError
from harness.pixels import read_pixels

RAMP = np.linspace(0, 255, 64 * 48).reshape(48, 64)


def saved(path, values, **options):
    Pillow.fromarray(values).save(path, **options)
    return path


def dicom(path, values, photometric="MONOCHROME2", bits=None, **fields):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = values.shape[:2]
    file.PhotometricInterpretation = photometric
    file.SamplesPerPixel = 1 if values.ndim == 2 else 3
    if values.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = 8 * values.dtype.itemsize
    file.BitsStored = bits or file.BitsAllocated
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = 0
    for name, value in fields.items():
        setattr(file, name, value)
    file.PixelData = values.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(path, file, enforce_file_format=True)
    return path


def test_8_and_16_bits_and_rgb_are_the_same_picture(tmp_path):
    eight = saved(tmp_path / "8.png", RAMP.astype(np.uint8))
    sixteen = saved(tmp_path / "16.png", (RAMP * 257).astype(np.uint16))
    rgb = saved(tmp_path / "rgb.png", np.repeat(RAMP.astype(np.uint8)[..., None], 3, axis=2))
    jpeg = saved(tmp_path / "g.jpg", RAMP.astype(np.uint8), quality=95)
    wanted = read_pixels(eight, 32)
    for path, format_, depth, colour in (
        (eight, "PNG", 8, "MONOCHROME2"), (sixteen, "PNG", 16, "MONOCHROME2"),
        (rgb, "PNG", 8, "RGB"), (jpeg, "JPEG", 8, "MONOCHROME2"),
    ):  # fmt: skip
        found = check_picture(path)
        assert (found.format, found.width, found.height) == (format_, 64, 48)
        assert (found.bit_depth, found.photometric) == (depth, colour)
        assert np.abs(read_picture(path, 32) - wanted).max() < 0.02
    assert np.array_equal(read_picture(eight, 32), wanted)  # bit for bit what candidates read


def test_dicom_of_8_and_16_bits_inverted_and_in_colour(tmp_path):
    wanted = read_pixels(saved(tmp_path / "8.png", RAMP.astype(np.uint8)), 32)
    twelve = np.rint(RAMP / 255 * 4095).astype(np.uint16)
    files = {
        "8": dicom(tmp_path / "8.dcm", RAMP.astype(np.uint8)),
        "12": dicom(tmp_path / "12.dcm", twelve, bits=12),
        "inverted": dicom(tmp_path / "1.dcm", 4095 - twelve, "MONOCHROME1", bits=12),
        "rgb": dicom(tmp_path / "rgb.dcm", np.repeat(RAMP.astype(np.uint8)[..., None], 3, axis=2), "RGB"),
        "no-suffix": dicom(tmp_path / "IM0001", RAMP.astype(np.uint8)),
    }
    for name, path in files.items():
        assert np.abs(read_picture(path, 32) - wanted).max() < 0.02, name
    assert check_picture(files["inverted"]).photometric == "MONOCHROME1"
    assert check_picture(files["12"]).bit_depth == 16
    # A window is applied: what lies below it is black, above it white.
    windowed = dicom(tmp_path / "w.dcm", twelve, bits=12, WindowCenter=2048, WindowWidth=1024)
    values = read_picture(windowed, 64)
    assert (values[8:56] == 0).mean() > 0.3
    assert (values == 1).mean() > 0.2


@pytest.mark.parametrize(
    ("shape", "told"),
    [((1, 1), f"1 x 1 pixels; at least {LEAST}"), ((40, 31), "31 x 40 pixels; at least"),
     ((32, MOST + 1), f"at most {MOST}")],
)  # fmt: skip
def test_sizes(tmp_path, shape, told):
    png = saved(tmp_path / "x.png", np.zeros(shape, dtype=np.uint8))
    files = [png, dicom(tmp_path / "x.dcm", np.zeros(shape, dtype=np.uint8))]
    for path in files:
        with pytest.raises(CohortError, match=told):
            read_picture(path, 32)


def test_a_bomb_is_not_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    Pillow.new("1", (30_000, 30_000)).save(path)
    with pytest.raises(CohortError, match="more pixels than any detector has"):
        check_picture(path)


def test_what_no_radiograph_is(tmp_path):
    files = {
        "a GIF file": saved(tmp_path / "x.gif", RAMP.astype(np.uint8)),
        "mode P": tmp_path / "p.png",
        "mode CMYK": tmp_path / "c.jpg",
        "mode 1": tmp_path / "1.png",
        "neither PNG, JPEG nor DICOM": tmp_path / "text.png",
        "no such picture": tmp_path / "none.png",
    }
    Pillow.fromarray(RAMP.astype(np.uint8)).convert("P").save(files["mode P"])
    Pillow.new("CMYK", (64, 64)).save(files["mode CMYK"])
    Pillow.new("1", (64, 64)).save(files["mode 1"])
    files["neither PNG, JPEG nor DICOM"].write_text("hello")
    for told, path in files.items():
        with pytest.raises(CohortError, match=told):
            read_picture(path, 32)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR; MONOCHROME1, MONOCHROME2 and RGB"),
        ({"NumberOfFrames": 3}, "several frames"),
        ({"BitsAllocated": 32}, "32 bits a value"),
        ({"Rows": None}, "without a picture"),
    ],
)
def test_dicom_that_is_refused(tmp_path, change, told):
    path = dicom(tmp_path / "x.dcm", RAMP.astype(np.uint8), **change)
    with pytest.raises(CohortError, match=told):
        check_picture(path)


def test_truncated(tmp_path):
    whole = [
        saved(tmp_path / "x.png", np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)),
        saved(tmp_path / "x.jpg", np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)),
        dicom(tmp_path / "x.dcm", RAMP.astype(np.uint8)),
    ]
    for path in whole:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(CohortError, match=r"not a readable picture|pixels cannot be read|truncated"):
            read_picture(path, 32)


def test_without_pydicom(tmp_path, monkeypatch):
    path = dicom(tmp_path / "x.dcm", RAMP.astype(np.uint8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(CohortError, match=r"harness\[dicom\]"):
        check_picture(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
@given(place=st.integers(0, 15))
def test_one_bad_value_anywhere_is_refused(bad, place):
    values = np.full((4, 4), 0.5)
    values.flat[place] = bad
    with pytest.raises(CohortError, match=r"NaN or infinite|must lie in \[0, 1\]"):
        check_values(values)


@pytest.mark.parametrize("shape", [(), (4,), (0, 4), (4, 4, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(CohortError, match="one grey plane"):
        check_values(np.zeros(shape))


def test_nan_in_a_dicom_rescale(tmp_path):
    path = dicom(tmp_path / "x.dcm", RAMP.astype(np.uint8), RescaleSlope="1e400", RescaleIntercept="0")
    with pytest.raises(CohortError, match=r"NaN or infinite|cannot be read"):
        read_picture(path, 32)


def test_dicom_is_read_like_any_picture(tmp_path):
    """What a candidate reads in process is bit for bit what a service hands its own as PNG."""
    twelve = np.rint(RAMP / 255 * 4095).astype(np.uint16)
    path = dicom(tmp_path / "12", twelve, "MONOCHROME1", bits=12, WindowCenter=2000, WindowWidth=3000)
    dicom_image(path).save(tmp_path / "12.png")
    assert np.array_equal(read_pixels(path, 32), read_pixels(tmp_path / "12.png", 32))
    assert np.array_equal(read_pixels(path, 32), read_picture(path, 32))


def test_a_window_and_not_the_pixels_decides_what_is_black_and_white(tmp_path):
    values = np.linspace(1000, 2000, 64 * 64).reshape(64, 64).astype(np.uint16)
    path = dicom(tmp_path / "x", values, bits=12, WindowCenter=2048, WindowWidth=4096)
    shown = np.asarray(dicom_image(path)) / 65535
    assert shown.min() == pytest.approx(1000 / 4095, abs=1e-3)
    assert shown.max() == pytest.approx(2000 / 4095, abs=1e-3)
    stretched = np.asarray(dicom_image(dicom(tmp_path / "y", values, bits=12)))
    assert (stretched.min(), stretched.max()) == (0, 65535)


def test_padding_is_black_and_stretches_nothing(tmp_path):
    values = np.full((64, 64), 2000, dtype=np.uint16)
    values[:, :32] = 1000
    values[:8] = 4095
    for photometric, wanted in (("MONOCHROME2", (0, 65535)), ("MONOCHROME1", (65535, 0))):
        path = dicom(tmp_path / photometric, values, photometric, bits=12, PixelPaddingValue=4095)
        shown = np.asarray(dicom_image(path))
        assert (shown[:8] == 0).all()
        assert (shown[8:, :32] == wanted[0]).all()
        assert (shown[8:, 32:] == wanted[1]).all()


def test_pictures_with_nothing_on_them(tmp_path):
    blank = dicom(tmp_path / "blank", np.full((64, 64), 7, dtype=np.uint16), bits=12)
    with pytest.raises(CohortError, match="all its pixels are alike"):
        read_pixels(blank, 32)
    black = dicom(tmp_path / "black", np.arange(4096).reshape(64, 64).astype(np.uint16) // 64, bits=12,
                  WindowCenter=60000, WindowWidth=10)  # fmt: skip
    with pytest.raises(CohortError, match="nothing but black"):
        read_pixels(black, 32)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"HighBit": 15}, "12 bits stored with high bit 15; 11 is needed"),
        ({"HighBit": 13}, "high bit 13"),
        ({"HighBit": None}, "high bit missing"),
        ({"BitsStored": 17}, "bits stored are missing or more than the 16"),
        ({"BitsStored": None}, "bits stored are missing"),
        ({"PresentationLUTShape": "INVERSE"}, "contradicts MONOCHROME2"),
        (
            {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
            "contradicts MONO",
        ),
        ({"PatientOrientation": ["R", "F"]}, "mirrored, turned"),
        ({"PatientOrientation": ["LR", "H"]}, "mirrored, turned"),
        ({"PatientOrientation": ["F", "R"]}, "mirrored, turned"),
        ({"PatientOrientation": "L"}, "cannot be read"),
    ],
)
def test_wrong_greys_and_wrong_sides(tmp_path, fields, told):
    values = np.arange(4096).reshape(64, 64).astype(np.uint16)
    path = dicom(tmp_path / "x", values, bits=12, **fields)
    for read in (check_picture, dicom_image):
        with pytest.raises(CohortError, match=told):
            read(path)


def test_greys_and_sides_as_they_should_be(tmp_path):
    values = np.arange(4096).reshape(64, 64).astype(np.uint16)
    plain = np.asarray(dicom_image(dicom(tmp_path / "plain", values, bits=12)))
    for fields in (
        {"PresentationLUTShape": "IDENTITY"},
        {"PatientOrientation": ["L", "F"]},
        {"PatientOrientation": ["LH", "FL"]},
        {"PatientOrientation": ["A", "F"]},
        {"PatientOrientation": ""},
    ):
        assert np.array_equal(
            np.asarray(dicom_image(dicom(tmp_path / "x", values, bits=12, **fields))), plain
        )
    inverse = dicom(tmp_path / "y", values, "MONOCHROME1", 12, PresentationLUTShape="INVERSE")
    assert np.array_equal(np.asarray(dicom_image(inverse)), 65535 - plain)


def test_compressions(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLSLossless, RLELossless

    plain = dicom(tmp_path / "plain", RAMP.astype(np.uint8))
    file = pydicom.dcmread(plain)
    file.SOPClassUID, file.SOPInstanceUID = file.file_meta.MediaStorageSOPClassUID, "1.2.3"
    file.compress(RLELossless)
    file.save_as(tmp_path / "rle")
    assert np.array_equal(np.asarray(dicom_image(tmp_path / "rle")), np.asarray(dicom_image(plain)))
    file.file_meta.TransferSyntaxUID = JPEGLSLossless
    file.save_as(tmp_path / "jls")
    with pytest.raises(CohortError, match=r"compressed as JPEG-LS Lossless.*no decoder|cannot be read"):
        dicom_image(tmp_path / "jls")
    file = pydicom.dcmread(plain)
    file.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file.save_as(tmp_path / "deflated")
    with pytest.raises(CohortError, match="deflated"):
        check_picture(tmp_path / "deflated")
