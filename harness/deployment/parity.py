"""Does an exported package report as its checkpoint does? Numbers, reports, and every clinical measure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.candidates.base import Candidate
from harness.cohorts.base import Cohort
from harness.comparison import Comparison, compare
from harness.comparison.decide import Guarded
from harness.comparison.summary import markdown
from harness.deployment.numbers import CheckpointArm, Numbers, PackageArm, compare_numbers
from harness.digests import digest_file
from harness.errors import CandidateError, LedgerError, SuiteError
from harness.ledger import Ledger, write_atomically
from harness.run import Progress, Request, choose, execute
from harness.status import Status, finite
from harness.study import Case
from harness.suite import Suite, read_suite
from harness.suite_comparison import ParityPart
from harness.verdict import Verdict

_WORST: Final = "probability_worst"
_ENOUGH: Final = "so few that not even full agreement would show it"


@dataclass(frozen=True, slots=True)
class Texts:
    """The two runs' reports, word by word."""

    both: int
    """Studies for which both wrote a report."""
    identical: int
    """Of these, those whose findings and impression are the same to the letter."""
    one: int
    """Studies for which only one of the two wrote a report."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Wall time of a study, median, in seconds; both measured in the same call, one after the other."""

    full: float
    exported: float

    @property
    def ratio(self) -> float:
        """How many times as fast the package is."""
        return self.full / self.exported if self.exported else math.nan


@dataclass(frozen=True, slots=True)
class Parity:
    """Everything that was found."""

    status: Status
    comparison: Comparison
    """Limits on numbers and non-inferiority on reports, in one list of guardrails."""
    full: Verdict
    """The suite's own criteria, on the checkpoint: one that fails them is nothing to be as good as."""
    exported: Verdict
    """The same on the package."""
    numbers: Numbers
    texts: Texts
    speed: Speed
    package: dict[str, Any]
    """Digest, provider, precisions and sizes in bytes of package and checkpoint."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, for parity.json."""
        return {
            "status": self.status.value,
            "exit_code": self.status.exit_code,
            "package": self.package,
            "numbers": {key: _plain(value) for key, value in asdict(self.numbers).items()},
            "reports": asdict(self.texts),
            "speed": {**asdict(self.speed), "ratio": finite(self.speed.ratio)},
            "full": self.full.as_json(),
            "exported": self.exported.as_json(),
            "comparison": self.comparison.as_json(),
        }


@dataclass(frozen=True, slots=True)
class ParityRequest:
    """What is compared, on whom, and where it goes."""

    package: Path
    checkpoint: Path
    suite: Path
    cohort: Cohort
    cohort_locator: str
    out: Path
    provider: str = "auto"
    workers: int = 1


def judge_parity(request: ParityRequest, progress: Progress = lambda step, done, total: None) -> Parity:
    """Runs checkpoint and package on the same studies, and decides by the suite's guardrails.

    PASS needs all of it: each guardrail shows that no more than its margin was lost, each limit on
    the numbers is met, and the suite's criteria hold for the package. The runs lie in `out/full` and
    `out/exported` and go on where they stopped.

    Raises:
        CandidateError: package or checkpoint cannot be used, or do not belong together.
        SuiteError: the suite limits no numbers. HarnessError: as `harness.run.execute`.
    """
    from harness.candidates.multimodal.candidate import MultimodalCandidate
    from harness.candidates.multimodal.checkpoints import checkpoint_digest
    from harness.candidates.onnx.candidate import OnnxCandidate
    from harness.candidates.onnx.model import OnnxModel

    suite = read_suite(request.suite)
    limits = suite.comparison.parity if suite.comparison else None
    if limits is None:
        raise SuiteError([f"{request.suite}: has no comparison.parity; see suites/parity.yaml"])
    model = OnnxModel(request.package, request.provider)
    if model.manifest.source != checkpoint_digest(request.checkpoint):
        raise CandidateError(
            f"{request.package}: was exported from another checkpoint than {request.checkpoint}; compare it "
            "with its own, or export again"
        )
    runs: list[Ledger] = []
    candidates: dict[str, Candidate] = {
        "full": MultimodalCandidate(request.checkpoint, device="cpu"),
        "exported": OnnxCandidate(request.package, request.provider),
    }
    for (name, candidate), path in zip(
        candidates.items(), (request.checkpoint, request.package), strict=True
    ):
        runs.append(
            execute(
                Request(
                    suite=request.suite,
                    cohort=request.cohort,
                    cohort_locator=request.cohort_locator,
                    candidate=candidate,
                    candidate_locator=f"{candidate.name}:{path}",
                    out=request.out / name,
                    workers=request.workers,
                    annotations=request.out / "annotations",
                ),
                _named(name, progress),
            )
        )
    numbers = _numbers(request, suite, model, limits, progress)
    comparison = compare(
        request.out / "full", request.out / "exported", request.out / "looks.jsonl", decided(numbers, limits)
    )
    full, exported = (Verdict.from_json(run.results()["verdict"]) for run in runs)
    # A checkpoint that does not meet the criteria itself leaves nothing to decide by.
    reference = Status.PASS if full.status is Status.PASS else Status.NOT_EVALUATED
    parity = Parity(
        status=Status.whole([comparison.status, exported.status, reference]),
        comparison=comparison,
        full=full,
        exported=exported,
        numbers=numbers,
        texts=_texts(*runs),
        speed=Speed(*(_median_latency(run) for run in runs)),
        package={
            "package": model.manifest.digest(),
            "checkpoint": model.manifest.source,
            "provider": model.provider,
            "vision": model.graph.precision,
            "language": model.manifest.language.precision,
            "size": model.graph.size + model.manifest.language.size,
            "checkpoint_size": model.manifest.source_size,
        },
    )
    write_atomically(
        request.out / "parity.json", json.dumps(parity.as_json(), indent=1, allow_nan=False).encode() + b"\n"
    )
    write_atomically(request.out / "parity.md", _markdown(parity).encode())
    if _logged(runs[1]) != digest_file(request.out / "parity.json"):
        runs[1].log.append("parity", sha256=digest_file(request.out / "parity.json"))
    return parity


