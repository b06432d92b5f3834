import math

import numpy as np
import pytest

from harness.estimates import Settings, estimate_all
from harness.inference import bootstrap_interval
from harness.measures.base import Measure, WeightedMeasure, ratio
from harness.testing import check_measure
from report_texts import pairs


class MedianLength(WeightedMeasure):
    """Weighted median of the words of a report: needs ranks, not totals."""

    name = "median_length"
    columns = ("words",)
    values = ("median", "longest")
    without_interval = {"longest": "a maximum"}  # noqa: RUF012 - a test's

    def signature(self):
        return "median_length|v1"

    def rows(self, pairs):
        return np.array([[len(text.split())] for text in pairs.candidate.findings], dtype=np.int64)

    def weighted(self, rows, weights):
        order = np.argsort(rows[:, 0], kind="stable")
        words, weights = rows[order, 0], weights[..., order]
        total = weights.sum(axis=-1)
        middle = (2 * weights.cumsum(axis=-1) >= total[..., None]).argmax(axis=-1)
        values = np.stack([words[middle], np.where(weights > 0, words, 0).max(axis=-1)], axis=-1)
        return np.where(total[..., None] > 0, values, np.nan)


class MeanLength(Measure):
    """The mean by column totals."""

    name = "mean_length"
    columns = ("words", "studies")
    values = ("value",)

    def signature(self):
        return "mean_length|v1"

    def rows(self, pairs):
        return np.array([[len(text.split()), 1] for text in pairs.candidate.findings], dtype=np.int64)

    def value(self, totals):
        return ratio(totals[..., :1], totals[..., 1:])


class WeightedMeanLength(WeightedMeasure):
    """The same mean, by the other road."""

    name, columns, values = MeanLength.name, MeanLength.columns, MeanLength.values
    signature, rows = MeanLength.signature, MeanLength.rows

    def weighted(self, rows, weights):
        return MeanLength.value(self, weights @ rows)


def estimates(measure, some, clusters, groups=None):
    return estimate_all(
        {"m": measure}, {"m": measure.rows(some)}, clusters, groups or {},
        Settings(confidence=0.95, bound_confidences=(0.9,), replicates=999, seed=5),
    )  # fmt: skip


@pytest.fixture(scope="module")
def some():
    rng = np.random.default_rng(3)
    return pairs(["word " * int(n) for n in rng.integers(1, 60, 120)], ["x"] * 120)


CLUSTERS = [f"p{k // 3}" for k in range(120)]
GROUPS = {"sex": ["F" if k % 2 else "M" for k in range(120)]}


def test_both_roads_lead_to_the_same_numbers(some):
    by_totals = estimates(MeanLength(), some, CLUSTERS, GROUPS)
    by_weights = estimates(WeightedMeanLength(), some, CLUSTERS, GROUPS)
    assert len(by_totals) == len(by_weights) == 3
    for one, other in zip(by_totals, by_weights, strict=True):
        assert one.as_json() == other.as_json()
        assert math.isfinite(one.low)


def test_a_ranked_statistic_has_a_clustered_interval(some):
    median, longest = estimates(MedianLength(), some, CLUSTERS)
    words = [len(text.split()) for text in some.candidate.findings]
    assert median.estimate == sorted(words)[59]
    assert median.low < median.estimate < median.high
    assert median.bound("lower", 0.9) >= median.low
    assert "BCa bootstrap, 999 replicates" in median.method
    assert (median.n_studies, median.n_patients) == (120, 40)
    assert longest.estimate == max(words)
    assert math.isnan(longest.low)
    assert longest.reason == "a maximum"


def test_conformance_covers_the_kind(some):
    assert check_measure(MedianLength(), some) == []

    class Wrong(MedianLength):
        def weighted(self, rows, weights):
            found = super().weighted(rows, weights)
            found[..., 0] = rows[0, 0]  # of the first study, whatever its weight
            return found

        def counts(self, rows):
            return {"longest": (rows[:, 0], rows[:, 0])}

    told = " ".join(check_measure(Wrong(), some))
    for complaint in ("weight 2 must count as two", "of no studies is undefined", "counts: longest"):
        assert complaint in told


def test_the_interval_is_that_of_a_bootstrap_of_patients(some):
    found = estimates(WeightedMeanLength(), some, CLUSTERS)[0]
    plain = bootstrap_interval(
        MeanLength().rows(some), MeanLength().value, CLUSTERS, replicates=999, confidence=0.95
    )[0]
    assert found.low == pytest.approx(plain.low, rel=0.05)
    assert found.high == pytest.approx(plain.high, rel=0.05)
