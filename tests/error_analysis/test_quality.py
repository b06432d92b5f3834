import numpy as np
import pytest
from PIL import Image, ImageFilter

from harness.error_analysis.quality import (
    MEASURES,
    clipping,
    contrast,
    noise,
    quality,
    read_native,
    reduced,
    rotation,
    sharpness,
)
from harness.errors import CohortError
from harness.phantom.render import render_scene
from harness.phantom.scene import EdgeCase, Scene
from harness.study import Sex, View


def phantom(**quality):
    scene = Scene(60, Sex.MALE, "WHITE", (View.PA,), EdgeCase.NONE, (), **quality)
    return render_scene(scene, (3, 1), size=256)[0].pixels.astype(np.float32) / 255


def stripes(angle=0.0, side=128):
    """A picture that is its own mirror image, turned by an angle (counter-clockwise, degrees)."""
    x = np.linspace(-1, 1, side)
    pattern = np.exp(-((np.abs(x) - 0.45) ** 2) / 0.01)[None, :] * np.linspace(1, 0.6, side)[:, None]
    turned = Image.fromarray(pattern.astype(np.float32)).rotate(angle, resample=Image.Resampling.BILINEAR)
    return np.asarray(turned)


# Known answers


def test_contrast_of_half_black_half_white_is_a_half():
    picture = np.zeros((64, 64), dtype=np.float32)
    picture[:, 32:] = 1
    assert contrast(picture) == pytest.approx(0.5)
    assert contrast(np.full((64, 64), 0.3, dtype=np.float32)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.08])
def test_noise_is_the_deviation_of_white_noise_over_a_slope(sigma):
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.linspace(0.2, 0.6, 400), np.linspace(0, 0.2, 500))
    assert noise((slope + sigma * rng.standard_normal(slope.shape)).astype(np.float32)) == pytest.approx(
        sigma, rel=0.03
    )
    assert noise(slope.astype(np.float32)) < 1e-6


def test_sharpness_of_a_grating_is_that_of_its_frequency():
    """The Laplacian multiplies sin(wx) by 2 cos(w) - 2; no noise is taken off where there is none."""
    w = 2 * np.pi * 4 / 128
    picture = np.tile(0.5 + 0.4 * np.sin(w * np.arange(128)), (128, 1)).astype(np.float32)
    assert sharpness(picture) == pytest.approx((2 - 2 * np.cos(w)) ** 2, rel=0.05)


def test_sharpness_falls_with_blur_and_does_not_rise_with_noise():
    sharp = Image.fromarray((phantom() * 255).astype(np.uint8))
    blurred = [
        sharpness(np.asarray(sharp.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255)
        for radius in (0, 1, 2, 4, 8)
    ]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[-1] < blurred[0] / 4
    clean, noisy = sharpness(phantom(noise=0.005)), sharpness(phantom(noise=0.06))
    assert noisy == pytest.approx(clean, rel=0.25), "noise is no sharpness"


def test_clipping_counts_both_ends_in_the_middle():
    picture = np.full((80, 80), 0.5, dtype=np.float32)
    picture[:10] = 0  # the border does not count
    picture[10:25, 10:70] = 1
    picture[25:40, 10:70] = 0
    assert clipping(picture) == pytest.approx(0.5)


@pytest.mark.parametrize("angle", [-8.0, -3.0, 0.0, 2.0, 6.5])
def test_rotation_finds_the_turn_of_a_symmetric_picture(angle):
    assert rotation(stripes(angle)) == pytest.approx(angle, abs=0.4)


# Monotone in what made the phantom


def test_contrast_and_noise_rise_with_the_phantoms_exposure_and_noise():
    exposures = [contrast(phantom(exposure=value)) for value in (0.6, 0.7, 0.8, 0.9, 1.0)]
    assert exposures == sorted(exposures)
    assert exposures[-1] > 1.4 * exposures[0]
    noises = [noise(phantom(noise=value)) for value in (0.005, 0.01, 0.02, 0.04, 0.06)]
    assert noises == sorted(noises)
    assert noises[-1] == pytest.approx(0.06, rel=0.15)


def test_clipping_rises_with_overexposure():
    shares = [clipping(phantom(exposure=value)) for value in (0.6, 1.0, 1.6, 2.4)]
    assert shares == sorted(shares)
    assert shares[0] < 0.01 < shares[-1]


def test_rotation_rises_with_the_phantoms_rotation():
    turns = [rotation(phantom(rotation=value)) for value in (-6, -4, -2, 0, 2, 4, 6)]
    assert turns == sorted(turns)
    assert all(abs(found - true) < 1.6 for found, true in zip(turns, (-6, -4, -2, 0, 2, 4, 6), strict=True))
    assert quality(phantom(rotation=-5))["rotation"] > 0, "the measure has no sign"


# Any picture


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (15, 15), (64, 64)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_tiny_and_flat_pictures_have_every_measure_or_nan(shape, value):
    found = quality(np.full(shape, value, dtype=np.float32))
    assert list(found) == list(MEASURES)
    assert np.isnan(found["rotation"])
    assert found["clipping"] in (0.0, 1.0) or np.isnan(found["clipping"])


def test_a_picture_is_reduced_by_averaging_and_never_enlarged():
    picture = np.arange(64, dtype=np.float32).reshape(8, 8)
    assert reduced(picture, 8) is picture
    assert reduced(picture, 4)[0, 0] == pytest.approx(picture[:2, :2].mean())
    assert reduced(np.zeros((600, 300), dtype=np.float32), 256).shape == (256, 128)


def test_deep_pictures_are_scaled_and_broken_ones_refused(tmp_path):
    ramp = np.linspace(0, 65535, 4096).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    deep = read_native(tmp_path / "deep.png")
    assert (deep.min(), deep.max()) == (0, 1)
    assert deep.mean() == pytest.approx(0.5, abs=0.01)
    (tmp_path / "cut.png").write_bytes((tmp_path / "deep.png").read_bytes()[:200])
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("cut.png", "text.jpg", "absent.png"):
        with pytest.raises(CohortError, match=name):
            read_native(tmp_path / name)
