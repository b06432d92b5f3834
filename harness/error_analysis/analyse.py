"""A finished run to its error analysis."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.error_analysis.classify import FINDINGS_FIRST, attribute_counts, classify, compare_attributes
from harness.error_analysis.confusion import confusion
from harness.error_analysis.material import read_material
from harness.error_analysis.model import ErrorAnalysis, QualityAnalysis
from harness.error_analysis.rates import Counter, Tables, by_finding, summaries
from harness.error_analysis.trends import (
    adjusted,
    measure_pictures,
    outcomes_of,
    prevalence_trends,
    quality_analysis,
)
from harness.report import CRITICAL

NOT_MEASURED = "picture quality was not asked for"


def analyse(
    run: Path,
    *,
    pictures: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ErrorAnalysis:
    """Classes and counts every error of a finished run.

    Misses and claims are those of the run's own labels under the options of its own measures; sides and
    severities are read as the measure `attributes` reads them. Needs no model.

    Args:
        run: the run folder.
        pictures: whether to measure the quality of the pictures, some 20 ms each.
        progress: called with the pictures measured and all there are.

    Raises:
        LedgerError: there is no run, or it is incomplete or damaged.
    """
    material = read_material(run)
    counter = Counter(material.patients, material.suite.inference.confidence)
    compared = compare_attributes(material)
    errors = classify(material, compared)
    tables = Tables(material, compared)
    trends = prevalence_trends(material)
    if pictures:
        values, left_out = measure_pictures(material, progress)
        quality, more = quality_analysis(material, values, left_out, counter)
        trends += more
    else:
        names = tuple(outcome.name for outcome in outcomes_of(material))
        quality = QualityAnalysis(0, Count(), names, (), NOT_MEASURED)
    identity = material.ledger.identity
    return ErrorAnalysis(
        candidate=identity["candidate_kind"],
        cohort=identity["cohort_kind"],
        suite=material.suite.name,
        ledger=material.ledger.results()["ledger"],
        labeler=identity["labeler"],
        labels_source=identity["labels_source"],
        missed_policy=material.policies.missed,
        hallucinated_policy=material.policies.hallucinated,
        attribute_section=material.policies.section,
        attribute_reader=material.reader.signature(),
        confidence=material.suite.inference.confidence,
        studies=len(material.study_ids),
        patients=counter.patients,
        failed=int(np.count_nonzero(material.failed)),
        studies_with_error=len({error.study_id for error in errors}),
        unverifiable=int(np.count_nonzero(material.unverifiable)),
        critical=summaries(tables, errors, CRITICAL, counter),
        overall=summaries(tables, errors, FINDINGS_FIRST, counter),
        findings=by_finding(material, tables, counter),
        attributes=attribute_counts(compared),
        confusion=confusion(material),
        trends=adjusted(trends),
        quality=quality,
        errors=errors,
    )
