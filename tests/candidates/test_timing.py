import time

import pytest

from harness.candidates.timing import PHASES, Stopwatch, count_tokens, phase


def test_without_a_stopwatch_nothing_is_counted():
    with phase("inference"):
        count_tokens(read=3, written=4)
    assert Stopwatch().account() == {}


def test_a_phase_within_another_stops_the_outer_one(monkeypatch):
    now = iter([0.0, 1.0, 4.0, 9.0, 10.0])  # start; formatting; inference within it; its end; the end
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    with Stopwatch().running() as watch, phase("formatting"), phase("inference"):
        pass
    assert watch.account()["phases_s"] == {"formatting": 4.0, "inference": 5.0}


def test_a_phase_that_fails_is_closed():
    with Stopwatch().running() as watch:
        with pytest.raises(KeyError), phase("preprocessing"):
            raise KeyError
        with phase("decoding"):
            pass
    assert set(watch.account()["phases_s"]) == {"preprocessing", "decoding"}


def test_tokens_add_up_and_each_study_has_its_own():
    with Stopwatch().running() as watch:
        count_tokens(read=3, written=4)
        count_tokens(read=1, written=1)
    assert watch.account()["tokens"] == {"read": 4, "written": 5}
    with Stopwatch().running() as other:
        pass
    assert other.account() == {}


def test_only_known_phases():
    assert PHASES == ("preprocessing", "inference", "decoding", "formatting")
    with pytest.raises(ValueError, match="is no phase"), phase("thinking"):
        pass
