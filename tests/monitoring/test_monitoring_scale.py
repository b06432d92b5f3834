import pytest

from harness.monitoring.scale import Measured, Need, needed

PARTS = Measured(candidate_s=0.05, handling_s=0.001, reading_s=0.004, concluding_s=0.0005)


def test_the_hours_are_those_of_the_parts():
    found = needed(PARTS, Need(studies=2_300_000, gpus=1, cores=2))
    assert found.asking == pytest.approx(2_300_000 * 0.05 / 3600)
    assert found.reading == pytest.approx(2_300_000 * 0.002 / 3600)
    assert found.whole == pytest.approx(2_300_000 * (0.05 + 0.002 + 0.0005) / 3600)
    assert found.overhead == pytest.approx(0.05)
    assert "the GPUs set the pace" in str(found)


def test_beyond_some_gpus_the_one_process_sets_the_pace():
    few, many = (needed(PARTS, Need(studies=1e6, gpus=gpus)) for gpus in (50, 64))
    assert few.asking == pytest.approx(many.asking) == pytest.approx(1e6 * 0.001 / 3600)
    assert "the process that hands out" in str(many)


def test_nothing_runs_on_no_machine():
    with pytest.raises(ValueError, match="at least one GPU"):
        needed(PARTS, Need(studies=1, gpus=0))
