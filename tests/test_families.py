import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.estimates import Settings, estimate_all
from harness.families import decide_family
from harness.inference import adjust_p_values, proportion_interval
from harness.status import Status
from harness.suite import Criterion
from simulated import Detection

SETTINGS = Settings(0.95, (0.95,), 200, 0)


def estimates_of(**groups):
    """One slice "site"; of each group (hits, positives), a study a patient."""
    rows, members = [], []
    for group, (hits, positives) in groups.items():
        rows += [[int(k < hits), 1, 0] for k in range(positives)]
        members += [group] * positives
    patients = [f"p{k}" for k in range(len(rows))]
    return estimate_all({"d": Detection()}, {"d": np.array(rows)}, patients, {"site": members}, SETTINGS)


def criterion(statistic, minimum=20, **options):
    return Criterion(
        id="c",
        measure="d",
        value="sensitivity",
        over=("site",),
        statistic=statistic,
        minimum_trials=minimum,
        **options,
    )


def decided(asked, **groups):
    return decide_family(asked, estimates_of(**groups), 0.95)


def statuses(family):
    return {group.group.removeprefix("site="): group.status.value for group in family.groups}


def test_every_group_must_meet_it():
    family = decided(criterion("worst", above=0.8), a=(99, 100), b=(97, 100))
    assert family.status is Status.PASS
    assert family.deciding.group == "site=b"
    assert "Holm" in family.reason


def test_a_group_that_falls_below_is_named():
    family = decided(criterion("worst", above=0.8), a=(99, 100), b=(70, 100), c=(98, 100))
    assert family.status is Status.FAIL
    assert statuses(family) == {"a": "PASS", "b": "FAIL", "c": "PASS"}
    assert family.reason == "below the threshold: site=b (70 / 100)"


def test_a_group_below_the_minimum_is_listed_and_keeps_the_whole_from_pass():
    family = decided(criterion("worst", above=0.8), a=(99, 100), b=(5, 5))
    assert family.status is Status.NOT_EVALUATED
    assert statuses(family) == {"a": "PASS", "b": "NOT EVALUATED"}
    assert family.reason == "not evaluated: site=b (5 / 5)"
    small = next(group for group in family.groups if group.group == "site=b")
    assert (small.numerator, small.denominator, small.bound) == (5, 5, None)
    assert small.reason == "5 trials, fewer than the minimum of 20"


def test_a_failing_group_fails_the_whole_whatever_is_not_evaluated():
    family = decided(criterion("worst", above=0.8), a=(60, 100), b=(5, 5))
    assert family.status is Status.FAIL


def test_more_groups_ask_for_more_of_each():
    # 93 of 100 is above 0.87 at 95 %, but not with four groups like it together.
    lone = decided(criterion("worst", above=0.87), a=(93, 100))
    four = decided(criterion("worst", above=0.87), **dict.fromkeys("abcd", (93, 100)))
    assert (lone.status, four.status) == (Status.PASS, Status.FAIL)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(80, 100), min_size=1, max_size=6))
def test_the_groups_shown_are_those_of_holm_on_exact_p_values(hits):
    from scipy.stats import binom

    groups = {f"g{k}": (count, 100) for k, count in enumerate(hits)}
    family = decided(criterion("worst", above=0.85), **groups)
    adjusted = adjust_p_values([binom.sf(count - 1, 100, 0.85) for count in hits], "holm")
    expected = {f"g{k}": p < 0.05 for k, p in enumerate(adjusted)}
    assert {name: status == "PASS" for name, status in statuses(family).items()} == expected


def test_a_slice_without_data_is_not_evaluated():
    family = decided(criterion("worst", above=0.8).model_copy(update={"over": ("race",)}), a=(9, 9))
    assert family.status is Status.NOT_EVALUATED
    assert family.groups[0].reason == "no study has a race"
    assert family.deciding is None


def test_the_gap_is_between_the_best_and_the_worst():
    found = decided(criterion("gap", below=0.2), a=(500, 500), b=(480, 500), c=(490, 500))
    assert found.status is Status.PASS
    assert found.deciding.group == "site: a - b"
    assert found.deciding.estimate == pytest.approx(0.04)
    assert found.deciding.low <= 0.04 <= found.deciding.high <= found.deciding.bound + 0.02
    wide = decided(criterion("gap", below=0.2), a=(500, 500), b=(350, 500))
    assert wide.status is Status.FAIL
    assert "site: a - b" in wide.reason


def test_the_bound_of_a_gap_is_newcombes_over_all_pairs():
    counts = {"a": (95, 100), "b": (90, 100), "c": (60, 65)}
    found = decided(criterion("gap", below=0.5), **counts)

    def limits(x, n):
        sides = [proportion_interval(x, n, 0.95, "clopper-pearson", side) for side in ("lower", "upper")]
        return sides[0].low, x / n, sides[1].high

    all_limits = [limits(*count) for count in counts.values()]
    expected = max(
        p - q + ((u - p) ** 2 + (q - low) ** 2) ** 0.5
        for i, (_, p, u) in enumerate(all_limits)
        for j, (low, q, _) in enumerate(all_limits)
        if i != j
    )
    assert found.deciding.bound == pytest.approx(expected)


def test_equal_groups_that_are_too_small_for_the_gap_are_not_evaluated():
    found = decided(criterion("gap", below=0.05), a=(30, 30), b=(30, 30))
    assert found.status is Status.NOT_EVALUATED
    assert found.deciding.group in ("site: a - b", "site: b - a")


def test_a_gap_needs_two_groups_that_are_large_enough():
    found = decided(criterion("gap", below=0.2), a=(100, 100), b=(3, 3))
    assert found.status is Status.NOT_EVALUATED
    assert [group.reason for group in found.groups] == [
        "fewer than two groups of site are large enough to compare",
        "3 trials, fewer than the minimum of 20",
    ]


def test_a_value_that_is_no_proportion_counts_studies():
    rows = np.random.default_rng(0).integers(0, 2, (60, 1)) * [1, 1, 0] + [0, 0, 1]
    members = ["a"] * 55 + ["b"] * 5
    estimates = estimate_all(
        {"d": Detection()}, {"d": rows}, [str(k) for k in range(60)], {"site": members}, SETTINGS
    )
    f1 = criterion("worst", above=0.01).model_copy(update={"value": "f1"})
    small = decide_family(f1, estimates, 0.95).groups[1]
    assert small.reason == "5 studies, fewer than the minimum of 20"
