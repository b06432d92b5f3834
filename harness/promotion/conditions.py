"""Evidence to conditions: everything that must hold, each with what the evidence says of it.

Evidence that is missing, damaged, or of something else is NOT EVALUATED: it says nothing, good or bad.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from harness.comparison.decide import Guarded
from harness.promotion.condition import Condition
from harness.promotion.evidence import Evidence, JudgedRun, Unusable
from harness.promotion.policy import PolicyFile, RegulatoryPart, Statement
from harness.report import CRITICAL
from harness.status import Status
from harness.suite import Comparison, Suite
from harness.verdict import Decision, Verdict

_CRITICAL: Final = "critical sensitivity cannot be waived"
_SILENT: Final = 0.05
"""A model that gave no report for a larger share of studies is nothing to be measured against."""
_EVIDENCE: Final = "what the evidence rests on cannot be waived"
_TIE: Final = "judge the package itself, onnx:PACKAGE, or its checkpoint, multimodal:DIR?device=cpu"
_NAMES: Final = {
    "latency": ("run of the latency suite", "--latency RUN"),
    "fairness": ("run of the fairness suite", "--fairness RUN"),
    "parity": ("parity of the exported package", "--parity DIR"),
    "non_inferiority": ("run of the model in production", "--production RUN"),
}


def conditions_of(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    """Every condition of a promotion, in the policy's order; ids differ."""
    yield from _evidence(policy, evidence)
    for build in (_regulatory, _critical, _hallucination, _latency, _fairness, _parity, _non_inferiority):
        yield from build(policy, evidence)


