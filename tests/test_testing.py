"""Each planted fault must be found by the measure that is meant for it, at its planted rate."""

import numpy as np
import pytest

from harness.annotators.rules import RulesLabeler
from harness.cohorts.phantom import PhantomCohort
from harness.measures.base import Pairs, Side
from harness.measures.bleu import Bleu4
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.report import CRITICAL, FINDINGS, Finding, State
from harness.testing import (
    ConstantReport,
    Damage,
    Faulty,
    Oracle,
    Saboteur,
    check_candidate,
    check_measure,
    subset,
)
from runs import SUITES, run


@pytest.fixture(scope="module")
def held_out(large_root):
    return list(PhantomCohort(large_root))


@pytest.fixture(scope="module")
def judged(tmp_path_factory, large_root, held_out):
    """Runs the regulatory suite, which asks for 2,000 held-out studies, and keeps the results."""

    def judge(candidate):
        out = tmp_path_factory.mktemp("runs") / "run"
        return run(SUITES / "regulatory.yaml", large_root, candidate, out, workers=2).results()

    return judge


def statuses(results):
    return {item["id"]: item["status"] for item in results["verdict"]["decisions"]}


def estimate(results, measure, value, group=None):
    return next(
        item
        for item in results["estimates"]
        if (item["measure"], item["value"], item["slice"]) == (measure, value, group)
    )


def planted(saboteur, fault, rate, cases):
    """The studies in which the saboteur did it, and those in which it could have."""
    could = [c.study for c in cases if saboteur.present[c.study.study_id] == (fault == "miss")]
    could = [study for study in could if study.study_id in saboteur.eligible]
    return [study for study in could if saboteur.hit(fault, study.study_id, rate)], could


def test_the_oracle_passes_everything(judged, held_out):
    results = judged(Oracle(held_out))
    assert set(statuses(results).values()) == {"PASS"}, results["verdict"]["decisions"]
    assert results["verdict"]["exit_code"] == 0
    assert estimate(results, "bleu4", "value")["estimate"] == pytest.approx(1, abs=1e-6)
    assert estimate(results, "rougeL", "value")["estimate"] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    "finding", [CRITICAL[0], *(pytest.param(finding, marks=pytest.mark.slow) for finding in CRITICAL[1:])]
)
def test_a_planted_miss_rate_is_recovered_and_fails_its_own_criterion_only(judged, held_out, finding):
    saboteur = Saboteur(held_out, Damage(miss=0.12, finding=finding))
    missed, could = planted(saboteur, "miss", 0.12, held_out)
    results = judged(saboteur)
    found = estimate(results, "critical_sensitivity", str(finding))
    assert found["low"] <= 1 - 0.12 <= found["high"]
    assert found["estimate"] == pytest.approx(1 - len(missed) / len(could), abs=0.02)
    failed = {name for name, status in statuses(results).items() if status != "PASS"}
    assert len(failed) == 1, failed
    assert failed <= {f"sensitivity-{word}" for word in ("pneumothorax", "fracture", "mass", "effusion")}
    assert results["verdict"]["status"] == "FAIL"


@pytest.mark.slow
def test_misses_in_one_group_are_seen_in_that_group(judged, held_out):
    damage = Damage(miss=0.5, finding=Finding.PNEUMOTHORAX, within=("sex", "F"))
    results = judged(Saboteur(held_out, damage))
    women = estimate(results, "critical_sensitivity", "Pneumothorax", "sex=F")
    men = estimate(results, "critical_sensitivity", "Pneumothorax", "sex=M")
    assert women["low"] <= 0.5 <= women["high"]
    assert women["high"] < men["low"]
    assert results["verdict"]["status"] == "FAIL"


@pytest.mark.slow
def test_planted_hallucinations_are_counted_one_by_one(judged, held_out):
    saboteur = Saboteur(held_out, Damage(hallucinate=0.2, finding=Finding.PNEUMOTHORAX))
    invented, _ = planted(saboteur, "hallucinate", 0.2, held_out)
    results, clean = judged(saboteur), judged(Oracle(held_out))
    more = estimate(results, "hallucination_rate", "per-claim")["numerator"]
    before = estimate(clean, "hallucination_rate", "per-claim")["numerator"]
    assert more - before == pytest.approx(len(invented), abs=0.02 * len(invented))
    assert statuses(results)["hallucination"] == "FAIL"
    per_study = estimate(results, "hallucination_rate", "per-study")
    assert per_study["low"] <= 0.2 * (1 - np.mean(list(saboteur.present.values()))) <= per_study["high"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "value", "rate"), [("swap_sides", "laterality", 0.3), ("change_severity", "severity", 0.6)]
)
def test_planted_exchanges_of_side_and_size_are_recovered_and_fail_their_criterion(
    judged, held_out, fault, value, rate
):
    """What one exchange in all studies costs, times the planted rate, is what it must cost."""
    always = estimate(judged(Saboteur(held_out, Damage(**{fault: 1.0}))), "attributes", value)["estimate"]
    results = judged(Saboteur(held_out, Damage(**{fault: rate})))
    found = estimate(results, "attributes", value)
    assert always < 0.8
    assert found["low"] <= 1 - rate * (1 - always) <= found["high"]
    assert {name for name, status in statuses(results).items() if status == "FAIL"} == {value}