def read_numbers(folder: Path) -> Numbers:
    """The differences inside the package, as `judge_parity` found them; runs alone cannot tell them.

    Args:
        folder: its `out`.

    Raises:
        LedgerError: parity.json is missing, or is not the file that the package's run has in its log.
    """
    path = folder / "parity.json"
    if not path.exists():
        raise LedgerError(f"{path}: is missing; give the harness parity command again")
    if _logged(Ledger(folder / "exported")) != digest_file(path):
        raise LedgerError(
            f"{path}: is not the file that the log of {folder / 'exported'} names; it was changed, or is of "
            "an older version: give the harness parity command again"
        )
    stated: dict[str, Any] = json.loads(path.read_bytes())["numbers"]
    whole: dict[str, Any] = {
        key: math.nan if value is None and key != _WORST else value for key, value in stated.items()
    }
    return Numbers(**whole)


def _logged(run: Ledger) -> str | None:
    """Digest of the last parity.json that a run's log names."""
    found = [entry["sha256"] for entry in run.log.entries() if entry["event"] == "parity"]
    return found[-1] if found else None


def decided(numbers: Numbers, limits: ParityPart) -> list[Guarded]:
    """The limits on numbers, as guardrails; NOT EVALUATED where nothing could be compared."""
    found = []
    greatest = numbers.probability_greatest
    compared = numbers.studies + numbers.refused_by_one
    status, reason = Status.NOT_EVALUATED, "no study could be compared"
    if compared:
        held = greatest <= limits.probability
        status = Status.PASS if held else Status.FAIL
        where = f" ({numbers.probability_worst})" if numbers.probability_worst else ""
        reason = (
            f"the greatest difference, {greatest:.2g}{where}, is "
            f"{'not ' if held else ''}above {limits.probability:g}"
        )
    found.append(
        Guarded(
            "numbers.finding-probability",
            status,
            limits.probability,
            finite(greatest) if compared else None,
            finite(greatest) if compared else None,
            1.0,
            "greatest of all studies",
            reason,
        )
    )
    for name, share, bound, least in (
        ("detections", numbers.detection_agreement, numbers.detection_bound, limits.detections),
        ("tokens", numbers.token_agreement, numbers.token_bound, limits.tokens),
    ):
        words = f"lower {100 * limits.confidence:.4g}% bound {bound:.4f} of the agreement"
        if math.isnan(bound):
            status, reason = Status.NOT_EVALUATED, "nothing could be compared"
        elif bound >= least:
            status, reason = Status.PASS, f"{words} is at least {least:g}"
        elif share == 1:
            status, reason = Status.NOT_EVALUATED, f"{words} is not {least:g}: {_ENOUGH}"
        else:
            status, reason = Status.FAIL, f"{words} is not {least:g}"
        found.append(
            Guarded(
                f"numbers.{name}",
                status,
                1 - least,
                finite(share - 1),
                finite(bound - 1),
                limits.confidence,
                "guarded Clopper-Pearson, by patient",
                reason,
            )
        )
    return found


