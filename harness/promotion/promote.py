"""A decision carried out: the candidate and its proof go into the registry, and an alias to it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from harness.candidates import split_locator
from harness.digests import digest_tree, digest_value
from harness.errors import CandidateError, LedgerError, NotEvaluable
from harness.ledger import Ledger, write_atomically
from harness.promotion.decide import Promotion, decide
from harness.promotion.evidence import JudgedRun, gather
from harness.promotion.outputs import write_promotion
from harness.promotion.policy import PolicyFile
from harness.promotion.production import InUse, add_production, as_rehearsal
from harness.promotion_record import PLACE
from harness.registry import PRODUCTION, STAGING, RegisteredVersion, Registry
from harness.registry.versions import attach, open_version, package, register
from harness.status import Status

NAME: Final = "report-generator"
"""What the registered model is called where nobody says otherwise."""
Target = Literal["staging", "production"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision, and what it would move."""

    run: Path
    policy: PolicyFile
    promotion: Promotion
    verdict: str
    """Digest of the run's verdict; "" where it cannot be read."""
    target: Target
    name: str
    """Of the registered model."""
    locator: str
    """Where the candidate is, as `--candidate` names it."""
    expected: str | None
    """The version that the alias was at when this was decided; None: not set."""


@dataclass(frozen=True, slots=True)
class Promoted:
    """What was moved."""

    version: RegisteredVersion
    """As it is now."""
    previous: str | None
    """The version that the alias was at before; None: not set."""
    dossier: str
    """Digest of the dossier's files."""
    place: str
    """Where the proof lies among the version's artifacts."""


def propose(
    registry: Registry,
    run: Path,
    policy: PolicyFile,
    target: Target,
    *,
    name: str | None = None,
    candidate: str | None = None,
    shadow: Path | None = None,
    pieces: Mapping[str, Path | None],
) -> Proposal:
    """Decides whether a candidate may go to an alias; moves nothing, and trusts no earlier decision.

    Args:
        registry: who is at which alias now.
        run: the candidate's run of the policy's regulatory suite.
        policy: what is asked.
        target: the alias.
        name: of the registered model; that of a `models:` candidate, or `NAME`, where left out.
        candidate: where it is, as `--candidate` names it; where it was when it was judged, if left out.
        shadow: folder that `harness shadow` wrote.
        pieces: the other evidence, as `gather` takes it.

    Raises:
        LedgerError: there is no run. RegistryError: no answer.
    """
    locator = candidate or _locator(run)
    kind, path, _ = split_locator(locator)
    if name is None:
        name = path.strip("/").partition("@")[0].partition("/")[0] if kind == "models" else NAME
    known = name in registry.names()
    at = {alias: registry.version_at(name, alias) if known else None for alias in (STAGING, PRODUCTION)}
    in_use = at[PRODUCTION]
    if in_use is not None and in_use.candidate == Ledger(run).identity["candidate"]:
        # It is there already, as when this very command was cut off: it counts against what it replaced.
        before = registry.previous(name, PRODUCTION)
        in_use = None if before is None else registry.version(name, before)
    evidence = gather(policy, run, **pieces, in_production=None if in_use is None else in_use.candidate)
    promotion = decide(policy, evidence, datetime.now(UTC).date())
    if policy.asked.regulatory.cohort == "phantoms":
        promotion = as_rehearsal(promotion)
    if target == PRODUCTION:
        promotion = add_production(promotion, policy, InUse(at[STAGING], in_use), evidence, shadow)
    verdict = evidence.run.verdict.as_json() if isinstance(evidence.run, JudgedRun) else None
    now = at[target]
    return Proposal(
        run=run,
        policy=policy,
        promotion=promotion,
        verdict="" if verdict is None else digest_value(verdict),
        target=target,
        name=name,
        locator=locator,
        expected=None if now is None else now.version,
    )


def promote(registry: Registry, proposal: Proposal) -> Promoted:
    """Registers the candidate, attaches its dossier, and moves the alias, last of all.

    Cut off anywhere, the alias is where it was or where it should be, and the same command goes on.

    Raises:
        NotEvaluable: the decision is not PASS.
        CandidateError: what is to be registered, or what the registry holds, is not what was judged.
        RegistryConflict: somebody moved the alias since this was decided, or is moving it.
        RegistryError: no answer. HarnessError: the dossier cannot be made.
    """
    decided = proposal.promotion
    if decided.status is not Status.PASS:
        raise NotEvaluable(f"{proposal.run}: the decision is {decided.status}; only PASS is promoted")
    write_promotion(proposal.run / PLACE.parent, decided, proposal.policy)
    with tempfile.TemporaryDirectory(prefix="harness-promotion-") as folder:
        proof = Path(folder)
        dossier = _proof(proposal, proof)
        version = _registered(registry, proposal)
        if open_version(registry, version, fresh=True).digest() != decided.candidate:
            raise CandidateError(f"{version.reference}: is not the candidate that was judged")
        place = f"evidence/{proposal.target}-{decided.digest[:16]}"
        attach(registry, version, proof, place)
    registry.move_alias(
        proposal.name,
        proposal.target,
        version.version,
        expected=proposal.expected,
        why="promoted",
        facts={
            "candidate": decided.candidate,
            "dossier": dossier,
            "evidence": place,
            "ledger": decided.ledger,
            "policy": decided.policy["digest"],
            "promotion": decided.digest,
            "verdict": proposal.verdict,
            "waivers": str(sum(state.applied for state in decided.waivers)),
        },
    )
    version = registry.version(proposal.name, version.version)
    return Promoted(version, proposal.expected, dossier, place)


def _locator(run: Path) -> str:
    """Where the candidate was when it was judged."""
    for entry in Ledger(run).log.entries():
        if entry["event"] == "context":
            return str(entry["candidate"])
    raise LedgerError(f"{run}: the log does not tell where the candidate was; name it with --candidate")


def _proof(proposal: Proposal, folder: Path) -> str:
    """Puts the dossier, made anew, and the decision into a folder; returns the dossier's digest."""
    from harness.dossier import write_dossier

    write_dossier(proposal.run, folder)
    dossier = digest_tree(folder)
    for suffix in (".json", ".md"):
        name = PLACE.with_suffix(suffix)
        write_atomically(folder / name.name, (proposal.run / name).read_bytes())
    return dossier


def _registered(registry: Registry, proposal: Proposal) -> RegisteredVersion:
    """The version of the candidate, which may be there already."""
    name, digest = proposal.name, proposal.promotion.candidate
    if name in registry.names() and (found := registry.versions(name, digest)):
        return found[-1]
    if split_locator(proposal.locator)[0] == "models":
        raise CandidateError(f"{proposal.locator}: no version of {name} holds the candidate that was judged")
    content = package(proposal.locator)
    if content.digest != digest:
        raise CandidateError(
            f"{proposal.locator}: is not the candidate that was judged; it was changed since, or its code was"
        )
    return register(registry, name, content)
