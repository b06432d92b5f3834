from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.promotion.condition import Condition
from harness.promotion.waivers import Waiver, apply_waivers
from harness.status import Status

TODAY = date(2026, 6, 1)
NAMES = ("a", "b", "c", "d")
NEW = "a" * 64


def waiver(condition="a", granted=TODAY, expires=TODAY, **changes):
    facts = {"condition": condition, "candidate": NEW, "by": "Ann Lead", "reason": "Known.", **changes}
    return Waiver(granted=granted, expires=expires, **facts)


def failed(name="a", **changes):
    return Condition(name, "regulatory", Status.FAIL, "bound 0.4 is not > 0.5", **changes)


def test_a_waiver_lifts_a_failure_that_stays_a_failure():
    (condition,), (state,) = apply_waivers([failed()], [waiver()], NEW, TODAY)
    assert (condition.word, condition.status, condition.counted) == ("WAIVED", Status.FAIL, Status.PASS)
    assert condition.as_json()["waiver"]["by"] == "Ann Lead"
    assert state.applied
    assert "bound 0.4 is not > 0.5" in state.told


@pytest.mark.parametrize(
    ("condition", "given", "why"),
    [
        (failed(), waiver(granted=TODAY + timedelta(1), expires=TODAY + timedelta(9)), "not in force before"),
        (
            failed(),
            waiver(granted=TODAY - timedelta(9), expires=TODAY - timedelta(1)),
            "expired on 2026-05-31",
        ),
        (failed(fixed="critical sensitivity cannot be waived"), waiver(), "critical sensitivity cannot be"),
        (
            replace(failed(), status=Status.NOT_EVALUATED),
            waiver(),
            "what was not evaluated cannot be waived",
        ),
        (replace(failed(), status=Status.PASS), waiver(), "is met without it"),
        (failed("regulatory.severity"), waiver("regulatory.severty"), "did you mean regulatory.severity?"),
    ],
)
def test_what_a_waiver_cannot_do_is_said(condition, given, why):
    (after,), (state,) = apply_waivers([condition], [given], NEW, TODAY)
    assert after == condition
    assert not state.applied
    assert state.told.startswith("does nothing: ")
    assert why in state.told


def test_first_and_last_day_are_in_force():
    span = {"granted": date(2026, 6, 1), "expires": date(2026, 6, 30)}
    for day, applied in ((31, False), (1, True), (30, True)):
        today = date(2026, 5, 31) if day == 31 else date(2026, 6, day)
        assert apply_waivers([failed()], [waiver(**span)], NEW, today)[1][0].applied is applied
    assert not apply_waivers([failed()], [waiver(**span)], NEW, date(2026, 7, 1))[1][0].applied


def test_an_expired_waiver_leaves_room_for_its_renewal():
    old = waiver(granted=TODAY - timedelta(9), expires=TODAY - timedelta(1))
    (condition,), states = apply_waivers(
        [failed()], [old, waiver(by="Bo Lead"), waiver(by="Cy Lead")], NEW, TODAY
    )
    assert [state.applied for state in states] == [False, True, False]
    assert condition.waiver.by == "Bo Lead"
    assert "another waiver lifts" in states[2].told


CONDITIONS = st.lists(
    st.builds(
        Condition,
        id=st.sampled_from(NAMES),
        section=st.just("regulatory"),
        status=st.sampled_from(Status),
        reason=st.just("because"),
        fixed=st.sampled_from(["", "cannot be waived"]),
    ),
    unique_by=lambda item: item.id,
    min_size=1,
)
DAYS = st.dates(date(2026, 5, 25), date(2026, 6, 7))
WAIVERS = st.lists(
    st.builds(
        lambda name, one, two: waiver(name, min(one, two), max(one, two)),
        st.sampled_from([*NAMES, "e"]), DAYS, DAYS,
    ),
    max_size=6,
)  # fmt: skip


def whole(conditions, waivers):
    return Status.whole(item.counted for item in apply_waivers(conditions, waivers, NEW, TODAY)[0])


@given(CONDITIONS, WAIVERS)
def test_only_a_failure_that_may_be_waived_ever_counts_as_met(conditions, waivers):
    before = {item.id: item for item in conditions}
    after, states = apply_waivers(conditions, waivers, NEW, TODAY)
    assert [item.id for item in after] == [item.id for item in conditions]
    for item in after:
        was = before[item.id]
        assert item.status is was.status
        assert item.word != "PASS" or was.status is Status.PASS
        if item.counted is not was.status:
            assert (was.status, was.fixed, item.word) == (Status.FAIL, "", "WAIVED")
            assert item.waiver.granted <= TODAY <= item.waiver.expires
    assert sum(state.applied for state in states) == sum(item.word == "WAIVED" for item in after)


@given(CONDITIONS, WAIVERS, st.sampled_from([Status.FAIL, Status.NOT_EVALUATED]), st.booleans())
def test_a_further_condition_that_is_not_met_never_betters_the_whole(conditions, waivers, status, fixed):
    further = Condition("further", "latency", status, "because", "fixed" if fixed else "")
    assert whole([*conditions, further], waivers) is not Status.PASS
    if whole(conditions, waivers) is Status.FAIL:
        assert whole([*conditions, further], waivers) is Status.FAIL


@given(CONDITIONS, WAIVERS)
def test_no_waiver_betters_what_was_not_evaluated(conditions, waivers):
    if any(item.status is Status.NOT_EVALUATED for item in conditions):
        assert whole(conditions, waivers) is not Status.PASS
    if any(item.fixed and item.status is Status.FAIL for item in conditions):
        assert whole(conditions, waivers) is Status.FAIL
