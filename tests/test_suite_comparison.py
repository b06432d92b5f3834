import pytest

from harness.errors import SuiteError
from harness.suite import read_suite
from runs import SUITE, write_suite

WHOLE = (
    SUITE.replace("rougeL]", "rougeL, findings_detection, degenerate_output]")
    + """\
  - {id: worst, measure: critical_sensitivity, value: pooled, above: 0.8, over: [sex], statistic: worst,
     minimum_trials: 10}
fairness: {measure: findings_detection, minimum_trials: 10}
comparison:
  family:
    - {measure: findings_f1, value: micro-14}
    - {measure: critical_sensitivity, value: pooled, test: mcnemar}
  guardrails:
    - {measure: critical_sensitivity, value: Fracture, margin: 0.02}
"""
)


def problems(tmp_path, text):
    with pytest.raises(SuiteError) as caught:
        read_suite(write_suite(tmp_path, text))
    return "\n".join(caught.value.problems)


def test_defaults(tmp_path):
    comparison = read_suite(write_suite(tmp_path, WHOLE)).comparison
    assert comparison.alpha == 0.01
    assert comparison.spending == "obrien-fleming"
    assert [item.test for item in comparison.family] == ["permutation", "mcnemar"]
    assert comparison.guardrails[0].confidence == 0.95
    assert comparison.randomised is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value: micro-14", "value: micro-15", "findings_f1 has no value 'micro-15'; did you mean micro-5?"),
        ("measure: findings_f1,", "measure: findings_f2,", "not under measures; did you mean findings_f1?"),
        ("test: mcnemar", "test: anova", "'permutation', 't', 'signed-rank' or 'mcnemar'"),
        ("value: micro-14", "value: micro-14, test: mcnemar", "findings_f1.micro-14 is no proportion"),
        ("measure: findings_f1, value: micro-14", "measure: degenerate_output, value: distinct",
         "cannot be tested"),
        ("value: Fracture, margin", "value: Fracture, magrin", "unknown key; did you mean margin?"),
        ("margin: 0.02", "margin: 2", "less than 1"),
        ("  guardrails:", "  guardrials:", "unknown key; did you mean guardrails?"),
        ("  family:", "  alpha: 0.5\n  family:", "less than or equal to 0.1"),
        ("  guardrails:", "  randomised: {share: 0.1, salt: s}\n  guardrails:", "has no pairs"),
        (", test: mcnemar}\n  guardrails:", "}\n  randomised: {share: 0.1, salt: s}\n  guardrails:",
         "a randomised comparison needs a planned number"),
        ("statistic: worst,\n     minimum_trials: 10}", "statistic: worst}", "go together; one is missing"),
        ("over: [sex]", "over: [age]", "age is not under slices"),
        ("over: [sex]", "slice: sex=F, over: [sex]", "either slice or over"),
        ("statistic: worst", "statistic: gap", "a gap must lie below or at_most"),
        ("statistic: worst", "statistic: best", "'worst' or 'gap'"),
        ("fairness: {measure: findings_detection", "fairness: {measure: findings_f1",
         "is no findings_detection"),
        ("fairness: {measure: findings_detection", "fairness: {measure: detection",
         "add a findings_detection"),
        ("slices: [sex]", "slices: []", "needs slices to compare the groups of"),
    ],
)  # fmt: skip
def test_each_mistake_is_told(tmp_path, old, new, told):
    assert old in WHOLE
    assert told in problems(tmp_path, WHOLE.replace(old, new))


def test_without_fairlearn_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.suite_checks.find_spec", lambda name: None)
    assert 'pip install "harness[fairness]"' in problems(tmp_path, WHOLE)
