import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from harness.measures.findings_f1 import FindingsF1
from harness.report import COMPETITION, FINDINGS, INDEX, State
from report_texts import labels, pairs, value

FIVE = [INDEX[finding] for finding in COMPETITION]
states = st.sampled_from([int(state) for state in State if state != State.NOT_COVERED])


def tables(rows):
    return arrays(np.int8, (rows, len(FINDINGS)), elements=states)


def of(candidate, reference, **options):
    measure = FindingsF1(**options)
    texts = ["x"] * len(reference)
    return dict(zip(measure.values, value(measure, pairs(texts, texts, candidate, reference)), strict=True))


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(tables(n), tables(n))), st.booleans())
def test_it_is_scikit_learns(both, uncertain_is_positive):
    positive = (State.POSITIVE, State.UNCERTAIN) if uncertain_is_positive else (State.POSITIVE,)
    candidate, reference = (np.isin(table, positive) for table in both)
    found = of(*both, uncertain="positive" if uncertain_is_positive else "negative")
    each = f1_score(reference, candidate, average=None, zero_division=np.nan)
    np.testing.assert_allclose([found[str(finding)] for finding in FINDINGS], each, atol=1e-12)
    for name, chosen in (("14", list(range(14))), ("5", FIVE)):
        for average in ("macro", "micro"):
            # Where nothing is asserted at all, the peer's macro average warns; ours is undefined.
            truth, answer = reference[:, chosen], candidate[:, chosen]
            if (truth | answer).any():
                peer = f1_score(truth, answer, average=average, zero_division=np.nan)
                assert found[f"{average}-{name}"] == pytest.approx(peer, abs=1e-12)
            else:
                assert np.isnan(found[f"{average}-{name}"])


def test_a_hand_worked_table():
    reference = labels({"Edema": 1, "Fracture": 1}, {"Edema": 1}, {"Edema": 2}, {"Edema": 3})
    candidate = labels({"Edema": 1}, {}, {"Edema": 1}, {"Edema": 1, "Fracture": 1})
    found = of(candidate, reference)  # Edema: 2 true positives, 1 false, 1 missed
    assert found["Edema"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["Fracture"] == 0
    assert np.isnan(found["Pneumonia"])
    assert found["macro-14"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["micro-14"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))
    assert found["macro-5"] == pytest.approx(2 / 3)
    # An uncertain reference is set aside: the fourth study says nothing of Edema.
    assert of(candidate, reference, uncertain="ignore")["Edema"] == pytest.approx(2 / (2 + 1 + 1))


def test_what_the_reference_does_not_cover_is_not_judged():
    reference = labels({"Edema": State.NOT_COVERED}, {"Edema": 1})
    assert of(labels({"Edema": 1}, {"Edema": 1}), reference)["Edema"] == 1


def test_unknown_policy():
    with pytest.raises(ValueError, match="uncertain must be one of"):
        FindingsF1("maybe")