def _numbers(
    request: ParityRequest, suite: Suite, model: Any, limits: ParityPart, progress: Progress
) -> Numbers:
    import torch

    from harness.candidates.multimodal.model import RadiologyMultimodalModel
    from harness.candidates.multimodal.processor import MultimodalProcessor

    chosen = choose(suite, request.cohort)
    full = CheckpointArm(
        RadiologyMultimodalModel.from_pretrained(request.checkpoint),
        MultimodalProcessor.from_pretrained(request.checkpoint),
    )
    seen = 0

    def done() -> None:
        nonlocal seen
        seen += 1
        progress("comparing numbers", seen, len(chosen))

    def cases() -> Iterator[Case]:
        for _, index in chosen:
            yield request.cohort[index]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker: sums come out in one order
    try:
        return compare_numbers(full, PackageArm(model), cases(), limits.confidence, done=done)
    finally:
        torch.set_num_threads(threads)


def _named(name: str, progress: Progress) -> Callable[[str, int, int], None]:
    return lambda step, done, total: progress(f"{name}: {step}", done, total)


def _texts(full: Ledger, exported: Ledger) -> Texts:
    rows = []
    for run in (full, exported):
        table = run.read("predictions", ["study_id", "status", "findings", "impression"]).to_pylist()
        rows.append({row["study_id"]: row for row in table})
    both = [study for study in rows[0] if all(row[study]["status"] == "ok" for row in rows)]
    written = [sum(row["status"] == "ok" for row in table.values()) for table in rows]
    same = sum(
        all(rows[0][study][part] == rows[1][study][part] for part in ("findings", "impression"))
        for study in both
    )
    return Texts(len(both), same, sum(written) - 2 * len(both))


def _median_latency(run: Ledger) -> float:
    times = run.read("timings", ["study_id", "latency_s"]).column("latency_s").to_numpy()
    return float(np.median(times)) if len(times) else math.nan


def rows(parity: Parity) -> list[tuple[str, str]]:
    """What was measured beside the guardrails: name and value, for a table."""
    numbers, texts, package = parity.numbers, parity.texts, parity.package
    sizes = package["checkpoint_size"], package["size"]
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (numbers.refused_by_both, "refused by both"),
            (numbers.refused_by_one, "refused by one"),
            (numbers.without_text, "without a reference text"),
        )
        if count
    ]
    return [
        ("Runs on", f"{package['provider']}, vision {package['vision']}, language {package['language']}"),
        ("Size", f"{sizes[0] / 1e6:.2f} MB checkpoint, {sizes[1] / 1e6:.2f} MB of graphs that run"),
        (
            "Speed",
            f"{1e3 * parity.speed.full:.1f} ms full, {1e3 * parity.speed.exported:.1f} ms exported, median: "
            f"{parity.speed.ratio:.2f} times as fast (the checkpoint draws boxes too)",
        ),
        ("Studies", ", ".join([f"{numbers.studies:,} compared", *left_out])),
        (
            "Finding probability",
            f"greatest difference {numbers.probability_greatest:.2e} "
            f"({numbers.probability_worst or 'none'}), mean {numbers.probability_mean:.2e}",
        ),
        (
            "Logits of tokens",
            f"greatest difference {numbers.logit_greatest:.2e}, mean {numbers.logit_mean:.2e}, over "
            f"{numbers.tokens:,} tokens, given the true ones before",
        ),
        ("Same token", f"{numbers.token_agreement:.4f}"),
        (
            "Same detection",
            f"{numbers.detection_agreement:.4f} of findings on the same side of the threshold",
        ),
        (
            "Same report",
            f"{texts.identical:,} of {texts.both:,} to the letter"
            + (f"; {texts.one:,} written by one alone" if texts.one else ""),
        ),
    ]


def criteria(parity: Parity) -> list[str]:
    """The suite's criteria on checkpoint and package, a line each."""
    return [
        f"{item.id}, on the {name}: {item.status}: {item.reason}"
        for name, verdict in (("checkpoint", parity.full), ("package", parity.exported))
        for item in verdict.decisions
    ]


def _markdown(parity: Parity) -> str:
    lines = [f"# Parity: {parity.status}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows(parity)]
    lines += ["", *(f"- {line}" for line in criteria(parity))]
    return "\n".join([*lines, "", markdown(parity.comparison)])


def _plain(value: Any) -> Any:
    return finite(value) if isinstance(value, float) else value
