import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from harness.measures.base import Pairs, Side
from harness.measures.findings_detection import FindingsDetection
from harness.report import CRITICAL, FINDINGS, INDEX, State
from harness.testing import check_measure

codes = st.lists(
    st.lists(st.sampled_from([int(state) for state in State]), min_size=14, max_size=14),
    min_size=3,
    max_size=8,
)


def pairs_of(reference, candidate, failed=None):
    n = len(reference)
    texts = [""] * n
    sides = [Side(texts, texts, np.array(labels, dtype=np.int8)) for labels in (reference, candidate)]
    return Pairs(*sides, np.zeros(n, dtype=bool) if failed is None else np.array(failed))


@given(
    codes,
    st.data(),
    st.sampled_from(["all", "critical"]),
    st.sampled_from(["positive", "negative", "ignore"]),
)
def test_conforms(reference, data, findings, uncertain):
    n = len(reference)
    candidate = data.draw(st.lists(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=14, max_size=14),
                                   min_size=n, max_size=n))  # fmt: skip
    assert check_measure(FindingsDetection(findings, uncertain), pairs_of(reference, candidate)) == []


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth, claim = (rng.choice([State.POSITIVE, State.NEGATIVE], size=(200, 14)) for _ in range(2))
    measure = FindingsDetection()
    totals = measure.rows(pairs_of(truth, claim)).sum(axis=0).astype(float)
    values = dict(zip(measure.values, measure.value(totals), strict=True))
    for finding in FINDINGS[1:]:
        of = truth[:, INDEX[finding]], claim[:, INDEX[finding]]
        assert values[f"{finding} sensitivity"] == pytest.approx(recall_score(*of, pos_label=State.POSITIVE))
        assert values[f"{finding} specificity"] == pytest.approx(recall_score(*of, pos_label=State.NEGATIVE))
    of = truth[:, 1:].ravel(), claim[:, 1:].ravel()
    assert values["pooled sensitivity"] == pytest.approx(recall_score(*of, pos_label=State.POSITIVE))


def test_a_failed_study_is_right_about_nothing():
    reference = [[State.POSITIVE] * 14, [State.NEGATIVE] * 14]
    silent = [[State.NOT_MENTIONED] * 14] * 2
    measure = FindingsDetection("critical")
    place = measure.values.index("pooled specificity")
    answered = measure.rows(pairs_of(reference, silent)).sum(axis=0).astype(float)
    failed = measure.rows(pairs_of(reference, silent, [True, True])).sum(axis=0).astype(float)
    assert measure.value(answered)[place - 1 : place + 1].tolist() == [0.0, 1.0]
    assert measure.value(failed)[place - 1 : place + 1].tolist() == [0.0, 0.0]


def test_what_the_reference_does_not_cover_is_no_trial():
    measure = FindingsDetection("critical")
    rows = measure.rows(pairs_of([[State.NOT_COVERED] * 14], [[State.POSITIVE] * 14]))
    assert not rows.any()
    assert len(measure.values) == 2 * (len(CRITICAL) + 1)


def test_refuses():
    with pytest.raises(ValueError, match="findings must be one of all, critical"):
        FindingsDetection("some")
    with pytest.raises(ValueError, match="uncertain must be one of"):
        FindingsDetection(uncertain="maybe")
