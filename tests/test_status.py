import math
from dataclasses import dataclass

import pytest

from harness.status import Status, holds, status_of
from harness.suite import Criterion


@dataclass
class Bounds:
    lower: float
    upper: float
    best: float = math.nan
    reason: str = ""

    def bound(self, side, confidence):
        return getattr(self, side)

    def best_bound(self, side, confidence):
        return self.best


def criterion(**threshold):
    return Criterion(id="c", measure="m", **threshold)


@pytest.mark.parametrize(
    ("threshold", "bounds", "status"),
    [
        ({"above": 0.9}, (0.91, 1.0), Status.PASS),
        ({"above": 0.9}, (0.9, 1.0), Status.FAIL),
        ({"at_least": 0.9}, (0.9, 1.0), Status.PASS),
        ({"below": 0.1}, (0.0, 0.09), Status.PASS),
        ({"below": 0.1}, (0.0, 0.1), Status.FAIL),
        ({"at_most": 0.1}, (0.0, 0.1), Status.PASS),
        ({"above": 0.9}, (math.nan, math.nan), Status.NOT_EVALUATED),
        # Too few for even a perfect result, and nothing speaks against it: not evaluated ...
        ({"above": 0.9}, (0.8, 0.95, 0.85), Status.NOT_EVALUATED),
        # ... but what is shown to be worse has failed, however few there are.
        ({"above": 0.9}, (0.2, 0.7, 0.85), Status.FAIL),
        ({"above": 0.9}, (0.8, 0.95, 0.92), Status.FAIL),
        ({"below": 0.1}, (0.05, 0.3, 0.2), Status.NOT_EVALUATED),
    ],
)
def test_the_bound_decides(threshold, bounds, status):
    found, reason = status_of(criterion(**threshold), Bounds(*bounds), 0.95)
    assert found is status
    assert reason


def test_nothing_to_judge_is_not_evaluated():
    assert status_of(criterion(above=0.9, slice="sex=F"), None, 0.95) == (
        Status.NOT_EVALUATED, "no study in sex=F",
    )  # fmt: skip


def test_nan_never_holds():
    for name in ("above", "at_least", "below", "at_most"):
        assert not holds(criterion(**{name: 0.5}), math.nan)


def test_the_whole_is_pass_only_if_everything_is():
    p, f, n = Status.PASS, Status.FAIL, Status.NOT_EVALUATED
    assert [Status.whole(parts) for parts in ([p, p], [p, n], [n, f], [])] == [p, n, f, n]
    assert [status.exit_code for status in (p, f, n)] == [0, 1, 3]
