import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageFile

from harness.errors import CohortError
from harness.pixels import content_box, read_pixels


def save(path, array, **options):
    Pillow.fromarray(array).save(path, **options)
    return path


def test_grey_values_between_0_and_1_of_the_size_asked_for(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    grey = read_pixels(save(tmp_path / "a.png", ramp), 256)
    assert grey.shape == (256, 256)
    assert grey.dtype == np.float32
    np.testing.assert_allclose(grey, ramp / 255, atol=1e-6)


def test_proportions_are_kept_and_the_rest_is_black(tmp_path):
    white = np.full((100, 200), 255, dtype=np.uint8)
    grey = read_pixels(save(tmp_path / "a.png", white), 64)
    assert grey[32].min() == pytest.approx(1)
    assert grey[:15].max() == grey[-15:].max() == 0


def test_16_bits_are_scaled_not_clipped(tmp_path):
    deep = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    grey = read_pixels(save(tmp_path / "a.png", deep), 64)
    np.testing.assert_allclose(grey, deep / 65535, atol=1e-3)


def test_colour_is_read_as_grey(tmp_path):
    colour = np.zeros((32, 32, 3), dtype=np.uint8)
    colour[..., 1] = 255
    assert 0.5 < read_pixels(save(tmp_path / "a.png", colour), 32).mean() < 0.7


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 80)])
def test_a_side_of_one_pixel_is_no_radiograph(tmp_path, shape):
    with pytest.raises(CohortError, match=rf"a\.png: {shape[1]} x {shape[0]} pixels are no radiograph"):
        read_pixels(save(tmp_path / "a.png", np.full(shape, 255, dtype=np.uint8)), 16)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    values = np.full((32, 32), 0.5, dtype=np.float32)
    values[3, 4] = value
    with pytest.raises(CohortError, match=r"a\.tiff: holds NaN or infinity"):
        read_pixels(save(tmp_path / "a.tiff", values), 16)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 90), st.integers(2, 90), st.integers(8, 48))
def test_the_content_box_is_where_the_picture_lies(tmp_path, width, height, size):
    assume(round(min(width, height) / max(width, height) * size) > 0)
    path = save(tmp_path / "a.png", np.full((height, width), 255, dtype=np.uint8))
    rows, columns = np.nonzero(read_pixels(path, size))
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert content_box(width, height, size) == seen


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + b"\x00" * 64])
def test_what_is_no_picture_is_refused_with_its_place(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=r"a\.jpg: not a readable picture"):
        read_pixels(path, 64)


@pytest.mark.parametrize("lenient", [False, True])
def test_a_truncated_jpeg_is_refused_not_padded_with_grey(tmp_path, monkeypatch, lenient):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)  # as some packages set it
    noise = np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", noise, quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CohortError, match="not a readable picture"):
        read_pixels(path, 128)


def test_a_missing_picture(tmp_path):
    with pytest.raises(CohortError, match="no such picture"):
        read_pixels(tmp_path / "a.jpg", 64)