@pytest.mark.slow
def test_planted_failures_fail_and_count_as_misses(judged, held_out):
    saboteur = Saboteur(held_out, Damage(fail=0.05))
    results = judged(saboteur)
    crashed = sum(saboteur.hit("fail", case.study.study_id, 0.05) for case in held_out)
    assert estimate(results, "failure_rate", "value")["numerator"] == crashed
    found = statuses(results)
    assert found["failures"] == "FAIL"
    assert {found[f"sensitivity-{word}"] for word in ("pneumothorax", "fracture", "mass", "effusion")} == {
        "FAIL"
    }


@pytest.mark.slow
def test_reports_of_the_wrong_patient_fail(judged, held_out):
    results = judged(Saboteur(held_out, Damage(reorder=True)))
    assert results["verdict"]["status"] == "FAIL"
    assert estimate(results, "critical_sensitivity", "pooled")["high"] < 0.5
    assert statuses(results)["hallucination"] == "FAIL"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["The heart size is normal. The lungs are clear. No pneumothorax or pleural effusion.", "."]
)
def test_one_report_for_everybody_fails(judged, text):
    results = judged(ConstantReport(text, "No acute cardiopulmonary abnormality."))
    assert results["verdict"]["status"] == "FAIL"
    assert estimate(results, "critical_sensitivity", "pooled")["estimate"] == 0


@pytest.mark.slow
def test_a_silent_candidate_fails(judged):
    results = judged(Faulty("silent"))
    assert results["verdict"]["status"] == "FAIL"
    assert results["statuses"]["empty"] == 2000
    assert statuses(results)["hallucination"] == "NOT EVALUATED"


def test_sides_and_sizes_are_exchanged_at_their_rate(cases):
    for change, words in (("swap_sides", ("left", "right")), ("change_severity", ("small", "large"))):
        saboteur = Saboteur(cases, Damage(**{change: 1.0}))
        changed = could = 0
        for case in cases:
            before, after = case.reference.text.lower(), saboteur.report(case.study).text.lower()
            counts = [before.split().count(word) for word in words]
            assert counts[::-1] == [after.split().count(word) for word in words]
            could += sum(counts) > 0
            changed += before != after
        assert changed >= could > 20


def test_the_oracles_answers_pass_the_conformance_check(cases):
    studies = [case.study for case in cases[:20]]
    assert check_candidate(Oracle(cases), studies) == []
    assert check_candidate(ConstantReport("No effusion."), studies) == []


def test_what_is_wrong_with_a_candidate_is_told(cases):
    studies = [case.study for case in cases[:2]]

    class Moody(Oracle):
        calls = 0

        def digest(self):
            Moody.calls += 1
            return str(Moody.calls)

        def __reduce__(self):
            raise TypeError("holds an open file")

        def report(self, study):
            Moody.calls += 1
            return super().report(study).model_copy(update={"impression": f"Answer {Moody.calls}."})

    told = " ".join(check_candidate(Moody(cases), studies))
    for complaint in ("digest: differs", "SHA-256", "pickle: TypeError", "two answers differ"):
        assert complaint in told
    assert "no words" in " ".join(check_candidate(Faulty("silent"), studies))
    assert "answered str" in " ".join(check_candidate(Faulty("wrong type"), studies))


@pytest.fixture(scope="module")
def pairs(cases):
    texts = [(case.reference.findings, case.reference.impression) for case in cases]
    findings, impressions = zip(*texts, strict=True)
    labels = RulesLabeler().label([case.reference.text for case in cases])
    reference = Side(findings, impressions, np.array([case.reference.labels for case in cases]))
    failed = np.zeros(len(cases), dtype=bool)
    failed[::17] = True
    return Pairs(reference, Side(findings, impressions, labels), failed)


def test_what_is_wrong_with_a_measure_is_told(pairs):
    class Wrong(Bleu4):
        def rows(self, pairs):
            rows = super().rows(pairs)
            return rows + np.arange(len(rows))[:, None]

        def value(self, totals):
            return np.zeros(1)

    told = " ".join(check_measure(Wrong(), pairs))
    assert "a row must depend on its own study alone" in told
    assert "leading dimensions" in told
    assert "of no studies is undefined" in told

    class Real(Bleu4):
        def rows(self, pairs):
            return super().rows(pairs) / 2

    assert "must be integers" in " ".join(check_measure(Real(), pairs))
    assert check_measure(CriticalSensitivity(), pairs) == []


def test_subset_keeps_studies_whole(pairs):
    order = np.array([5, 2])
    some = subset(pairs, order)
    assert list(some.reference.impression) == [pairs.reference.impression[i] for i in order]
    assert (some.candidate.labels == pairs.candidate.labels[order]).all()
    assert len(some) == 2
    assert some.reference.labels.shape == (2, len(FINDINGS))
    assert State(int(some.reference.labels[0, 0])) in State
