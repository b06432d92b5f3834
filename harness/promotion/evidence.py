"""What a promotion is decided on, each piece checked and derived again; damage is kept, never overlooked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.comparison import Comparison, compare
from harness.deployment.parity import decided, read_numbers
from harness.errors import HarnessError, LedgerError
from harness.evidence.derived import check_chain
from harness.gate import judge
from harness.latency.evidence import read_latency
from harness.ledger import Ledger
from harness.lock import in_identity, lock_findings, read_lock
from harness.promotion.policy import PolicyFile
from harness.suite import Suite, read_suite
from harness.suite_comparison import ComparisonPart
from harness.verdict import Verdict

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Unusable:
    """A piece of evidence that was given and decides nothing."""

    told: str
    """Why: damaged, incomplete, of something else."""


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """A run whose chain holds and whose verdict was derived again from its rows."""

    folder: str
    identity: dict[str, Any]
    ledger: str
    """Ledger digest."""
    suite: Suite
    verdict: Verdict
    studies: frozenset[str]
    """Ids of what was judged."""
    without_report: int
    """How many of them the candidate gave no report for."""
    lock_findings: tuple[str, ...] = ()
    """Every difference between the protocol lock and the run."""

    @property
    def candidate(self) -> str:
        """Content digest of who was judged."""
        return str(self.identity["candidate"])


@dataclass(frozen=True, slots=True)
class JudgedParity:
    """Checkpoint and exported package on the same studies, compared again."""

    full: JudgedRun
    exported: JudgedRun
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class JudgedLatency:
    """Times of a candidate, judged by a latency suite on the device that made them."""

    folder: str
    candidate: str
    suite: str
    """Digest of the latency suite."""
    ledger: str
    device: str
    """What really ran."""
    target: str
    """What the suite names."""
    on_target: bool
    mismatches: tuple[str, ...]
    """Where it is not the target: in what they differ."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was given. None: not given. Unusable: given, and decides nothing."""

    run: JudgedRun | Unusable
    """Of the candidate, under the regulatory suite."""
    production: JudgedRun | Unusable | None = None
    """Of the model in production, under the same suite."""
    comparison: Comparison | Unusable | None = None
    """The two runs, by the policy's guardrails."""
    parity: JudgedParity | Unusable | None = None
    latency: JudgedLatency | Unusable | None = None
    fairness: JudgedRun | Unusable | None = None
    packet: tuple[str, ...] | None = None
    """What does not hold of the run's packet; empty where all does."""
    in_production: str | None = None
    """Digest of the candidate that a registry says is in production; None: none is, or no registry was
    asked; "": one that the harness did not put there, so that nobody knows which."""


def gather(
    policy: PolicyFile,
    run: Path,
    *,
    production: Path | None = None,
    parity: Path | None = None,
    latency: Path | None = None,
    fairness: Path | None = None,
    packet: Path | None = None,
    in_production: str | None = None,
) -> Evidence:
    """Reads all evidence, checks it, and derives it again from rows and times.

    Args:
        policy: says what is asked, and where evidence is that is not given here.
        run: the candidate's run of the regulatory suite.
        production: the same of the model in production.
        parity: folder that `harness parity` wrote.
        latency: the candidate's run of the latency suite.
        fairness: the candidate's run of the fairness suite.
        packet: a packet of `run`.
        in_production: digest of the candidate that is in production, where a registry knows.

    Raises:
        LedgerError: there is no run at `run`. Everything else is kept as a problem of its piece.
    """
    if not (run / "run.json").exists():
        Ledger(run)  # raises, and says where a run may be
    asked = policy.asked
    production = production or policy.at(asked.non_inferiority.run)
    parity = parity or policy.at(asked.parity.run)
    latency = latency or policy.at(asked.latency.run)
    fairness = fairness or policy.at(asked.fairness.run)
    packet = packet or policy.at(asked.packet)
    judged = _attempt(_run, run)
    in_use = None if production is None else _attempt(_run, production)
    comparison: Comparison | Unusable | None = None
    if isinstance(judged, JudgedRun) and isinstance(in_use, JudgedRun) and asked.non_inferiority.guardrails:
        comparison = _attempt(_compared, (Path(in_use.folder), run, asked.non_inferiority.guardrails))
    account = None if packet is None else _attempt(_verified, (packet, run, policy.at(asked.trust)))
    return Evidence(
        run=judged,
        production=in_use,
        comparison=comparison,
        parity=None if parity is None else _attempt(_parity, parity),
        latency=None if latency is None else _attempt(_latency, latency),
        fairness=None if fairness is None else _attempt(_run, fairness),
        packet=(account.told,) if isinstance(account, Unusable) else account,
        in_production=in_production,
    )


def _attempt(act: Callable[[Any], _Found], of: Any) -> _Found | Unusable:
    try:
        return act(of)
    except HarnessError as error:
        return Unusable(str(error))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        # Evidence bent out of shape in a way that no reader foresaw. Its words may be a patient's.
        where = of[0] if isinstance(of, tuple) else of
        return Unusable(f"{where}: the evidence is damaged ({type(error).__name__})")


def _run(folder: Path) -> JudgedRun:
    ledger = Ledger(folder)
    check_chain(folder)
    results, verdict = judge(folder)
    copy = folder / "lock.json"
    if copy.exists() and in_identity(read_lock(copy)) != ledger.identity.get("lock"):
        raise LedgerError(f"{copy}: is not the lock of this run")
    predictions = ledger.read("predictions", ["study_id", "status"])
    return JudgedRun(
        folder=str(folder),
        identity=ledger.identity,
        ledger=results["ledger"],
        suite=read_suite(folder / "suite.yaml"),
        verdict=verdict,
        studies=frozenset(predictions.column("study_id").to_pylist()),
        without_report=sum(status != "ok" for status in predictions.column("status").to_pylist()),
        lock_findings=tuple(lock_findings(ledger)),
    )


def _compared(of: tuple[Path, Path, Any]) -> Comparison:
    production, run, guardrails = of
    asked = ComparisonPart(guardrails=guardrails)
    return compare(production, run, run / "looks.jsonl", asked=asked)  # guardrails alone spend no look


def _parity(folder: Path) -> JudgedParity:
    full, exported = (_run(folder / name) for name in ("full", "exported"))
    limits = exported.suite.comparison.parity if exported.suite.comparison else None
    if limits is None:
        raise LedgerError(f"{folder}: its suite limits no numbers; give harness parity suites/parity.yaml")
    numbers = decided(read_numbers(folder), limits)
    compared = compare(folder / "full", folder / "exported", folder / "looks.jsonl", numbers)
    return JudgedParity(full, exported, compared)


def _latency(folder: Path) -> JudgedLatency:
    found = read_latency(folder)
    return JudgedLatency(
        folder=str(folder),
        candidate=found.candidate,
        suite=found.suite,
        ledger=found.ledger,
        device=found.device,
        target=found.target,
        on_target=found.on_target,
        mismatches=found.mismatches,
        verdict=found.verdict,
    )


def _verified(of: tuple[Path, Path, Path | None]) -> tuple[str, ...]:
    from harness.evidence.signatures import load_certificates
    from harness.evidence.verify import verify_packet

    packet, run, trust = of
    certificates = None if trust is None else load_certificates(trust)
    return tuple(verify_packet(packet, trust=certificates, run=run).problems)
