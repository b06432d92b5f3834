"""Do errors follow how common a finding is, or how good the picture is?"""

from __future__ import annotations

import math
from collections import Counter as Count
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.digests import digest_file
from harness.error_analysis.material import Flags, Material
from harness.error_analysis.model import QualityAnalysis, QualityBin, QualityMeasure, Trend
from harness.error_analysis.quality import MEASURES, quality, read_native
from harness.error_analysis.rates import Counter
from harness.errors import CohortError
from harness.inference import adjust_p_values, trend_test
from harness.inference.results import undefined_test
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL

Floats = NDArray[np.float64]
PREVALENCE: Final = "prevalence of the finding"
NO_PICTURE: Final = "the study has no picture"
CHANGED: Final = "the picture was changed since the run"
UNREADABLE: Final = "the picture cannot be read any more"
BINS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One kind of error, as decisions by study and column, shape (n, columns)."""

    name: str
    wrong: Flags
    decided: Flags


def outcomes_of(material: Material) -> tuple[Outcome, ...]:
    """What may follow picture quality: critical misses first. A failed study has missed everything."""
    critical = [CLAIMS.index(finding) for finding in CRITICAL]
    invented: Flags = np.asarray(material.unsupported.any(axis=1, keepdims=True))
    return (
        Outcome("critical finding missed", material.missed[:, critical], material.present[:, critical]),
        Outcome("any finding missed", material.missed, material.present),
        Outcome("report with a hallucinated finding", invented, np.ones_like(invented)),
    )


def prevalence_trends(material: Material) -> list[Trend]:
    """Whether positives of rarer findings are missed more often, and negatives invented less often.

    The score of a decision is its finding's prevalence among the judged studies.
    """
    with np.errstate(invalid="ignore"):
        share = material.present.sum(axis=0) / material.judged.sum(axis=0)
    scores = np.broadcast_to(np.nan_to_num(share), material.present.shape)
    return [
        _trend(Outcome(name, wrong, decided), PREVALENCE, scores, material)
        for name, wrong, decided in (
            ("any finding missed", material.missed, material.present),
            (
                "finding hallucinated where absent",
                material.unsupported & material.negatives,
                material.negatives,
            ),
        )
    ]


def measure_pictures(
    material: Material, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Floats, Count[str]]:
    """The quality of the first picture of each study, shape (n, measures), NaN where there is none.

    One picture is held at a time. Also: reason -> studies, of those without. A picture that is not the
    one that was judged, by its digest, is left out.
    """
    values = np.full((len(material.study_ids), len(MEASURES)), np.nan)
    left_out: Count[str] = Count()
    for row, (images, digests) in enumerate(zip(material.images, material.image_digests, strict=True)):
        why = NO_PICTURE if not images else ""
        if images:
            path = Path(images[0])
            try:
                if digest_file(path) != digests[0]:
                    why = CHANGED
                else:
                    values[row] = list(quality(read_native(path)).values())
            except (OSError, CohortError):
                why = UNREADABLE
        if why:
            left_out[why] += 1
        progress(row + 1, len(material.study_ids))
    return values, left_out


def quality_analysis(
    material: Material, values: Floats, left_out: Count[str], counter: Counter
) -> tuple[QualityAnalysis, list[Trend]]:
    """Error rates by quarter of each measure, and tests for trend, not yet adjusted."""
    outcomes = outcomes_of(material)
    names = tuple(outcome.name for outcome in outcomes)
    measured = int(np.isfinite(values).any(axis=1).sum())
    if not measured:
        why = "; ".join(f"{reason} ({count:,})" for reason, count in left_out.items())
        return QualityAnalysis(0, dict(left_out), names, (), why or "no picture could be measured"), []
    measures, trends = [], []
    for column, (name, what) in enumerate(MEASURES.items()):
        score = values[:, column]
        there = np.isfinite(score)
        median = float(np.median(score[there])) if there.any() else math.nan
        bins = tuple(_bin(score, chosen, outcomes, counter) for chosen in quarters(score))
        measures.append(QualityMeasure(name, what.unit, what.definition, what.source, median, bins))
        trends += [_trend(outcome, name, score[:, None], material) for outcome in outcomes]
    return QualityAnalysis(measured, dict(left_out), names, tuple(measures)), trends


def quarters(score: Floats) -> list[Flags]:
    """Which studies lie in each quarter of a score, lowest first; equal scores stay together."""
    there = np.isfinite(score)
    if not there.any():
        return []
    edges = np.unique(np.quantile(score[there], np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, score, side="left")
    found = [there & (place == number) for number in range(len(edges) + 1)]
    return [chosen for chosen in found if chosen.any()]


def adjusted(trends: Sequence[Trend]) -> tuple[Trend, ...]:
    """Holm over all; an undefined test takes part as p = 1, so that the others are not adjusted by less."""
    if not trends:
        return ()
    p = adjust_p_values([1.0 if math.isnan(one.p_value) else one.p_value for one in trends], "holm")
    return tuple(
        replace(one, adjusted=math.nan if math.isnan(one.p_value) else float(value))
        for one, value in zip(trends, p, strict=True)
    )


def _bin(score: Floats, chosen: Flags, outcomes: Sequence[Outcome], counter: Counter) -> QualityBin:
    rates = tuple(
        counter.rate(
            ((one.wrong & one.decided).sum(axis=1)) * chosen,
            one.decided.sum(axis=1) * chosen,
            "no such finding in these studies",
        )
        for one in outcomes
    )
    return QualityBin(float(score[chosen].min()), float(score[chosen].max()), int(chosen.sum()), rates)


def _trend(outcome: Outcome, score: str, scores: Floats, material: Material) -> Trend:
    spread = np.broadcast_to(scores, outcome.decided.shape)
    used = outcome.decided & np.isfinite(spread)
    rows = np.nonzero(used)[0]
    patients = np.asarray(material.patients, dtype=object).astype(str)[rows]
    result = (
        trend_test(outcome.wrong[used], spread[used], patients)
        if len(rows)
        else undefined_test("", "no such finding in the reference")
    )
    return Trend(
        outcome=outcome.name,
        score=score,
        trials=len(rows),
        patients=len(set(patients.tolist())),
        z=result.statistic,
        p_value=result.p_value,
        adjusted=math.nan,
        method=result.method,
        reason=result.reason,
    )
