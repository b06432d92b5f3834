import pytest

from harness.exploration.cautions import DOMINANT, IMBALANCE, RARE, SMALL_GROUP, warn
from harness.exploration.model import FindingCounts, Shares
from harness.report import CRITICAL, Finding


def counts(finding=Finding.EDEMA, positive=0, uncertain=0, negative=0, blank=0, not_covered=0, splits=None):
    covered = positive + uncertain + negative + blank
    share = positive / covered if covered else float("nan")
    return FindingCounts(finding, finding in CRITICAL, positive, uncertain, negative, blank, not_covered,
                         share, 0.0, 1.0, splits or {})  # fmt: skip


def rules(item, **kind):
    found = warn(
        [item],
        kind.get("groups", ()),
        kind.get("splits", {}),
        kind.get("studies", 1_000),
        kind.get("repeated", 0),
    )
    return [one.rule for one in found]


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        (counts(not_covered=50), "not covered"),
        (counts(blank=50), "no positives"),
        (counts(positive=5, blank=995), f"rare, below {RARE:.0%}"),
        (counts(positive=40, blank=960), f"imbalance, {IMBALANCE:g} to 1 or more"),
        (counts(positive=200, uncertain=300, blank=500), "more uncertain than positive"),
        (counts(Finding.FRACTURE, positive=148, blank=500), "too few positives for 98%"),
    ],
)
def test_each_rule_speaks_where_it_holds(item, rule):
    assert rules(item) == [rule]


@pytest.mark.parametrize(
    "item",
    [
        counts(positive=48, blank=952),
        counts(Finding.FRACTURE, positive=149, blank=500),
        counts(positive=200, uncertain=200, blank=500),
        counts(Finding.NO_FINDING, not_covered=9),
    ],
)
def test_and_is_silent_where_it_does_not(item):
    assert rules(item) == []


def test_groups_too_large_or_too_small_are_named():
    shares = Shares("sex", {"F": 960, "M": 29, "unknown": 11})
    assert rules(counts(positive=500, blank=500), groups=[shares]) == [
        f"one group, {DOMINANT:.0%} or more",
        f"small group, below {SMALL_GROUP}",
    ]
    assert rules(counts(positive=500, blank=500), groups=[Shares("sex", {"F": 1_000})]) == []


def test_splits_that_differ_and_reports_that_repeat():
    splits = {"train": (800, 400), "test": (200, 100)}
    uneven = counts(positive=100, blank=900, splits={"train": 60, "test": 40})
    assert rules(uneven, splits=splits) == ["splits differ, 2 times or more"]
    even = counts(positive=100, blank=900, splits={"train": 80, "test": 20})
    assert rules(even, splits=splits) == []
    assert rules(even, repeated=60) == ["repeated reports, 5% or more"]
    assert rules(even, repeated=40) == []


def test_critical_findings_come_first():
    found = warn([counts(blank=9), counts(Finding.FRACTURE, blank=9)], (), {}, 9, 0)
    assert [one.about for one in found] == [Finding.FRACTURE, Finding.EDEMA]
