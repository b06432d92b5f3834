import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import CohortError
from harness.estimates import Settings, estimate_all
from harness.measures.degenerate_output import DegenerateOutput
from report_texts import AWKWARD, pairs, value

NORMAL = "The heart is normal. The lungs are clear."


def of(candidates, references=None, **options):
    measure = DegenerateOutput(**options)
    found = value(measure, pairs(candidates, references or ["x"] * len(candidates)))
    return dict(zip(measure.values, found.tolist(), strict=True))


def estimates(candidates, clusters=None):
    measure = DegenerateOutput()
    some = pairs(candidates, [f"reference {k}" for k in range(len(candidates))])
    found = estimate_all(
        {"d": measure}, {"d": measure.rows(some)}, clusters or [str(k) for k in range(len(candidates))], {},
        Settings(confidence=0.95, bound_confidences=(0.95,), replicates=200, seed=0),
    )  # fmt: skip
    return {item.value: item for item in found}


def test_hand_worked_shares():
    found = of([NORMAL, NORMAL.upper(), "Effusion.", ""], [NORMAL, "a", "b", "c"])
    assert found == {
        "most-common": 0.5, "distinct": 0.75, "reference-most-common": 0.25, "reference-distinct": 1
    }  # fmt: skip


def test_case_punctuation_and_spacing_make_no_other_report():
    assert of(["No effusion.", "NO  effusion", "no\r\neffusion!"])["most-common"] == 1
    assert of(["no effusion", "no effusions", "effusion no"])["distinct"] == 1
    assert of(["未见气胸", "双肺清晰"])["distinct"] == 1


def test_failed_studies_are_one_report():
    assert of(["", " ", "a", "b"])["most-common"] == 0.5


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=30), st.data())
def test_it_is_a_function_of_study_weights(reports, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(reports), max_size=len(reports)))
    measure = DegenerateOutput()
    rows = measure.rows(pairs(reports, reports))
    found = measure.weighted(rows, np.array([weights, weights], dtype=float))
    counts = Counter()
    for report, weight in zip(reports, weights, strict=True):
        counts[report] += weight
    if total := sum(weights):
        most, distinct = max(counts.values()) / total, sum(c > 0 for c in counts.values()) / total
        np.testing.assert_allclose(found, [[most, distinct, most, distinct]] * 2)
    else:
        assert np.isnan(found).all()


def test_a_constant_report_cannot_pass_and_varied_reports_can():
    constant = estimates([NORMAL] * 60)["most-common"]
    assert (constant.numerator, constant.denominator) == (60, 60)
    assert constant.bound("upper", 0.95) == 1
    assert constant.bound("lower", 0.95) > 0.5  # it fails, and is not merely undecided
    varied = estimates([NORMAL] * 12 + [f"report {k}" for k in range(48)])["most-common"]
    assert varied.estimate == 0.2
    assert 0.2 < varied.bound("upper", 0.95) < 0.4


def test_patients_are_the_clusters():
    reports = [NORMAL] * 20 + [f"report {k}" for k in range(40)]
    own, few = estimates(reports), estimates(reports, [str(k // 10) for k in range(60)])
    assert own["most-common"].estimate == few["most-common"].estimate
    assert few["most-common"].high > own["most-common"].high
    assert few["most-common"].n_patients == 6


def test_the_number_of_distinct_reports_has_no_interval_and_says_why():
    found = estimates([f"report {k}" for k in range(20)])["distinct"]
    assert found.estimate == 1
    assert np.isnan([found.low, found.high, found.bound("lower", 0.95)]).all()
    assert "resample" in found.reason


def test_the_shares_of_real_reports_leave_room_below_one_half(real):
    for candidates, references in real.values():
        found = of(candidates, references)
        assert found["reference-most-common"] < 0.05
        assert found["most-common"] < 0.15


def test_near_copies_of_a_training_set(tmp_path):
    path = tmp_path / "training.jsonl"
    text = "The heart is normal in size and the lungs are clear without any effusion"
    rows = [
        {"findings": text, "impression": ""},
        {"findings": "Something else altogether here", "impression": None},
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = of([text + " seen", "The lungs are clear", "", "Another thing"], training=str(path))
    assert found["near-copy"] == 0.25
    before = DegenerateOutput(training=str(path)).signature()
    assert "near-copy:jaccard3>=0.8|training:" in before
    path.write_text(json.dumps(rows[0]), encoding="utf-8")
    assert DegenerateOutput(training=str(path)).signature() != before


def test_a_training_set_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"training: .*gone\.csv: no such file"):
        DegenerateOutput(training=str(tmp_path / "gone.csv"))
    for name, content, told in (
        ("a.csv", "study,text\n1,abc\n", r"a\.csv:2: needs findings and/or impression, or report"),
        ("b.csv", "findings\n", "holds no report"),
        ("c.txt", "", "holds no report"),
        ("d.jsonl", '{"report": 5}\n', r"d\.jsonl:1: report must be text"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(CohortError, match=told):
            of(["a b c"], training=str(tmp_path / name))
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CohortError, match="UTF-8"):
        of(["a b c"], training=str(tmp_path / "e.txt"))


def test_awkward_texts_and_no_texts():
    assert 0 < of(list(AWKWARD))["most-common"] < 1
    measure = DegenerateOutput()
    assert measure.rows(pairs([], [])).shape == (0, 2)
    with pytest.raises(TypeError, match="weighted"):
        measure.value(np.zeros(2))
    with pytest.raises(ValueError, match="section"):
        DegenerateOutput("x")
