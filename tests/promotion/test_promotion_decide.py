"""The decision as a pure function: any part of the evidence may be gone or bad, under any waivers."""

import json
from dataclasses import replace
from datetime import date

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from release import TODAY, digest_of

from harness.promotion import decide
from harness.promotion.evidence import Unusable
from harness.promotion.waivers import Waiver
from harness.report import CRITICAL
from harness.status import Status
from harness.verdict import Verdict

PIECES = ("run", "production", "comparison", "parity", "latency", "fairness")
CRITERIA = ("sensitivity-pneumothorax", "hallucination", "failures")
SIGNED = {"by": "Ann Lead", "reason": "Known."}


def with_waivers(policy, names, granted=TODAY, expires=TODAY):
    waivers = tuple(
        Waiver(condition=name, candidate=digest_of("new"), granted=granted, expires=expires, **SIGNED)
        for name in names
    )
    return replace(policy, asked=policy.asked.model_copy(update={"waivers": waivers}))


def failing(evidence, names, status=Status.FAIL):
    """The same evidence, in which some criteria of the regulatory run have this status."""
    decisions = tuple(
        replace(item, status=status) if item.id in names else item for item in evidence.run.verdict.decisions
    )
    verdict = Verdict(Status.whole(item.status for item in decisions), decisions, ())
    return replace(evidence, run=replace(evidence.run, verdict=verdict))


def test_a_waived_failure_is_in_the_headline_and_never_shown_as_passed(whole):
    policy, evidence = whole
    promotion = decide(with_waivers(policy, ["regulatory.failures"]), failing(evidence, ["failures"]), TODAY)
    assert (promotion.status, promotion.headline) == (Status.PASS, "PASS with 1 waiver")
    (waived,) = (item for item in promotion.conditions if item.word != "PASS")
    assert (waived.id, waived.word, waived.status) == ("regulatory.failures", "WAIVED", Status.FAIL)


def test_critical_sensitivity_is_never_waived(whole):
    policy, evidence = whole
    names = ["regulatory.sensitivity-pneumothorax", "critical_sensitivity.Pneumothorax"]
    for status in (Status.FAIL, Status.NOT_EVALUATED):
        bad = failing(evidence, ["sensitivity-pneumothorax"], status)
        promotion = decide(with_waivers(policy, names), bad, TODAY)
        assert promotion.status is status
        assert all("critical sensitivity cannot be waived" in state.told for state in promotion.waivers)


def test_every_sensitivity_for_critical_findings_is_fixed(whole):
    promotion = decide(*whole, TODAY)
    fixed = {item.id for item in promotion.conditions if item.fixed.startswith("critical")}
    assert fixed == {
        "regulatory.sensitivity-pneumothorax", "regulatory.sensitivity-fracture",
        "regulatory.sensitivity-mass", "regulatory.sensitivity-effusion", "critical_sensitivity.Pneumothorax",
        "critical_sensitivity.Fracture", "critical_sensitivity.Lung Lesion",
        "critical_sensitivity.Pleural Effusion", "fairness.sensitivity",
        "parity.critical_sensitivity.pooled", "non_inferiority.critical_sensitivity.pooled",
        *(f"non_inferiority.critical_sensitivity.{finding}" for finding in CRITICAL),
    }  # fmt: skip


def test_an_expired_waiver_does_nothing_and_is_said(whole):
    policy, evidence = whole
    expired = with_waivers(policy, ["regulatory.failures"], date(2026, 1, 1), date(2026, 5, 31))
    promotion = decide(expired, failing(evidence, ["failures"]), TODAY)
    assert promotion.status is Status.FAIL
    assert promotion.waivers[0].told == "does nothing: it expired on 2026-05-31"


def test_the_digest_is_over_everything_and_repeatable(whole):
    policy, evidence = whole
    one, two = decide(policy, evidence, TODAY), decide(policy, evidence, TODAY)
    assert one.digest == two.digest
    assert json.loads(json.dumps(one.as_json())) == one.as_json()
    other = decide(policy, failing(evidence, ["failures"]), TODAY)
    waived = decide(with_waivers(policy, ["regulatory.failures"]), failing(evidence, ["failures"]), TODAY)
    assert (
        len({one.digest, other.digest, waived.digest, decide(policy, evidence, date(2026, 6, 2)).digest}) == 4
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_pass_needs_every_piece_and_every_failure_waived(whole, data):
    policy, evidence = whole
    bad = data.draw(st.sets(st.sampled_from(CRITERIA)))
    gone = data.draw(st.sets(st.sampled_from(PIECES), max_size=2))
    statuses = data.draw(st.sampled_from([Status.FAIL, Status.NOT_EVALUATED]))
    known = [item.id for item in decide(policy, evidence, TODAY).conditions]
    waived = data.draw(st.sets(st.sampled_from([*known, "hallucination", "regulatory.failures"])))
    broken = failing(evidence, bad, statuses)
    for name in gone:
        broken = replace(broken, **{name: Unusable("gone") if name == "run" else data.draw(
            st.sampled_from([None, Unusable("gone")]))})  # fmt: skip
    plain, promotion = (
        decide(asked, broken, TODAY) for asked in (policy, with_waivers(policy, sorted(waived)))
    )
    needed = {f"regulatory.{name}" for name in bad} | ({"hallucination"} & bad)
    liftable = statuses is Status.FAIL and "sensitivity-pneumothorax" not in bad and needed <= waived
    assert (promotion.status is Status.PASS) == (not gone and (not bad or liftable))
    assert (plain.status is Status.PASS) == (not gone and not bad)
    if plain.status is Status.NOT_EVALUATED:
        assert promotion.status is Status.NOT_EVALUATED
