"""What the registry asks besides the gate: patients, the way through staging, a shadow deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.errors import HarnessError
from harness.promotion.condition import Condition
from harness.promotion.decide import Cited, Promotion
from harness.promotion.evidence import Evidence, JudgedRun
from harness.promotion.policy import PolicyFile
from harness.registry import STAGING, RegisteredVersion
from harness.staging import ShadowResult, read_shadow
from harness.status import Status

_SECTION: Final = "production"
_FIXED: Final = "the way to production is no waiver's"


@dataclass(frozen=True, slots=True)
class InUse:
    """What the registry says of now."""

    staging: RegisteredVersion | None
    production: RegisteredVersion | None
    """What the candidate would replace."""


def add_production(
    promotion: Promotion, policy: PolicyFile, in_use: InUse, evidence: Evidence, shadow: Path | None
) -> Promotion:
    """The decision, with the conditions of production and what they rest on.

    Args:
        promotion: by the policy's other conditions.
        policy: what is asked.
        in_use: by the registry.
        evidence: the run of the model in production says who that is, where the registry does not know.
        shadow: folder that `harness shadow` wrote; None: not given.
    """
    conditions = list(promotion.conditions)
    cited = list(promotion.evidence)
    if policy.asked.production.from_staging:
        conditions.append(_through_staging(promotion.candidate, in_use.staging))
    if (stated := policy.asked.production.without_shadow) is not None:
        reason = f"no shadow deployment, as {stated.by} stated on {stated.date}: {stated.reason}"
        conditions.append(Condition("production.shadow", _SECTION, Status.PASS, reason, _FIXED, stated=True))
    else:
        found = _attempt(shadow)
        if isinstance(found, ShadowResult):
            if in_use.production is not None:
                known = in_use.production.candidate
            else:
                known = evidence.production.candidate if isinstance(evidence.production, JudgedRun) else ""
            misfits = "; ".join(_misfits(found, promotion.candidate, known, policy))
            status, reason = (Status.NOT_EVALUATED, misfits) if misfits else (found.status, found.reason)
            cited.append(Cited("shadow", str(shadow), found.digest, found.candidate, found.terms))
        else:
            status, reason = Status.NOT_EVALUATED, found
        conditions.append(Condition("production.shadow", _SECTION, status, reason, _FIXED))
    return _with(promotion, conditions, cited)


def as_rehearsal(promotion: Promotion) -> Promotion:
    """The decision, blocked: what was judged on generated phantoms is not moved in any registry."""
    reason = "a rehearsal on generated phantoms promotes nothing"
    blocked = Condition("protocol.rehearsal", "regulatory", Status.NOT_EVALUATED, reason, _FIXED)
    return _with(promotion, [*promotion.conditions, blocked], promotion.evidence)


def _with(promotion: Promotion, conditions: Sequence[Condition], cited: Sequence[Cited]) -> Promotion:
    status = Status.whole([item.counted for item in conditions])
    return replace(promotion, conditions=tuple(conditions), evidence=tuple(cited), status=status)


def _through_staging(candidate: str, staged: RegisteredVersion | None) -> Condition:
    if staged is not None and staged.candidate == candidate:
        status, reason = Status.PASS, f"version {staged.version} is at {STAGING}"
    elif staged is None:
        status, reason = Status.NOT_EVALUATED, f"nothing is at {STAGING}; harness promote --to {STAGING}"
    else:
        reason = f"another candidate is at {STAGING}: version {staged.version}"
        status = Status.NOT_EVALUATED
    return Condition("production.staging", _SECTION, status, reason, _FIXED)


def _attempt(folder: Path | None) -> ShadowResult | str:
    """The end of a shadow deployment, or why there is none to read."""
    if folder is None:
        return "no shadow deployment was given: --shadow DIR, which harness shadow wrote"
    try:
        return read_shadow(folder)
    except HarnessError as error:
        return str(error)


def _misfits(found: ShadowResult, candidate: str, production: str, policy: PolicyFile) -> Iterator[str]:
    """Why a shadow deployment says nothing of this candidate beside this production."""
    for who, digest, wanted in (
        ("new model", found.candidate, candidate),
        ("model in production", found.production, production),
    ):
        if not digest:
            yield f"its declaration does not say which candidate the {who} was"
        elif not wanted:
            yield (
                f"neither the registry nor --production RUN says who the {who} is; where there is none, the "
                "policy states it: production.without_shadow"
            )
        elif digest != wanted:
            yield f"its {who} was {digest[:12]}, not {wanted[:12]}"
    if policy.shadow is not None and found.terms != policy.shadow.terms():
        yield f"it was declared on other terms than the policy's {policy.asked.production.shadow}"
