import pytest

from harness.candidates.base import ModelSize
from harness.latency.roofline import SHEETS, estimate, floor_s

SEVEN = ModelSize(300_000_000, 2_050, 7_000_000_000, 2.0)


def test_writing_is_bound_by_memory_and_reading_by_arithmetic():
    found = floor_s(SHEETS["NVIDIA A10G"], SEVEN, read=1000, written=100)
    assert found["inference"] == pytest.approx(2 * 3e8 * 2050 / 70e12)
    reading = 2 * 7e9 * 1000 / 70e12
    assert found["decoding"] == pytest.approx(reading + 100 * 14e9 / 600e9)


def test_int8_halves_what_memory_binds():
    half = ModelSize(300_000_000, 2_050, 7_000_000_000, 1.0)
    sheet = SHEETS["NVIDIA A10G"]
    ratio = floor_s(sheet, half, 1, 100)["decoding"] / floor_s(sheet, SEVEN, 1, 100)["decoding"]
    assert ratio == pytest.approx(0.5, rel=0.01)


def test_efficiency_is_taken_over_from_a_device_that_is_known_and_assumed_elsewhere():
    tokens, phases = {"read": 1000.0, "written": 100.0}, {"decoding": 2.0, "preprocessing": 0.1}
    here = sum(floor_s(SHEETS["NVIDIA H100 80GB HBM3"], SEVEN, 1000, 100).values())
    known = estimate("NVIDIA A10G", "NVIDIA H100 80GB HBM3", SEVEN, tokens, phases, 0.3)
    assert known["efficiency"] == pytest.approx(here / 2.0)
    assumed = estimate("NVIDIA A10G", "some CPU", SEVEN, tokens, phases, 0.3)
    assert (assumed["efficiency"], assumed["efficiency_told"]) == (0.3, "assumed")
    floor = sum(floor_s(SHEETS["NVIDIA A10G"], SEVEN, 1000, 100).values())
    assert assumed["seconds"] == pytest.approx(floor / 0.3 + 0.1)
    assert assumed["fits"]
    assert not estimate("NVIDIA A10G", "x", ModelSize(0, 1, 13 * 10**9, 2.0), tokens, phases, 0.3)["fits"]


@pytest.mark.parametrize(
    ("target", "size", "tokens", "told"),
    [
        ("NVIDIA A10G", None, {"read": 1.0, "written": 1.0}, "does not tell"),
        ("NVIDIA A10G", SEVEN, {}, "does not tell"),
        ("A device of tomorrow", SEVEN, {"read": 1.0, "written": 1.0}, "no data sheet"),
    ],
)
def test_where_there_is_no_saying_it_says_so(target, size, tokens, told):
    found = estimate(target, "x", size, tokens, {}, 0.3)
    assert told in found["reason"]
    assert "seconds" not in found