def _evidence(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    run = evidence.run
    if isinstance(run, Unusable):
        yield Condition("evidence.run", "", Status.NOT_EVALUATED, run.told, _EVIDENCE)
    else:
        reason = "the log's chain and head hold; estimates and verdict follow from the rows"
        yield Condition("evidence.run", "", Status.PASS, reason, _EVIDENCE)
    if evidence.packet is not None:
        problems = evidence.packet
        reason = f"{len(problems)} places do not hold; the first: {problems[0]}" if problems else "all holds"
        status = Status.NOT_EVALUATED if problems else Status.PASS
        yield Condition("evidence.packet", "packet", status, reason, _EVIDENCE)
    elif policy.asked.trust is not None:
        reason = f"no packet was given, and the policy asks for one signed under {policy.asked.trust}"
        yield Condition("evidence.packet", "trust", Status.NOT_EVALUATED, reason, _EVIDENCE)


def _regulatory(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    section, run = "regulatory", evidence.run
    if isinstance(run, Unusable):
        yield _open(section, section, _NO_RUN)
        return
    wanted = policy.suites[section]
    if run.suite.digest() == wanted.digest():
        reason = f"suite {wanted.name}, version {wanted.version}"
        yield Condition("protocol.suite", section, Status.PASS, reason, _EVIDENCE)
    else:
        reason = f"the run asked suite {run.suite.name} (version {run.suite.version}), "
        same = "or another text of it" if run.suite.name == wanted.name else "another suite"
        reason += f"not {wanted.name} (version {wanted.version}): {same}"
        yield Condition("protocol.suite", section, Status.NOT_EVALUATED, reason, _EVIDENCE)
    yield _cohort(policy.asked.regulatory.cohort, run)
    yield _lock(policy.asked.regulatory, run)
    yield from _verdict(section, "regulatory", run.verdict, run.suite)


_NO_RUN: Final = "the run that is judged cannot be used"


def _cohort(wanted: str, run: JudgedRun) -> Condition:
    kind = run.identity.get("cohort_kind")
    status = Status.PASS if (kind == "phantom") == (wanted == "phantoms") else Status.NOT_EVALUATED
    if status is Status.NOT_EVALUATED:
        reason = f"it was judged on {kind} studies; the policy asks for those of {wanted}"
    elif kind == "phantom":
        reason = "generated phantoms: a rehearsal, which promotes nothing"
    else:
        reason = f"{len(run.studies):,} studies of {kind}, digest {run.identity['cohort'][:12]}"
    return Condition("protocol.cohort", "regulatory", status, reason, _EVIDENCE)


def _lock(asked: RegulatoryPart, run: JudgedRun) -> Condition:
    def found(status: Status, reason: str) -> Condition:
        return Condition("protocol.lock", "regulatory", status, reason, _EVIDENCE)

    lock, wanted = run.identity.get("lock"), asked.lock
    if lock is None:
        if asked.without_lock is not None:
            return replace(_stated("regulatory", "no protocol lock", asked.without_lock), id="protocol.lock")
        return found(Status.NOT_EVALUATED, "no protocol lock; run with --lock")
    if wanted not in ("required", lock["digest"]):
        reason = f"the run stands under lock {lock['digest'][:12]}, not under {wanted[:12]}"
        return found(Status.NOT_EVALUATED, reason)
    if run.lock_findings:
        return found(Status.FAIL, " ".join(run.lock_findings))
    return found(Status.PASS, f"as locked {lock['locked_at']}, digest {lock['digest'][:12]}")


def _critical(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    asked = policy.asked.critical_sensitivity
    for finding in CRITICAL:
        status, reason = _decided(
            evidence.run, "critical_sensitivity", str(finding), "above", asked.above, asked.confidence
        )
        name = f"critical_sensitivity.{finding}"
        yield Condition(name, "critical_sensitivity", status, reason, _CRITICAL)


def _hallucination(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    asked = policy.asked.hallucination
    status, reason = _decided(
        evidence.run, "hallucination_rate", asked.value, "below", asked.below, asked.confidence
    )
    yield Condition("hallucination", "hallucination", status, reason)


def _decided(
    run: JudgedRun | Unusable,
    measure: str,
    value: str,
    comparison: Comparison,
    threshold: float,
    confidence: float,
) -> tuple[Status, str]:
    """What the verdict says of a value over all studies, by criteria at least as strict as is asked."""
    if isinstance(run, Unusable):
        return Status.NOT_EVALUATED, _NO_RUN
    keys = {part.key for part in run.suite.measures if part.measure == measure}
    sign = 1 if comparison == "above" else -1
    found = [
        item
        for item in run.verdict.decisions
        if item.measure in keys
        and item.value == value
        and item.slice is None
        and item.statistic is None
        and item.comparison == comparison
        and sign * item.threshold >= sign * threshold
        and item.confidence >= confidence
    ]
    if not found:
        reason = (
            f"no criterion of suite {run.suite.name} decides {measure}.{value} {comparison} {threshold:g}"
        )
        return Status.NOT_EVALUATED, reason
    told = "; ".join(f"{item.reason} ({item.id})" for item in found)
    return Status.whole([item.status for item in found]), told


def _latency(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    section, found = "latency", evidence.latency
    if found is None or isinstance(found, Unusable):
        yield _missing(section, found)
        return
    deployed, why = _deployed(policy, evidence)
    if not deployed:
        yield _open(section, section, why)
    elif found.candidate != deployed:
        yield _open(section, section, f"the times are of another candidate than {why}")
    elif found.suite != policy.latency.digest():
        yield _open(section, section, "the times were judged by another suite than the policy's")
    elif not found.on_target:
        what = "; ".join(found.mismatches)
        reason = f"the times are those of {found.device}, not of the target device {found.target}"
        yield _open(section, section, reason + (f" ({what})" if what else ""))
    else:
        yield from _verdict(section, section, found.verdict, None)


def _deployed(policy: PolicyFile, evidence: Evidence) -> tuple[str, str]:
    """Digest of the candidate that will write reports ("" where it is not known), and which that is."""
    if isinstance(evidence.run, Unusable):
        return "", _NO_RUN
    if policy.asked.parity.as_judged is not None:
        return evidence.run.candidate, "the one that was judged"
    parity = evidence.parity
    if parity is None or isinstance(parity, Unusable):
        return "", "without parity it is not known which package will be deployed"
    if evidence.run.candidate not in (parity.full.candidate, parity.exported.candidate):
        return "", "parity is of another candidate: which package will be deployed is not known"
    return parity.exported.candidate, "the exported package"


def _fairness(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    section, run, asked = "fairness", evidence.run, policy.asked.fairness
    if isinstance(run, Unusable):
        yield _open(section, section, _NO_RUN)
        return
    if asked.criteria:
        for name in asked.criteria:
            item = next((item for item in run.verdict.decisions if item.id == name), None)
            if item is None:
                yield _open(f"fairness.{name}", section, "the run has no such criterion")
            else:
                yield _condition(section, f"fairness.{name}", item, run.suite)
        return
    found = evidence.fairness
    if found is None or isinstance(found, Unusable):
        yield _missing(section, found)
    elif why := _stranger(found, run, policy.suites[section]) or _elsewhere(found, run, asked.cohort):
        yield _open(section, section, why)
    else:
        yield from _verdict(section, section, found.verdict, found.suite)


def _parity(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    section, run, statement = "parity", evidence.run, policy.asked.parity.as_judged
    if statement is not None:
        if evidence.parity is not None:
            yield _open(section, section, "the policy states that nothing is exported, but parity was given")
        else:
            yield _stated(section, "what was judged is deployed as it is", statement)
        return
    found = evidence.parity
    if found is None or isinstance(found, Unusable):
        yield _missing(section, found)
        return
    if isinstance(run, Unusable):
        yield _open(section, section, _NO_RUN)
        return
    full, exported = found.full, found.exported
    tied = exported if run.candidate == exported.candidate else full
    if why := _stranger(tied, run, policy.suites[section]):
        yield _open(section, section, why if tied.candidate == run.candidate else f"{why}; {_TIE}")
        return
    if not tied.studies <= run.studies and (why := _elsewhere(tied, run, policy.asked.parity.cohort)):
        yield _open(section, section, why)
        return
    reason = "the checkpoint meets the suite's criteria"
    if full.verdict.status is not Status.PASS:
        yield _open(f"{section}.checkpoint", section, "the checkpoint does not meet the suite's own criteria")
    else:
        yield Condition(f"{section}.checkpoint", section, Status.PASS, reason)
    yield from _verdict(section, f"{section}.package", exported.verdict, exported.suite)
    for number, reason in enumerate(found.comparison.reasons, 1):
        yield _open(f"{section}.whole-{number}", section, reason)
    for rail in found.comparison.guardrails:
        yield _guarded(section, rail, exported.suite)


def _non_inferiority(policy: PolicyFile, evidence: Evidence) -> Iterator[Condition]:
    section, run, asked = "non_inferiority", evidence.run, policy.asked.non_inferiority
    if asked.first_release is not None:
        known = evidence.in_production
        if known is not None and (isinstance(run, Unusable) or known != run.candidate):
            there = known[:12] or "a version that the harness did not register"
            reason = f"the policy states that no model is in production; the registry has {there} there"
            yield _open(section, section, reason)
        elif evidence.production is not None:
            reason = "the policy states that no model is in production, but a run of one was given"
            yield _open(section, section, reason)
        else:
            yield _stated(section, "no model is in production yet", asked.first_release)
        return
    production, comparison = evidence.production, evidence.comparison
    if isinstance(run, Unusable):
        yield _open(section, section, _NO_RUN)
    elif production is None or isinstance(production, Unusable):
        yield _missing(section, production)
    elif production.candidate == run.candidate:
        yield _open(section, section, "both runs are of one and the same candidate: nothing is compared")
    elif evidence.in_production == "":
        reason = "the registry's version in production was not put there by harness promote: nobody knows "
        yield _open(section, section, reason + "which candidate it is")
    elif production.without_report > _SILENT * len(production.studies):
        reason = f"the model in production gave no report for {production.without_report:,} of "
        yield _open(section, section, reason + f"{len(production.studies):,} studies: no yardstick")
    elif (pinned := evidence.in_production or asked.candidate) and production.candidate != pinned:
        reason = f"the run is of {production.candidate[:12]}; in production is {pinned[:12]}"
        yield _open(section, section, reason)
    elif comparison is None or isinstance(comparison, Unusable):
        yield _missing(section, comparison)
    else:
        for number, reason in enumerate(comparison.reasons, 1):
            yield _open(f"{section}.whole-{number}", section, reason)
        for rail in comparison.guardrails:
            yield _guarded(section, rail, run.suite)


def _stranger(found: JudgedRun, run: JudgedRun, suite: Suite) -> str:
    """Why a run is no evidence about the candidate that is judged; empty where it is."""
    if found.candidate != run.candidate:
        return f"it is of another candidate, {found.candidate[:12]}, not of {run.candidate[:12]}"
    if found.suite.digest() != suite.digest():
        return f"it was asked suite {found.suite.name} as it is not in the policy's {suite.name}"
    one, other = (item.identity.get("cohort_kind") for item in (found, run))
    return "" if one == other else f"it is on studies of {one}; the candidate was judged on {other}"


def _elsewhere(found: JudgedRun, run: JudgedRun, pinned: str | None) -> str:
    """Why a run's studies are none that can speak for the run that is judged; empty where they are."""
    if pinned is not None:
        there = str(found.identity["cohort"])
        return "" if there == pinned else f"its studies are {there[:12]}, not the policy's {pinned[:12]}"
    lacking = len(run.studies - found.studies)
    if not lacking:
        return ""
    return (
        f"it is on other studies: {lacking:,} of the {len(run.studies):,} that were judged are not among its "
        f"{len(found.studies):,}; where that is meant, the policy names them: cohort: '"
        f"{found.identity['cohort']}'"
    )


def _verdict(section: str, prefix: str, verdict: Verdict, suite: Suite | None) -> Iterator[Condition]:
    for number, reason in enumerate(verdict.reasons, 1):
        yield _open(f"{prefix}.whole-{number}", section, reason)
    for item in verdict.decisions:
        yield _condition(section, f"{prefix}.{item.id}", item, suite)


def _condition(section: str, name: str, item: Decision, suite: Suite | None) -> Condition:
    fixed = _CRITICAL if _is_critical(suite, item.measure, item.value) else ""
    return Condition(name, section, item.status, item.reason, fixed)


def _guarded(section: str, rail: Guarded, suite: Suite) -> Condition:
    measure, _, value = rail.id.partition(".")
    fixed = _CRITICAL if _is_critical(suite, measure, value) else ""
    return Condition(f"{section}.{rail.id}", section, rail.status, rail.reason, fixed)


def _is_critical(suite: Suite | None, key: str, value: str) -> bool:
    """Whether a value is a sensitivity for critical findings, pooled ones included."""
    kinds = {part.key: part.measure for part in suite.measures} if suite else {}
    kind = kinds.get(key, key)
    return kind == "critical_sensitivity" or (kind == "findings_detection" and "sensitivity" in value)


def _open(name: str, section: str, reason: str) -> Condition:
    return Condition(name, section, Status.NOT_EVALUATED, reason)


def _missing(section: str, found: Any) -> Condition:
    what, option = _NAMES[section]
    reason = f"{what}: {found.told}" if isinstance(found, Unusable) else f"no {what} was given; see {option}"
    return _open(section, section, reason)


def _stated(section: str, what: str, statement: Statement) -> Condition:
    reason = f"{what}, as {statement.by} stated on {statement.date}: {statement.reason}"
    return Condition(section, section, Status.PASS, reason, stated=True)
