import os
from functools import partial

import pytest

from harness.engines.blocks import FEW, map_blocks
from harness.errors import CohortError, EngineError, HarnessError

MANY = list(range(3 * FEW))


def square(number):
    return number * number, os.getpid()


def fail(number, how):
    if number == FEW + 2:
        if how == "dies":
            os._exit(9)
        raise (CohortError if how == "refuses" else ValueError)("Patient Mary")
    return number


def test_results_come_in_order_from_several_processes():
    found = list(map_blocks(square, MANY, 2))
    assert [value for value, _ in found] == [number * number for number in MANY]
    assert len({process for _, process in found} - {os.getpid()}) == 2


@pytest.mark.parametrize(("count", "workers"), [(FEW, 2), (len(MANY), 1), (0, 2)])
def test_little_work_stays_in_this_process(count, workers):
    found = list(map_blocks(square, MANY[:count], workers))
    assert {process for _, process in found} <= {os.getpid()}
    assert len(found) == count


def test_few_items_are_taken_ahead():
    taken = []
    results = map_blocks(square, (taken.append(number) or number for number in MANY), 2)
    next(results)
    assert len(taken) <= FEW + 2
    results.close()


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ("refuses", HarnessError, "Patient Mary"),
        ("raises", EngineError, r"reading reports failed: ValueError at test_blocks.py:\d+$"),
        ("dies", EngineError, r"died \(exit code 9\)"),
    ],
)
def test_failures_are_told_without_words_of_reports(how, error, told):
    with pytest.raises(error, match=told):
        list(map_blocks(partial(fail, how=how), MANY, 2))
