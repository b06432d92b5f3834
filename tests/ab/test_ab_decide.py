"""Planted effects and planted faults, each with the decision that must follow."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from trials import DEALT, TRIAL, Truth, reordered, smaller, trial

from harness.ab import words
from harness.ab.checks import blinding
from harness.ab.decide import evaluate
from harness.ab.effects import tables
from harness.ab.ratings import UNSURE
from harness.errors import LedgerError
from harness.report import Finding
from harness.status import Status

GOOD = Truth(gain=0.35, sensitivity=(0.96, 0.98), missing=0)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return trial(tmp_path_factory.mktemp("good"), TRIAL, 1000, 1, GOOD)


def judged(tmp_path, ratings, design=TRIAL, log="looks.jsonl"):
    return evaluate(ratings, design, tmp_path / log)


def endpoint(outcome, name):
    return next(item for item in outcome.endpoints if item.name == name)


def blinded(ratings, design=TRIAL):
    """The check of blinding alone."""
    return blinding(ratings, design, tables(ratings, design)["rating"])


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
    ratings = trial(tmp_path, TRIAL, 1000, 3, replace(GOOD, sensitivity=(0.98, 0.82)))
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
    outcome = judged(tmp_path, trial(tmp_path, TRIAL, 1000, 4, truth))
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
    flat = trial(tmp_path, TRIAL, 1000, 6, replace(GOOD, gain=-0.13, reader_spread=0))
    low = np.flatnonzero(flat.challenger & (flat.rating <= 2))
    lost = flat.rating.copy()
    lost[rng.choice(low, 95, replace=False)] = math.nan
    outcome = judged(tmp_path, replace(flat, rating=lost), log="other.jsonl")
    found = endpoint(outcome, "rating")
    assert found.status is Status.NOT_EVALUATED
    assert "not counted against the challenger" in found.reason


def test_a_gain_that_rests_on_missing_values_is_no_gain(tmp_path):
    ratings = trial(tmp_path, TRIAL, 1000, 6, replace(GOOD, gain=0.2, reader_spread=0))
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
    assert blinded(always).status is Status.FAIL
    wrong = replace(good, guess=(~good.challenger).astype(np.int8))
    reversed_guesses = blinded(wrong)
    assert reversed_guesses.status is Status.FAIL
    assert "tells them apart too" in reversed_guesses.sentence
    mostly = replace(good, guess=np.where(knows, ~good.challenger, good.guess).astype(np.int8))
    assert blinded(mostly).status is Status.FAIL
    # Who always names the new model knows nothing.
    same = replace(good, guess=np.ones(len(good), dtype=np.int8))
    assert blinded(same).status is Status.PASS
    none = replace(good, guess=np.full(len(good), -1, dtype=np.int8))
    assert blinded(none).status is Status.NOT_EVALUATED
    unsure = replace(good, guess=np.full(len(good), UNSURE, dtype=np.int8))
    assert blinded(unsure).status is Status.NOT_EVALUATED
    open_label = judged(tmp_path, none, TRIAL.model_copy(update={"blinded": False}), log="e")
    assert open_label.decision == "PROMOTE"


def test_too_few_guesses_are_no_evidence_of_blinding(tmp_path, good):
    """Sixteen guesses, and then one in ten missing of one model's drafts only."""
    few = np.where(np.arange(len(good)) < 16, good.guess, -1).astype(np.int8)
    outcome = judged(tmp_path, replace(good, guess=few))
    assert check(outcome, "Readers could not").status is Status.NOT_EVALUATED
    assert outcome.decision == "NOT EVALUATED"
    skipped = good.challenger & (np.random.default_rng(8).random(len(good)) < 0.1)
    partly = replace(good, guess=np.where(skipped, -1, good.guess).astype(np.int8))
    assert blinded(partly).status is Status.NOT_EVALUATED
    # Asked and unsure is an answer; those who are sure still must not know.
    shy = replace(good, guess=np.where(skipped, UNSURE, good.guess).astype(np.int8))
    assert judged(tmp_path, shy, log="c").decision == "PROMOTE"
    knows = replace(good, guess=np.where(skipped, good.challenger, UNSURE).astype(np.int8))
    assert blinded(knows).status is Status.FAIL


