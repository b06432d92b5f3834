import math

import numpy as np
import pytest

from harness.cohorts.base import Cohort
from harness.cohorts.phantom import PhantomCohort
from harness.inference import clustered_proportion_interval, positives_needed
from harness.plan import plan
from harness.report import FINDINGS, INDEX, State
from harness.status import Status
from harness.study import Case, Reference, Study
from harness.suite import read_suite
from harness.testing import Oracle
from runs import REPORT_SUITES, SUITE, run, write_suite


class Labels(Cohort):
    """Studies of which nothing is known but their labels."""

    name = "labels"

    def __init__(self, positives, studies, per_patient=1):
        self.labels_source, self.covered, self.eligible, self.exclusions = "made", FINDINGS, studies, ()
        self.positives, self.studies, self.per_patient = positives, studies, per_patient

    def __len__(self):
        return self.studies

    def __getitem__(self, index):
        labels = np.full(len(FINDINGS), State.NEGATIVE, dtype=np.int8)
        labels[INDEX["Fracture"]] = State.POSITIVE if index < self.positives else State.NEGATIVE
        study = Study(f"s{index:05d}", ())
        groups = {"sex": "F" if index % 2 else "M"}
        return Case(study, self.patient_ids()[index], Reference("a", "b", labels), groups)

    def study_ids(self):
        return [f"s{k:05d}" for k in range(self.studies)]

    def patient_ids(self):
        return [f"p{k // self.per_patient:05d}" for k in range(self.studies)]


CRITERION = "  - {id: fracture, measure: critical_sensitivity, value: Fracture, above: 0.98}\n"


def suite_of(tmp_path, criteria=CRITERION, more=""):
    head, _, _ = SUITE.partition("criteria:")
    return read_suite(
        write_suite(tmp_path, head.replace("{split: test}", "{}") + "criteria:\n" + criteria + more)
    )


@pytest.mark.parametrize(
    ("positives", "decided", "allowed"), [(148, False, None), (149, True, 0), (236, True, 1)]
)
def test_one_positive_a_patient_needs_the_exact_number(tmp_path, positives, decided, allowed):
    found = plan(suite_of(tmp_path), Labels(positives, 1000))
    [need] = found.needs
    assert (need.status is Status.PASS) == decided
    assert found.status.exit_code == (0 if decided else 3)
    assert (need.trials, need.patients, need.worth) == (positives, positives, positives)
    assert need.errors_allowed == allowed
    assert need.studies_perfect == math.ceil(149 * 1000 / positives)


def test_positives_of_one_patient_are_worth_less(tmp_path):
    [need] = plan(suite_of(tmp_path), Labels(160, 1000, per_patient=2)).needs
    assert need.status is Status.NOT_EVALUATED
    assert (need.trials, need.patients) == (160, 80)
    assert need.worth == pytest.approx(160 / 1.5, rel=0.03)
    enough = need.studies_perfect * 160 // 1000 // 2 + 1
    low = clustered_proportion_interval([2] * enough, [2] * enough, side="lower").low
    assert low > 0.98


def test_studies_for_power_give_that_power(tmp_path):
    [need] = plan(suite_of(tmp_path), Labels(500, 1000)).needs
    positives = need.studies_power // 2
    errors = max(e for e in range(60) if positives_needed(0.98, e) <= positives)
    rng = np.random.default_rng(0)
    assert need.truth == pytest.approx(0.99)
    assert np.mean(rng.binomial(positives, 0.01, 20_000) <= errors) == pytest.approx(0.81, abs=0.02)


def test_nothing_that_depends_on_the_candidate_is_foretold(tmp_path):
    criteria = "  - {id: f1, measure: findings_f1, value: micro-14, above: 0.5}\n"
    [need] = plan(suite_of(tmp_path, criteria), Labels(10, 100)).needs
    assert need.trials is None
    assert "only a run can tell" in need.reason


def test_groups_that_are_too_small_are_named(tmp_path):
    criteria = ("  - {id: worst, measure: critical_sensitivity, value: Fracture, above: 0.8, over: [sex], "
                "statistic: worst, minimum_trials: 60}\n")  # fmt: skip
    found = plan(suite_of(tmp_path, criteria), Labels(100, 400))
    assert found.status is Status.NOT_EVALUATED
    assert set(found.needs[0].groups) == {
        f"sex={sex}: 50 trials, fewer than the minimum of 60" for sex in ("F", "M")
    }
    assert plan(suite_of(tmp_path, criteria), Labels(200, 400)).status is Status.PASS


def test_guardrails_need_pairs(tmp_path):
    more = ("comparison:\n  family: [{measure: bleu4}]\n  guardrails:\n"
            "    - {measure: critical_sensitivity, value: Fracture, margin: 0.02}\n")  # fmt: skip
    few = plan(suite_of(tmp_path, more=more), Labels(130, 1000)).needs[-1]
    assert few.status is Status.NOT_EVALUATED
    assert "too few to show a loss below 0.02" in few.reason
    # Tango without a discordant pair: 1.645^2 / (n + 1.645^2) < 0.02 from n = 133 on.
    assert few.studies_perfect == math.ceil(133 * 1000 / 130)
    assert plan(suite_of(tmp_path, more=more), Labels(133, 1000)).needs[-1].status is Status.PASS
    assert plan(suite_of(tmp_path, more=more), Labels(132, 1000)).needs[-1].status is Status.NOT_EVALUATED


def test_fewer_studies_than_the_suite_asks_for(tmp_path):
    text = SUITE.replace("{split: test}", "{studies: 500}")
    found = plan(read_suite(write_suite(tmp_path, text)), Labels(300, 400))
    assert "asks for 500 studies and the cohort gave 400" in found.reasons[0]
    assert found.status is Status.NOT_EVALUATED


def test_the_plan_foretells_what_the_oracle_gets(tmp_path, phantom_root):
    suite = write_suite(tmp_path)
    cohort = PhantomCohort(phantom_root)
    foretold = {need.id: need.status for need in plan(read_suite(suite), cohort).needs}
    ledger = run(suite, phantom_root, Oracle(list(cohort)), tmp_path / "run")
    decided = {item["id"]: Status(item["status"]) for item in ledger.results()["verdict"]["decisions"]}
    assert foretold == decided


@pytest.mark.parametrize("path", REPORT_SUITES, ids=lambda path: path.stem)
def test_every_shipped_suite_can_be_planned(path, phantom_root):
    found = plan(read_suite(path), PhantomCohort(phantom_root, split=None))
    assert {need.id for need in found.needs} >= {item.id for item in read_suite(path).criteria}
