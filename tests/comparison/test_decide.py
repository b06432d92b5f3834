import numpy as np
import pytest
from comparison_runs import COMPARISON, SUITE, make_run, pair

from harness.chain import Chain
from harness.comparison import arm_of, compare
from harness.errors import LedgerError, NotEvaluable, SuiteError
from harness.status import Status
from harness.suite_comparison import Arms


def hits(studies, rate, seed):
    return np.random.default_rng(seed).random(studies) < rate


def findings(comparison):
    return {item.id: item.finding for item in comparison.family}


def statuses(comparison):
    return {item.id: item.status.value for item in comparison.guardrails}


def test_a_better_challenger_is_promoted(tmp_path):
    old = hits(600, 0.8, 1)
    found = compare(*pair(tmp_path, old, old | hits(600, 0.6, 2)), tmp_path / "looks.jsonl")
    assert findings(found) == {"critical_sensitivity.pooled": "better", "findings_f1.micro-14": "better"}
    assert statuses(found) == {"critical_sensitivity.Pneumothorax": "PASS", "failure_rate.value": "PASS"}
    assert found.status is Status.PASS
    assert all(item.adjusted == pytest.approx(2 * item.p_value) for item in found.family)


def test_a_worse_challenger_is_not(tmp_path):
    old = hits(600, 0.95, 1)
    found = compare(*pair(tmp_path, old, old & hits(600, 0.85, 2)), tmp_path / "looks.jsonl")
    assert set(findings(found).values()) == {"worse"}
    assert statuses(found)["critical_sensitivity.Pneumothorax"] == "FAIL"
    assert found.status is Status.FAIL


def test_the_same_candidate_twice_is_no_difference_and_no_promotion(tmp_path):
    old = hits(600, 0.9, 1)
    current, _ = pair(tmp_path, old, old)
    found = compare(current, current, tmp_path / "looks.jsonl")
    assert set(findings(found).values()) == {"no difference shown"}
    for item in found.differences:
        assert {test.p_value for test in item.tests.values()} <= {1.0} or np.isnan(item.current)
        if not np.isnan(item.current):
            assert item.difference == 0
            assert item.low <= 0 <= item.high
    assert found.status is Status.FAIL
    assert all("does not show there is none" in item.reason for item in found.family)
    assert not any("equal" in reason for reason in [*found.reasons, *(item.reason for item in found.family)])


def test_a_better_average_does_not_pay_for_a_lost_sensitivity(tmp_path):
    suite = SUITE + COMPARISON.replace("    - {measure: critical_sensitivity, value: pooled}\n", "").replace(
        "margin: 0.05}\n    - {measure: failure_rate", "margin: 0.01}\n    - {measure: failure_rate"
    )
    old = hits(600, 0.8, 1)
    new = old ^ hits(600, 0.1, 3)  # as many lost as won, about: a loss of 0.01 cannot be excluded
    found = compare(*pair(tmp_path, old, new, suite=suite), tmp_path / "looks.jsonl")
    assert statuses(found)["critical_sensitivity.Pneumothorax"] == "FAIL"
    assert found.status is Status.FAIL


def test_a_guardrail_that_so_few_cannot_show_is_not_evaluated(tmp_path):
    old = np.ones(20, dtype=bool)
    found = compare(*pair(tmp_path, old, old), tmp_path / "looks.jsonl")
    assert statuses(found)["critical_sensitivity.Pneumothorax"] == "NOT EVALUATED"


def test_too_few_replicates_for_the_level_are_told(tmp_path):
    old = hits(400, 0.6, 1)
    suite = (SUITE + COMPARISON).replace("replicates: 2000", "replicates: 200")
    suite = suite.replace("alpha: 0.01", "alpha: 0.009")
    found = compare(*pair(tmp_path, old, old | hits(400, 0.9, 2), suite=suite), tmp_path / "looks.jsonl")
    assert set(findings(found).values()) == {"undefined"}
    assert "200 replicates cannot give p below 0.0045; ask for 223 or more" in found.family[0].reason
    assert found.status is Status.NOT_EVALUATED


