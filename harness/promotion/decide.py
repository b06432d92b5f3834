"""May the candidate be promoted? A pure function of policy, evidence and day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from harness.digests import digest_value
from harness.errors import NotEvaluable
from harness.promotion.condition import Condition
from harness.promotion.conditions import conditions_of
from harness.promotion.evidence import Evidence, JudgedLatency, JudgedParity, JudgedRun
from harness.promotion.policy import PolicyFile
from harness.promotion.waivers import WaiverState, apply_waivers
from harness.status import Status


@dataclass(frozen=True, slots=True)
class Cited:
    """One piece of evidence that was read, by its digests."""

    role: str
    folder: str
    ledger: str
    candidate: str
    suite: str

    def as_json(self) -> dict[str, str]:
        """Plain values."""
        return {name: getattr(self, name) for name in ("role", "folder", "ledger", "candidate", "suite")}


@dataclass(frozen=True, slots=True)
class Promotion:
    """The decision, with everything that it rests on."""

    status: Status
    candidate: str
    """Digest of the candidate that was judged; "" where its run cannot be read."""
    ledger: str
    policy: dict[str, Any]
    """Name, version and digest."""
    decided_on: date
    conditions: tuple[Condition, ...]
    waivers: tuple[WaiverState, ...]
    evidence: tuple[Cited, ...]

    @property
    def headline(self) -> str:
        """The status, and how many waivers it leans on."""
        count = sum(state.applied for state in self.waivers)
        return f"{self.status} with {count} waiver{'s' if count > 1 else ''}" if count else str(self.status)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all of it."""
        return digest_value(self._plain())

    def _plain(self) -> dict[str, Any]:
        return {
            "format": 1,
            "status": self.status.value,
            "headline": self.headline,
            "exit_code": self.status.exit_code,
            "candidate": self.candidate,
            "ledger": self.ledger,
            "policy": self.policy,
            "decided_on": self.decided_on.isoformat(),
            "conditions": [condition.as_json() for condition in self.conditions],
            "waivers": [state.as_json() for state in self.waivers],
            "evidence": [cited.as_json() for cited in self.evidence],
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values, for promotion.json, with their digest."""
        return {**self._plain(), "digest": self.digest}


def decide(policy: PolicyFile, evidence: Evidence, today: date) -> Promotion:
    """Decides a promotion.

    PASS only if every condition is met: by evidence, by a statement of the policy, or, where it FAILED
    and may be waived, by a waiver in force. Reads nothing.

    Args:
        policy: what is asked.
        evidence: what `gather` found.
        today: in UTC; waivers are dated.

    Raises:
        NotEvaluable: criteria of different suites give two conditions one id.
    """
    found = list(conditions_of(policy, evidence))
    if twice := [name for name, count in Counter(item.id for item in found).items() if count > 1]:
        # A waiver must lift one condition alone.
        raise NotEvaluable(f"{twice[0]}: two conditions have this id; rename a criterion in its suite")
    run = evidence.run
    candidate = run.candidate if isinstance(run, JudgedRun) else ""
    conditions, waivers = apply_waivers(found, policy.asked.waivers, candidate, today)
    return Promotion(
        status=Status.whole([condition.counted for condition in conditions]),
        candidate=candidate,
        ledger=run.ledger if isinstance(run, JudgedRun) else "",
        policy={"name": policy.asked.name, "version": policy.asked.version, "digest": policy.digest},
        decided_on=today,
        conditions=conditions,
        waivers=waivers,
        evidence=tuple(_cited(evidence)),
    )


def _cited(evidence: Evidence) -> list[Cited]:
    parity = evidence.parity if isinstance(evidence.parity, JudgedParity) else None
    runs = {
        "run": evidence.run,
        "production": evidence.production,
        "parity, checkpoint": parity and parity.full,
        "parity, package": parity and parity.exported,
        "fairness": evidence.fairness,
    }
    cited = [
        Cited(role, item.folder, item.ledger, item.candidate, item.suite.digest())
        for role, item in runs.items()
        if isinstance(item, JudgedRun)
    ]
    latency = evidence.latency
    if isinstance(latency, JudgedLatency):
        cited.append(Cited("latency", latency.folder, latency.ledger, latency.candidate, latency.suite))
    return cited
