import numpy as np
import pytest

from harness.measures.hallucination_rate import HallucinationRate
from harness.report import State
from report_texts import labels, pairs, value


def of(candidate, reference, texts=None, **options):
    measure = HallucinationRate(**options)
    some = pairs(texts or ["x"] * len(reference), ["x"] * len(reference), candidate, reference)
    return value(measure, some).tolist(), measure.rows(some)


def test_a_hand_worked_table():
    reference = labels({"Edema": 1}, {"Edema": 2}, {})
    candidate = labels({"Edema": 1}, {"Edema": 1, "Fracture": 1}, {"No Finding": 1})
    found, rows = of(candidate, reference)
    assert found == pytest.approx([2 / 3, 1 / 3])
    assert rows.tolist() == [[0, 1, 0, 1, 0], [2, 2, 1, 1, 0], [0, 0, 0, 1, 0]]


def test_a_wider_claim_is_supported_by_a_narrower_truth_and_not_the_other_way():
    wide, narrow = labels({"Lung Opacity": 1}), labels({"Consolidation": 1})
    assert of(wide, narrow)[0] == [0, 0]
    assert of(narrow, wide)[0] == [1, 1]


def test_what_the_reference_does_not_cover_is_counted_apart():
    found, rows = of(labels({"Edema": 1}), labels({"Edema": State.NOT_COVERED}))
    assert np.isnan(found[0])
    assert found[1] == 0
    assert rows.tolist() == [[0, 0, 0, 1, 1]]


def test_failing_is_no_way_to_a_lower_rate():
    reference = labels({}, {})
    claims = of(labels({"Edema": 1}, {}), reference)[0]
    silent = of(labels({}, {}), reference, texts=["", "x"])[0]
    assert claims[1] == silent[1] == pytest.approx(1 / 2)
    assert np.isnan(silent[0])


def test_doubt_by_policy():
    doubt, truth = labels({"Edema": 3}), labels({"Edema": 2})
    assert of(doubt, truth)[0] == [1, 1]
    assert of(doubt, truth, uncertain="negative")[0][1] == 0
    assert of(labels({"Edema": 1}), labels({"Edema": 3}))[0] == [0, 0]
    assert np.isnan(of(labels({"Edema": 1}), labels({"Edema": 3}), uncertain="ignore")[0][0])
    with pytest.raises(ValueError, match="uncertain must be one of"):
        HallucinationRate("maybe")