def test_without_a_comparison_section_differences_are_shown_and_nothing_is_decided(tmp_path):
    old = hits(200, 0.8, 1)
    found = compare(*pair(tmp_path, old, old | hits(200, 0.9, 2), suite=SUITE), tmp_path / "looks.jsonl")
    assert found.status is Status.NOT_EVALUATED
    assert found.status.exit_code == 3
    assert found.differences
    assert not (tmp_path / "looks.jsonl").exists()


def test_looks_are_counted_over_growing_cohorts(tmp_path):
    suite = (SUITE + COMPARISON).replace("STUDIES", "600")
    old = hits(600, 0.8, 1)
    new = old | hits(600, 0.6, 2)
    found = []
    for studies in (300, 600):
        patients = [f"p{k}" for k in range(studies)]
        runs = [
            make_run(tmp_path / f"{name}{studies}", arm[:studies], patients, suite=suite, candidate=name)
            for name, arm in (("old", old), ("new", new))
        ]
        found.append(compare(*runs, tmp_path / "looks.jsonl"))
    assert [one.look.number for one in found] == [1, 2]
    assert found[0].look.fraction == 0.5
    # Lan-DeMets O'Brien-Fleming spends little of 0.005 at one half.
    assert found[0].look.level < 0.0002 < found[1].look.level < 0.005
    reworded = suite.replace("alpha: 0.01", "alpha: 0.05")
    runs = [
        make_run(tmp_path / f"{name}-again", arm, patients, suite=reworded, candidate=name)
        for name, arm in (("old", old), ("new", new))
    ]
    again = compare(*runs, tmp_path / "looks.jsonl")
    assert again.look.level == 0
    assert "no alpha left" in again.reasons[0]
    assert again.status is not Status.PASS
    assert len(list(Chain(tmp_path / "looks.jsonl").entries())) == 3


def test_other_studies_are_refused_with_a_remedy(tmp_path):
    patients = [f"p{k}" for k in range(50)]
    old, new = (
        make_run(tmp_path / name, hits(50, 0.9, 1), patients, ids=[f"{name}{k:03d}" for k in range(50)])
        for name in ("a", "b")
    )
    with pytest.raises(SuiteError, match=r"not the same studies .* run both candidates on one cohort"):
        compare(old, new, tmp_path / "looks.jsonl")


def test_other_suites_are_refused_with_a_remedy(tmp_path):
    patients = [f"p{k}" for k in range(50)]
    old = make_run(tmp_path / "a", hits(50, 0.9, 1), patients)
    new = make_run(tmp_path / "b", hits(50, 0.9, 1), patients, suite=SUITE)
    with pytest.raises(SuiteError, match="run both with one suite"):
        compare(old, new, tmp_path / "looks.jsonl")


def test_rows_changed_after_the_run_are_refused(tmp_path):
    old, new = pair(tmp_path, hits(50, 0.9, 1), hits(50, 0.9, 2))
    part = next((new / "rows").iterdir())
    part.write_bytes((old / "rows" / part.name).read_bytes())
    with pytest.raises(LedgerError, match="was changed after it was written"):
        compare(old, new, tmp_path / "looks.jsonl")


ARMS = Arms(share=0.3, salt="s")
RANDOMISED = SUITE + COMPARISON + "  randomised: {share: 0.3, salt: s}\n"


def arms_of(studies, rates, tmp_path, patients=None, suite=RANDOMISED):
    names = [f"p{k}" for k in range(studies)] if patients is None else patients
    suite = suite.replace("STUDIES", str(studies))
    runs = []
    for arm, rate in zip(("current", "challenger"), rates, strict=True):
        own = [name for name in names if arm_of(name, ARMS) == arm]
        ids = [f"{arm}{k:05d}" for k in range(len(own))]
        runs.append(
            make_run(tmp_path / arm, hits(len(own), rate, len(arm)), own, suite=suite, candidate=arm, ids=ids)
        )
    return runs


def test_a_randomised_challenger_is_judged_on_its_own_patients(tmp_path):
    found = compare(*arms_of(2000, (0.7, 0.9), tmp_path), tmp_path / "looks.jsonl")
    assert found.design == "randomised"
    assert found.sample_ratio.p_value > 0.01
    assert set(findings(found).values()) == {"better"}
    assert found.status is Status.PASS
    sensitivity = next(item for item in found.differences if item.value == "pooled")
    assert sensitivity.low < 0.2 < sensitivity.high
    assert set(sensitivity.tests) == {"permutation"}


