"""Planted effects and planted faults, each with the decision that must follow."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from trials import PAIRED, RANDOMISED, Truth, reordered, trial

from harness.ab.decide import evaluate
from harness.errors import LedgerError
from harness.status import Status

DEALT = RANDOMISED.model_copy(update={"planned_studies": 5000})
GOOD = Truth(gain=0.35, sensitivity=(0.96, 0.98), missing=0)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return trial(tmp_path_factory.mktemp("good"), PAIRED, 1000, 1, GOOD)


def judged(tmp_path, ratings, design=PAIRED, log="looks.jsonl"):
    return evaluate(ratings, design, tmp_path / log)


def endpoint(outcome, name):
    return next(item for item in outcome.endpoints if item.name == name)


def check(outcome, name):
    return next(item for item in outcome.checks if item.name.startswith(name))


def test_a_better_model_is_promoted(tmp_path, good):
    outcome = judged(tmp_path, good)
    assert (outcome.decision, outcome.status.exit_code) == ("PROMOTE", 0)
    assert endpoint(outcome, "rating").finding == "better"
    assert endpoint(outcome, "critical_sensitivity").finding in ("not worse", "better")
    assert endpoint(outcome, "rating").adjusted == pytest.approx(4 * endpoint(outcome, "rating").p_value)


def test_the_same_data_give_the_same_outcome_in_any_order(tmp_path, good):
    order = np.random.default_rng(2).permutation(len(good))
    first = judged(tmp_path, good).as_json()
    assert judged(tmp_path, reordered(good, order)).as_json() == first
    assert json.loads(json.dumps(first, allow_nan=False))["decision"] == "PROMOTE"


def test_json_names_no_patient_no_reader_and_no_text(tmp_path, good):
    text = json.dumps(judged(tmp_path, good).as_json())
    for word in ("P00001", "S00001", "reader-A", "cardiac", "pleural effusion."):
        assert word not in text
    assert "reader 1" in text


def test_exchanged_arms_are_not_promoted(tmp_path, good):
    outcome = judged(tmp_path, replace(good, challenger=~good.challenger))
    assert outcome.decision == "DO NOT PROMOTE"
    assert endpoint(outcome, "rating").finding == "worse"


def test_missed_critical_findings_forbid_promotion_whatever_the_ratings(tmp_path):
    ratings = trial(tmp_path, PAIRED, 1000, 3, replace(GOOD, sensitivity=(0.98, 0.82)))
    outcome = judged(tmp_path, ratings)
    assert endpoint(outcome, "rating").finding == "better"
    assert outcome.decision == "DO NOT PROMOTE"


def test_critical_sensitivity_that_cannot_be_decided_never_promotes(tmp_path, good):
    none = replace(good, present=(frozenset(),) * len(good), reported=(frozenset(),) * len(good))
    outcome = judged(tmp_path, none)
    assert (outcome.decision, outcome.status.exit_code) == ("NOT EVALUATED", 3)
    few = {study for study, there in zip(good.study, good.present, strict=True) if there and study < "S00100"}
    kept = tuple(
        there if study in few else frozenset() for study, there in zip(good.study, good.present, strict=True)
    )
    outcome = judged(tmp_path, replace(good, present=kept, reported=kept), log="other.jsonl")
    found = endpoint(outcome, "critical_sensitivity")
    assert found.status is Status.NOT_EVALUATED
    assert "not even equal drafts could show it" in found.reason
    assert outcome.decision == "NOT EVALUATED"


def test_equal_models_are_not_promoted(tmp_path):
    truth = Truth(gain=0, fewer_edits=0, sensitivity=(0.98, 0.98), minutes_saved=0, missing=0)
    outcome = judged(tmp_path, trial(tmp_path, PAIRED, 1000, 4, truth))
    assert {item.finding for item in outcome.endpoints} <= {"not worse", "open"}
    assert outcome.decision in ("DO NOT PROMOTE", "NOT EVALUATED")


def test_all_ratings_equal_are_no_evidence(tmp_path, good):
    outcome = judged(tmp_path, replace(good, rating=np.full(len(good), 5.0)))
    assert endpoint(outcome, "rating").finding == "undefined"
    assert outcome.decision == "NOT EVALUATED"


def test_missing_values_are_never_a_smaller_denominator(tmp_path, good):
    rng = np.random.default_rng(5)
    many = np.where(good.challenger & (rng.random(len(good)) < 0.08), math.nan, good.rating)
    outcome = judged(tmp_path, replace(good, rating=many))
    assert check(outcome, "Missing: rating").status is Status.FAIL
    assert outcome.decision == "NOT EVALUATED"
    # Low ratings of the challenger that went missing: within the limit, but decisive if counted against it.
    flat = trial(tmp_path, PAIRED, 1000, 6, replace(GOOD, gain=-0.13, reader_spread=0))
    low = np.flatnonzero(flat.challenger & (flat.rating <= 2))
    lost = flat.rating.copy()
    lost[rng.choice(low, 95, replace=False)] = math.nan
    outcome = judged(tmp_path, replace(flat, rating=lost), log="other.jsonl")
    found = endpoint(outcome, "rating")
    assert found.status is Status.NOT_EVALUATED
    assert "not counted against the challenger" in found.reason


def test_a_gain_that_rests_on_missing_values_is_no_gain(tmp_path):
    ratings = trial(tmp_path, PAIRED, 1000, 6, replace(GOOD, gain=0.2, reader_spread=0))
    low = np.flatnonzero(ratings.challenger & (ratings.rating <= 3))
    lost = ratings.rating.copy()
    lost[np.random.default_rng(1).choice(low, 95, replace=False)] = math.nan
    assert endpoint(judged(tmp_path, replace(ratings, rating=lost)), "rating").finding == "not worse"
    assert endpoint(judged(tmp_path, ratings, log="b"), "rating").finding == "better"


@pytest.mark.parametrize("arms", ["both", "challenger"])
def test_studies_left_out_of_adjudication_are_counted_against_the_challenger(tmp_path, good, arms):
    """Forty of 1,000 studies, as many as may be missing: too many for the margin in 260 findings."""
    gone = np.isin(good.study, sorted(set(good.study))[:40])
    if arms == "challenger":
        gone &= good.challenger
    blank = {
        name: tuple(None if out else there for out, there in zip(gone, getattr(good, name), strict=True))
        for name in ("present", "reported")
    }
    found = endpoint(judged(tmp_path, replace(good, **blank)), "critical_sensitivity")
    if arms == "both":
        assert found.status is Status.NOT_EVALUATED
        assert "not counted against the challenger" in found.reason
    else:  # the findings are known from the other arm's rows: only those few are taken for missed
        plain = endpoint(judged(tmp_path, good, log="b"), "critical_sensitivity")
        assert plain.status is Status.PASS
        assert found.units <= plain.units


def test_one_arm_lacking_more_than_the_other_is_noticed(tmp_path, good):
    lost = good.turnaround.copy()
    lost[np.flatnonzero(good.challenger)[:60]] = math.nan
    outcome = judged(tmp_path, replace(good, turnaround=lost))
    assert "one arm lacks more" in check(outcome, "Missing: turnaround").sentence
    assert outcome.decision == "NOT EVALUATED"


def test_readers_who_know_the_model_are_noticed(tmp_path, good):
    knows = np.random.default_rng(7).random(len(good)) < 0.2
    outcome = judged(
        tmp_path, replace(good, guess=np.where(knows, good.challenger, good.guess).astype(np.int8))
    )
    assert check(outcome, "Readers could not").status is Status.FAIL
    assert outcome.decision == "NOT EVALUATED"
    always = replace(good, guess=good.challenger.astype(np.int8))
    assert check(judged(tmp_path, always, log="b"), "Readers could not").status is Status.FAIL
    # Who always names the new model knows nothing.
    same = replace(good, guess=np.ones(len(good), dtype=np.int8))
    assert check(judged(tmp_path, same, log="c"), "Readers could not").status is Status.PASS
    none = replace(good, guess=np.full(len(good), -1, dtype=np.int8))
    assert check(judged(tmp_path, none, log="d"), "Readers could not").status is Status.NOT_EVALUATED
    open_label = judged(tmp_path, none, PAIRED.model_copy(update={"blinded": False}), log="e")
    assert open_label.decision == "PROMOTE"


def test_one_reader_alone_does_not_promote(tmp_path):
    outcome = judged(tmp_path, trial(tmp_path, PAIRED, 1000, 8, GOOD, readers=1))
    assert check(outcome, "More than one reader").status is Status.FAIL
    assert outcome.decision == "NOT EVALUATED"


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    truth = replace(GOOD, gain=0.5, sensitivity=(0.96, 1.0))
    return trial(tmp_path_factory.mktemp("dealt"), DEALT, 5000, 9, truth)


def test_a_randomised_trial_promotes_a_better_model(tmp_path, dealt):
    outcome = judged(tmp_path, dealt, DEALT)
    assert outcome.decision == "PROMOTE"
    assert endpoint(outcome, "rating").method == "Welch t by patient and reader"
    assert check(outcome, "Patients were dealt").status is Status.PASS


def test_sample_ratio_mismatch_and_strays_are_noticed(tmp_path, dealt):
    gone = dealt.challenger & (np.char.endswith(dealt.patient, "3") | np.char.endswith(dealt.patient, "7"))
    outcome = judged(tmp_path, reordered(dealt, np.flatnonzero(~gone)), DEALT)
    assert check(outcome, "As many in each arm").status is Status.FAIL
    assert outcome.status is not Status.PASS
    renamed = replace(dealt, patient=np.char.add("x", dealt.patient))
    outcome = judged(tmp_path, renamed, DEALT, log="b")
    assert check(outcome, "Patients were dealt").status is Status.FAIL
    assert outcome.decision == "NOT EVALUATED"


def first(ratings, studies):
    return reordered(ratings, np.flatnonzero(np.isin(ratings.study, sorted(set(ratings.study))[:studies])))


def test_early_looks_spend_little_and_later_ones_pay_for_them(tmp_path, good):
    early = judged(tmp_path, first(good, 300))
    assert early.look.number == 1
    assert early.look.level < 1e-6
    assert early.decision == "NOT EVALUATED"  # not FAIL: there is more to come
    middle = judged(tmp_path, first(good, 700))
    whole = judged(tmp_path, good)
    assert (middle.look.number, whole.look.number) == (2, 3)
    assert early.look.level < middle.look.level < whole.look.level < 0.0025
    alone = judged(tmp_path, good, log="alone.jsonl")
    assert alone.look.level == 0.0025
    one, other = (endpoint(item, "rating") for item in (whole, alone))
    assert other.high - other.low < one.high - one.low  # the bound pays too
    assert judged(tmp_path, good).look == whole.look  # the same data again are the same look


def test_other_data_of_the_same_size_have_nothing_left_to_spend(tmp_path, good):
    judged(tmp_path, good)
    rating = good.rating.copy()
    rating[0] = 1
    again = judged(tmp_path, replace(good, rating=rating))
    assert again.look.level == 0
    assert again.decision == "NOT EVALUATED"
    assert "no alpha to spend" in endpoint(again, "rating").reason


def test_renamed_versions_share_alpha_and_a_changed_log_is_refused(tmp_path, good):
    judged(tmp_path, first(good, 500))
    again = judged(tmp_path, good, PAIRED.model_copy(update={"version": 2}))
    assert again.look.number == 2
    log = tmp_path / "looks.jsonl"
    log.write_text(log.read_text().replace('"studies":500', '"studies":900'))
    with pytest.raises(LedgerError):
        judged(tmp_path, good)


def test_early_harm_stops_the_trial(tmp_path):
    ratings = trial(tmp_path, PAIRED, 600, 10, replace(GOOD, gain=-1.5))
    outcome = judged(tmp_path, ratings)
    assert outcome.look.fraction == 0.6
    assert outcome.decision == "DO NOT PROMOTE"


def test_readers_that_disagree_are_named(tmp_path, good):
    contrary = good.reader == "reader-A"
    rating = np.where(contrary, 6 - good.rating, good.rating)
    outcome = judged(tmp_path, replace(good, rating=rating))
    found = next(part for part in outcome.heterogeneity if part.by == "reader" and part.endpoint == "rating")
    assert found.p_value < 0.001
    assert found.inconsistency > 0.5
    group = next(item for item in found.groups if item.name == "reader-A")
    assert group.high < 0


def test_other_analyses_agree_on_clean_data(tmp_path, good):
    outcome = judged(tmp_path, good)
    for item in outcome.endpoints:
        for other in outcome.alternatives:
            if other.endpoint == item.name and other.difference is not None:
                assert other.difference == pytest.approx(item.difference)
    ranks = {other.endpoint: other.p_value for other in outcome.alternatives if other.p_value is not None}
    assert set(ranks) == {"rating", "edit_distance", "critical_sensitivity", "turnaround"}