PTX, EFF = Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION


def adjudicated(ratings, cases):
    """Ratings with findings by hand: (finding, number there, missed by the current, by the challenger)."""
    studies = sorted(set(ratings.study.tolist()))
    there = {study: set() for study in studies}
    gone = {(study, arm): set() for study in studies for arm in (False, True)}
    begin = 0
    for finding, number, *missed in cases:
        own = studies[begin : begin + number]
        begin += number
        for study in own:
            there[study].add(finding)
        for arm, count in enumerate(missed):
            for study in own[:count]:
                gone[study, bool(arm)].add(finding)
    rows = list(zip(ratings.study.tolist(), ratings.challenger.tolist(), strict=True))
    return replace(
        ratings,
        present=tuple(frozenset(there[study]) for study, _ in rows),
        reported=tuple(frozenset(there[study] - gone[study, arm]) for study, arm in rows),
    )


def left(*undecided, margin=0.1):
    """The design with these findings left undecided."""
    decided = {finding: part for finding, part in smaller(TRIAL, 1000, margin).critical_findings.items()
               if finding not in undecided}  # fmt: skip
    return TRIAL.model_copy(update={"critical_findings": decided, "undecided": undecided})


RARE = (Finding.FRACTURE, Finding.LUNG_LESION)


@pytest.mark.parametrize("design", [TRIAL, left(*RARE), left(PTX, *RARE)], ids=["all", "two", "one"])
def test_a_pooled_sensitivity_does_not_hide_one_finding(tmp_path, good, design):
    """10 of 12 pneumothoraces are lost and 8 effusions won: 0.8 points in all. Undecided or not, it shows."""
    outcome = judged(tmp_path, adjudicated(good, [(PTX, 12, 0, 10), (EFF, 250, 8, 0)]), design)
    assert endpoint(outcome, "critical_sensitivity").status is Status.PASS
    assert outcome.decision == "DO NOT PROMOTE"
    assert "it missed more cases of Pneumothorax (2 of 12 against 12 of 12)" in words.conclusion(outcome)


def test_a_finding_that_was_not_seen_or_is_too_rare_is_not_decided(tmp_path, good):
    cases = [(EFF, 150, 1, 1), (PTX, 12, 0, 0), (Finding.FRACTURE, 150, 0, 0)]
    outcome = judged(tmp_path, adjudicated(good, cases))
    found = {item.name: item.finding for item in outcome.critical}
    assert found == {PTX: "open", EFF: "not worse", Finding.FRACTURE: "not worse",
                     Finding.LUNG_LESION: "undefined"}  # fmt: skip
    assert outcome.decision == "NOT EVALUATED"
    told = words.conclusion(outcome)
    assert "cannot be excluded for Pneumothorax (12 of 12 against 12 of 12)" in told
    assert "no adjudicated case tells of Lung Lesion" in told


def test_what_the_design_leaves_undecided_is_said_in_the_conclusion(tmp_path, good):
    cases = [(EFF, 150, 1, 1), (PTX, 12, 0, 1), (Finding.FRACTURE, 150, 0, 0)]
    outcome = judged(tmp_path, adjudicated(good, cases), left(PTX, Finding.LUNG_LESION))
    assert outcome.decision == "PROMOTE"
    told = words.conclusion(outcome)
    assert "nor by itself any of Fracture and Pleural Effusion" in told
    assert (
        "does not decide Pneumothorax (11 of 12 reported against 12 of 12) and Lung Lesion (none seen)"
        in told
    )