def test_patients_in_both_arms_are_refused(tmp_path):
    old = hits(100, 0.9, 1)
    with pytest.raises(SuiteError, match="patients are in both runs"):
        compare(*pair(tmp_path, old, old, suite=RANDOMISED), tmp_path / "looks.jsonl")


def test_patients_in_the_wrong_arm_are_refused(tmp_path):
    old = make_run(tmp_path / "a", hits(100, 0.9, 1), [f"p{k}" for k in range(100)], suite=RANDOMISED)
    new = make_run(tmp_path / "b", hits(100, 0.9, 1), [f"q{k}" for k in range(100)], suite=RANDOMISED)
    with pytest.raises(NotEvaluable, match="do not belong to the current arm"):
        compare(old, new, tmp_path / "looks.jsonl")


def test_a_sample_ratio_that_does_not_fit_decides_nothing(tmp_path):
    names = [f"p{k}" for k in range(2000)]
    lost = [name for k, name in enumerate(names) if arm_of(name, ARMS) == "current" or k % 2]
    found = compare(*arms_of(2000, (0.7, 0.9), tmp_path, patients=lost), tmp_path / "looks.jsonl")
    assert "Sample ratio" in found.reasons[0]
    assert found.status is Status.NOT_EVALUATED


def test_patients_are_dealt_out_by_share_and_salt():
    names = [f"p{k}" for k in range(20_000)]
    dealt = [arm_of(name, ARMS) == "challenger" for name in names]
    assert np.mean(dealt) == pytest.approx(0.3, abs=0.01)
    assert [arm_of(name, ARMS) == "challenger" for name in names] == dealt
    anew = [arm_of(name, Arms(share=0.3, salt="t")) == "challenger" for name in names]
    assert np.mean(np.array(dealt) & anew) == pytest.approx(0.09, abs=0.01)


def without_family(text):
    begin, end = text.index("  alpha:"), text.index("  guardrails:")
    return text[:begin] + text[end:]


def test_guardrails_alone_decide_non_inferiority(tmp_path):
    suite = (
        without_family(SUITE + COMPARISON) + "    - {measure: findings_f1, value: micro-14, margin: 0.05}\n"
    )
    patients = [f"p{k}" for k in range(400)]
    good = np.arange(400) % 20 != 0
    worse = good & (np.arange(400) % 8 != 1)
    make_run(tmp_path / "a", good, patients, suite)
    for name, hits, wanted in (("same", good, Status.PASS), ("worse", worse, Status.FAIL)):
        make_run(tmp_path / name, hits, patients, suite, candidate=name)
        found = compare(tmp_path / "a", tmp_path / name, tmp_path / "looks.jsonl")
        assert found.status is wanted
        assert {item.status for item in found.guardrails if "failure" not in item.id} == {wanted}
        assert found.family == ()
        assert found.look is None
    assert not (tmp_path / "looks.jsonl").exists()


def test_guardrails_alone_on_too_few_are_not_evaluated(tmp_path):
    suite = without_family(SUITE + COMPARISON)
    few = suite.replace("STUDIES", "100")
    patients = [f"p{k}" for k in range(60)]
    for name in "ab":
        make_run(tmp_path / name, np.ones(60, dtype=bool), patients, few, candidate=name)
    found = compare(tmp_path / "a", tmp_path / "b", tmp_path / "looks.jsonl")
    assert found.status is Status.NOT_EVALUATED
    assert "asks for 100 studies and the cohort gave 60" in found.reasons[0]


def test_limits_on_numbers_are_not_decided_by_runs(tmp_path):
    suite = (
        without_family(SUITE + COMPARISON) + "  parity: {probability: 0.02, detections: 0.9, tokens: 0.9}\n"
    )
    patients = [f"p{k}" for k in range(400)]
    for name in "ab":
        make_run(tmp_path / name, np.ones(400, dtype=bool), patients, suite, candidate=name)
    found = compare(tmp_path / "a", tmp_path / "b", tmp_path / "looks.jsonl")
    assert {item.status for item in found.guardrails} == {Status.PASS}
    assert found.status is Status.NOT_EVALUATED
    assert "harness parity decides it" in found.reasons[0]
