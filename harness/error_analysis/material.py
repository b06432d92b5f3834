"""A finished run as arrays and texts: what the analysis works on, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.error_analysis.reading import Reader
from harness.ledger import Ledger
from harness.measures.attributes import Attributes
from harness.measures.base import Section, UncertainPolicy, asserted, judged
from harness.measures.critical_sensitivity import CriticalSensitivity
from harness.measures.hallucination_rate import CLAIMS, HallucinationRate, supported
from harness.outcome import Status
from harness.report import INDEX, join_sections
from harness.suite import Suite, read_suite

Flags = NDArray[np.bool_]
COLUMNS = [INDEX[finding] for finding in CLAIMS]
"""Of the 13 findings of `CLAIMS`, in every array of labels."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The choices of the run's own measures; their defaults where the suite has no such measure."""

    missed: UncertainPolicy
    hallucinated: UncertainPolicy
    section: Section


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """n studies, in the order of their ids; arrays of flags have shape (n, 13), columns as `CLAIMS`."""

    ledger: Ledger
    suite: Suite
    policies: Policies
    study_ids: list[str]
    patients: list[str]
    statuses: list[str]
    reference: list[str]
    candidate: list[str]
    """Whole reports: findings and impression."""
    reference_section: list[str]
    candidate_section: list[str]
    """What the measure `attributes` reads."""
    reference_labels: NDArray[np.int8]
    candidate_labels: NDArray[np.int8]
    """Shape (n, 14)."""
    present: Flags
    judged: Flags
    """Reference positives, and where the reference can be judged by, under the policy of misses."""
    missed: Flags
    claims: Flags
    """Claims that the reference can judge."""
    unsupported: Flags
    negatives: Flags
    """Where the reference supports no claim."""
    unverifiable: Flags
    images: list[list[str]]
    image_digests: list[list[str]]
    reader: Reader

    @property
    def failed(self) -> Flags:
        """Studies without a usable report, shape (n,)."""
        return np.array([status != Status.OK for status in self.statuses])


def read_material(run: Path) -> Material:
    """Reads a finished run; every part's digest is checked.

    Raises:
        LedgerError: there is no run, or it is incomplete or damaged.
        SuiteError: its suite file cannot be read.
    """
    ledger = Ledger(run)
    ledger.results()  # refuses an incomplete run
    suite = read_suite(run / "suite.yaml")
    policies = _policies(suite)
    cases, predictions, rows = ledger.read("cases"), ledger.read("predictions"), ledger.read("rows")
    texts = {
        (side, section): table.column(section).to_pylist()
        for side, table in (("reference", cases), ("candidate", predictions))
        for section in ("findings", "impression")
    }

    def report(side: str) -> list[str]:
        pairs = zip(texts[side, "findings"], texts[side, "impression"], strict=True)
        return [join_sections(pair) for pair in pairs]

    reference, candidate = report("reference"), report("candidate")
    whole = policies.section == "report"
    truth = np.array(rows.column("reference_labels").to_pylist(), dtype=np.int8).reshape(-1, len(INDEX))
    said = np.array(rows.column("candidate_labels").to_pylist(), dtype=np.int8).reshape(-1, len(INDEX))
    known = judged(truth, policies.missed)
    present = asserted(truth, policies.missed) & known
    true, can_judge = supported(truth, policies.hallucinated)
    claim = asserted(said, policies.hallucinated)
    return Material(
        ledger=ledger,
        suite=suite,
        policies=policies,
        study_ids=cases.column("study_id").to_pylist(),
        patients=cases.column("patient_id").to_pylist(),
        statuses=predictions.column("status").to_pylist(),
        reference=reference,
        candidate=candidate,
        reference_section=reference if whole else texts["reference", policies.section],
        candidate_section=candidate if whole else texts["candidate", policies.section],
        reference_labels=truth,
        candidate_labels=said,
        present=present[:, COLUMNS],
        judged=known[:, COLUMNS],
        missed=(present & ~asserted(said, policies.missed))[:, COLUMNS],
        claims=(claim & can_judge)[:, COLUMNS],
        unsupported=(claim & can_judge & ~true)[:, COLUMNS],
        negatives=(can_judge & ~true)[:, COLUMNS],
        unverifiable=(claim & ~can_judge)[:, COLUMNS],
        images=cases.column("images").to_pylist(),
        image_digests=cases.column("image_digests").to_pylist(),
        reader=Reader(),
    )


def _policies(suite: Suite) -> Policies:
    """Of several variants of a measure the first counts."""
    measures = list(suite.build_measures().values())
    sensitivity = next((m for m in measures if isinstance(m, CriticalSensitivity)), CriticalSensitivity())
    hallucination = next((m for m in measures if isinstance(m, HallucinationRate)), HallucinationRate())
    attributes = next((m for m in measures if isinstance(m, Attributes)), None)
    return Policies(
        sensitivity.uncertain, hallucination.uncertain, attributes.section if attributes else "report"
    )