def test_a_finding_is_not_worse_only_if_what_was_not_adjudicated_cannot_matter(tmp_path, good):
    cases = [(finding, 80, 1, 1) for finding in TRIAL.findings]
    ratings, design = adjudicated(good, cases), left(margin=0.1)
    assert judged(tmp_path, ratings, design).decision == "PROMOTE"
    gone = np.isin(good.study, sorted(set(good.study))[-7:])
    blank = {name: tuple(None if out else there
                         for out, there in zip(gone, getattr(ratings, name), strict=True))
             for name in ("present", "reported")}  # fmt: skip
    outcome = judged(tmp_path, replace(ratings, **blank), design, log="b")
    assert endpoint(outcome, "critical_sensitivity").status is Status.PASS
    assert {item.finding for item in outcome.critical} == {"open"}
    assert outcome.decision == "NOT EVALUATED"


def test_a_loss_at_one_site_is_not_averaged_away(tmp_path, good):
    """25 effusions lost in the north, 25 won in the south; pooled, nothing changes."""
    cases = [(finding, 240, 0, 0) for finding in (EFF, PTX, Finding.FRACTURE, Finding.LUNG_LESION)]
    ratings = adjudicated(good, cases)
    effusions = sorted(set(ratings.study.tolist()))[:240]
    site = {study: good.site[good.study == study][0] for study in effusions}
    lost = {(study, site[study] == "north") for place in ("north", "south")
            for study in [study for study in effusions if site[study] == place][:25]}  # fmt: skip
    rows = zip(ratings.reported, ratings.study.tolist(), ratings.challenger.tolist(), strict=True)
    ratings = replace(ratings, reported=tuple(
        told - {EFF} if (study, bool(arm)) in lost else told for told, study, arm in rows
    ))  # fmt: skip
    outcome = judged(tmp_path, ratings)
    assert endpoint(outcome, "critical_sensitivity").status is Status.PASS
    part = next(item for item in outcome.heterogeneity
                if (item.by, item.endpoint) == ("site", "critical_sensitivity"))  # fmt: skip
    assert part.p_value < 0.001
    assert [group.harmed for group in part.groups] == [True, False]
    assert outcome.decision == "NOT EVALUATED"
    assert "critical findings were lost with site north (" in words.conclusion(outcome)
    assert any("Critical findings reported: worse" in line for line in words.cautions(outcome))


def test_ranks_that_disagree_with_the_mean_are_told(tmp_path, good):
    """Of the current model's 2, four studies in ten become 5 and six become 1: a higher mean, most worse."""
    lucky = sorted(set(good.study.tolist()))
    lucky = [study for place, study in enumerate(lucky) if place % 10 < 4]
    rating = np.where(good.challenger, np.where(np.isin(good.study, lucky), 5.0, 1.0), 2.0)
    outcome = judged(tmp_path, replace(good, rating=rating))
    assert endpoint(outcome, "rating").finding == "better"
    told = " ".join([words.conclusion(outcome), *words.cautions(outcome)])
    assert "Ratings as an order disagree: their mean rose, but Proportional odds points the other way" in told
    assert not words.disagreements(judged(tmp_path, good, log="b"))


def test_one_reader_alone_does_not_promote(tmp_path):
    outcome = judged(tmp_path, trial(tmp_path, TRIAL, 1000, 8, GOOD, readers=1))
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
    assert "no alpha to spend (look 2, at 100%)" in words.conclusion(again)
    assert "cannot be excluded" not in words.conclusion(again)


def test_renamed_versions_share_alpha_and_a_changed_log_is_refused(tmp_path, good):
    judged(tmp_path, first(good, 500))
    again = judged(tmp_path, good, TRIAL.model_copy(update={"version": 2}))
    assert again.look.number == 2
    log = tmp_path / "looks.jsonl"
    log.write_text(log.read_text().replace('"studies":500', '"studies":900'))
    with pytest.raises(LedgerError):
        judged(tmp_path, good)


def test_early_harm_stops_the_trial(tmp_path):
    ratings = trial(tmp_path, TRIAL, 600, 10, replace(GOOD, gain=-1.5))
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
            if other.endpoint == item.name and other.scale == "difference" and other.estimate is not None:
                assert other.estimate == pytest.approx(item.difference)
    ranks = {other.endpoint: other.p_value for other in outcome.alternatives if other.p_value is not None}
    assert set(ranks) == {"rating", "edit_distance", "critical_sensitivity", "turnaround"}
