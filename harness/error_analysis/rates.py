"""Rates of errors with intervals by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from harness.error_analysis.classify import FINDINGS_FIRST, Compared
from harness.error_analysis.material import Material
from harness.error_analysis.model import ClassSummary, Error, ErrorClass, FindingErrors, Rate
from harness.inference import clustered_proportion_interval
from harness.inference.cluster_sums import cluster_index
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL, Finding

_OF: Final = {
    ErrorClass.MISSED: "reference positives",
    ErrorClass.HALLUCINATED: "claims that the reference can judge",
    ErrorClass.WRONG_LATERALITY: "findings asserted by both texts, with a side in both",
    ErrorClass.WRONG_SEVERITY: "findings asserted by both texts, with a severity in both",
    ErrorClass.INCOMPLETE: "findings asserted by both texts, with a required attribute in the reference",
}
NO_POSITIVES: Final = "no study is positive in the reference"
NO_CLAIMS: Final = "the reports claim nothing that the reference can judge"
NO_TEXTS: Final = "the references have no text to compare with"
NO_PAIR: Final = "of no finding that both texts assert do both state it"
NO_ATTRIBUTES: Final = "of no finding that both texts assert does the reference state a required attribute"
_WHY: Final = {
    ErrorClass.MISSED: NO_POSITIVES,
    ErrorClass.HALLUCINATED: NO_CLAIMS,
    ErrorClass.WRONG_LATERALITY: NO_PAIR,
    ErrorClass.WRONG_SEVERITY: NO_PAIR,
    ErrorClass.INCOMPLETE: NO_ATTRIBUTES,
}


class Counter:
    """Makes rates of studies' counts, with intervals by patient."""

    def __init__(self, patients: Sequence[str], confidence: float) -> None:
        names, self.index = cluster_index(np.asarray(patients, dtype=object).astype(str))
        self.patients = len(names)
        self.confidence = confidence

    def rate(self, successes: ArrayLike, trials: ArrayLike, why: str) -> Rate:
        """Of counts, one a study, length n; `why`: the reason where there is no trial."""
        hits, of = (
            np.bincount(self.index, np.asarray(counts, dtype=np.float64), minlength=self.patients)
            for counts in (successes, trials)
        )
        interval = clustered_proportion_interval(hits, of, self.confidence)
        none = not of.sum()
        return Rate(
            int(hits.sum()), int(of.sum()), interval.estimate, interval.low, interval.high,
            "" if none else interval.method, why if none else interval.reason,
        )  # fmt: skip


class Tables:
    """Faults and opportunities of each class, as counts by study and finding, shape (n, 13)."""

    def __init__(self, material: Material, compared: Sequence[Compared]) -> None:
        shape = material.missed.shape
        self.faults = {kind: np.zeros(shape, dtype=np.int64) for kind in ErrorClass}
        self.trials = {kind: np.zeros(shape, dtype=np.int64) for kind in ErrorClass}
        self.faults[ErrorClass.MISSED] += material.missed
        self.trials[ErrorClass.MISSED] += material.present
        self.faults[ErrorClass.HALLUCINATED] += material.unsupported
        self.trials[ErrorClass.HALLUCINATED] += material.claims
        for item in compared:
            place = item.row, CLAIMS.index(item.finding)
            for kind in item.faults():
                self.faults[kind][place] += 1
            self.trials[ErrorClass.WRONG_LATERALITY][place] += item.both_state[0]
            self.trials[ErrorClass.WRONG_SEVERITY][place] += item.both_state[1]
            self.trials[ErrorClass.INCOMPLETE][place] += item.asked
        self.with_text = any(text.strip() for text in material.reference_section)

    def rate(self, kind: ErrorClass, findings: Sequence[Finding], counter: Counter) -> Rate:
        """The rate of a class over some findings."""
        columns = [CLAIMS.index(finding) for finding in findings]
        why = _WHY[kind]
        if why in (NO_PAIR, NO_ATTRIBUTES) and not self.with_text:
            why = NO_TEXTS
        return counter.rate(
            self.faults[kind][:, columns].sum(axis=1), self.trials[kind][:, columns].sum(axis=1), why
        )


def summaries(
    tables: Tables, errors: Sequence[Error], findings: Sequence[Finding], counter: Counter
) -> tuple[ClassSummary, ...]:
    """One a class, over some findings. A class without opportunity is not evaluated, never zero."""
    chosen = set(findings)
    made = []
    for kind in ErrorClass:
        rate = tables.rate(kind, findings, counter)
        count = sum(error.error_class is kind and error.finding in chosen for error in errors)
        made.append(ClassSummary(kind, count if rate.denominator else None, rate, _OF[kind]))
    return tuple(made)


def by_finding(material: Material, tables: Tables, counter: Counter) -> tuple[FindingErrors, ...]:
    """One a finding, critical ones first."""
    rows = []
    for finding in FINDINGS_FIRST:
        column = CLAIMS.index(finding)
        judged = material.judged[:, column]
        negatives = material.negatives[:, column]
        rates = {kind: tables.rate(kind, [finding], counter) for kind in ErrorClass}
        rows.append(
            FindingErrors(
                finding=finding,
                critical=finding in CRITICAL,
                covered=bool(judged.any()),
                judged=int(judged.sum()),
                prevalence=counter.rate(material.present[:, column], judged, "no label covers it"),
                missed=rates[ErrorClass.MISSED],
                hallucinated=rates[ErrorClass.HALLUCINATED],
                hallucinated_of_negatives=counter.rate(
                    material.unsupported[:, column] & negatives, negatives, "no study is without it"
                ),
                wrong_laterality=rates[ErrorClass.WRONG_LATERALITY],
                wrong_severity=rates[ErrorClass.WRONG_SEVERITY],
                incomplete=rates[ErrorClass.INCOMPLETE],
            )
        )
    return tuple(rows)
