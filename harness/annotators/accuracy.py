"""How often a labeler is right, against labels that people gave; and what that says of its counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.errors import HarnessError
from harness.inference import Interval, bootstrap_interval, proportion_interval, rogan_gladen
from harness.report import FINDINGS, INDEX, Finding, State

FORMAT: Final = 1
CONFIDENCE: Final = 0.95
REPLICATES: Final = 2000
POLICIES: Final = ("positive", "negative")
COUNTS: Final = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A labeler's counts against people's labels, for each finding that these speak of."""

    labeler: str
    """The labeler's signature."""
    reports: int
    source: str
    """What was labelled, by whom, in words."""
    texts_digest: str
    """SHA-256 of the file of reports."""
    labels_digest: str
    """SHA-256 of the file of people's labels."""
    sections: tuple[str, ...]
    """The columns whose text was read."""
    counts: Mapping[str, Mapping[Finding, tuple[int, int, int, int]]]
    """"positive" and "negative", how an uncertain label counts -> finding -> TP, FP, FN, TN."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, with every rate and its 95 % interval."""
        return {
            "format": FORMAT,
            "labeler": self.labeler,
            "source": self.source,
            "reports": self.reports,
            "sections": list(self.sections),
            "texts_sha256": self.texts_digest,
            "labels_sha256": self.labels_digest,
            "uncertain": {
                policy: {
                    "findings": {str(finding): rates(*row) for finding, row in self.counts[policy].items()},
                    "macro_f1": _rounded(self.macro_f1(policy)),
                }
                for policy in POLICIES
            },
        }

    def macro_f1(self, policy: str) -> float:
        """Mean F1 over the findings, where all have one; NaN where one is 0/0."""
        return float(np.mean([_f1(*row[:3]) for row in self.counts[policy].values()]))

    def correct(self, finding: Finding, positives: int, n: int, policy: str = "positive") -> Interval | None:
        """The share behind a share that this labeler counted (Rogan-Gladen); None if unmeasured."""
        if finding not in self.counts[policy]:
            return None
        tp, fp, fn, tn = self.counts[policy][finding]
        return rogan_gladen(positives, n, tp, tp + fn, tn, tn + fp, CONFIDENCE)


def measure(
    labels: NDArray[np.int8], truth: NDArray[np.int8], findings: Sequence[Finding]
) -> dict[str, dict[Finding, tuple[int, int, int, int]]]:
    """TP, FP, FN and TN of each finding, with an uncertain label as positive and as negative.

    Args:
        labels: the labeler's `State` codes, shape (n, 14).
        truth: people's, shape (n, 14). Uncertain ones are left out of their finding's counts; what
            they do not mention is absent.
        findings: those that people judged.
    """
    counts: dict[str, dict[Finding, tuple[int, int, int, int]]] = {}
    for policy in POLICIES:
        claimed = labels == State.POSITIVE
        if policy == "positive":
            claimed |= labels == State.UNCERTAIN
        counts[policy] = {}
        for finding in findings:
            column = INDEX[finding]
            known = truth[:, column] != State.UNCERTAIN
            there, said = truth[known, column] == State.POSITIVE, claimed[known, column]
            counts[policy][finding] = (
                int((there & said).sum()),
                int((~there & said).sum()),
                int((there & ~said).sum()),
                int((~there & ~said).sum()),
            )
    return counts


def rates(tp: int, fp: int, fn: int, tn: int) -> dict[str, Any]:
    """Counts, and sensitivity, specificity, precision (Wilson intervals) and F1 (BCa bootstrap)."""
    rows = np.repeat([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], [tp, fp, fn, tn], axis=0).astype(np.int64)
    f1 = cast(Interval, bootstrap_interval(rows, _f1_of_totals, replicates=REPLICATES, confidence=CONFIDENCE))
    return {
        **dict(zip(COUNTS, (tp, fp, fn, tn), strict=True)),
        "sensitivity": _plain(proportion_interval(tp, tp + fn, CONFIDENCE)),
        "specificity": _plain(proportion_interval(tn, tn + fp, CONFIDENCE)),
        "precision": _plain(proportion_interval(tp, tp + fp, CONFIDENCE)),
        "f1": _plain(f1),
    }


def read_accuracy(path: Path) -> Accuracy:
    """An accuracy file, as `harness label --against` wrote it.

    Raises:
        HarnessError: no such file, or not one.
    """
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(
            f"{path}: no accuracy file ({type(error).__name__}: {error}); "
            "write one with harness label --against"
        ) from None


def shipped_accuracy() -> Accuracy:
    """That of the `rules` labeler, which comes with the package."""
    text = (files("harness.annotators") / "lexicon" / "accuracy.json").read_text(encoding="utf-8")
    return _parsed(json.loads(text))


def labeler_accuracy(signature: str, candidate_labels: ArrayLike) -> dict[str, Any]:
    """What a run's results say of its labeler, as plain values.

    Sensitivity and specificity as measured against people, and for each finding the share of the
    candidate's reports that the labeler says claim it (uncertain as positive), plain and corrected
    for the labeler's errors.

    Args:
        signature: of the run's labeler.
        candidate_labels: `State` codes, n rows of 14.
    """
    known = shipped_accuracy()
    if known.labeler != signature:
        return {"labeler": signature, "measured": False, "why": "not measured for this version"}
    labels = np.asarray(candidate_labels, dtype=np.int8).reshape(-1, len(FINDINGS))
    claimed = np.isin(labels, (State.POSITIVE, State.UNCERTAIN)).sum(axis=0)
    found = {}
    for finding, row in known.counts["positive"].items():
        tp, fp, fn, tn = row
        positives = int(claimed[INDEX[finding]])
        corrected = known.correct(finding, positives, len(labels))
        found[str(finding)] = {
            "sensitivity": _plain(proportion_interval(tp, tp + fn, CONFIDENCE)),
            "specificity": _plain(proportion_interval(tn, tn + fp, CONFIDENCE)),
            "claimed": _plain(proportion_interval(positives, len(labels), CONFIDENCE)),
            "corrected": None if corrected is None else _plain(corrected),
        }
    return {
        "labeler": signature,
        "measured": True,
        "source": known.source,
        "reports": known.reports,
        "uncertain": "positive",
        "findings": found,
    }


def _parsed(values: dict[str, Any]) -> Accuracy:
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}, not {FORMAT}")
    counts = {
        policy: {
            Finding(name): (int(row["tp"]), int(row["fp"]), int(row["fn"]), int(row["tn"]))
            for name, row in values["uncertain"][policy]["findings"].items()
        }
        for policy in POLICIES
    }
    return Accuracy(
        labeler=values["labeler"],
        reports=values["reports"],
        source=values["source"],
        texts_digest=values["texts_sha256"],
        labels_digest=values["labels_sha256"],
        sections=tuple(values["sections"]),
        counts=counts,
    )


def _f1(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan


def _f1_of_totals(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    tp, fp, fn = np.moveaxis(totals, -1, 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * tp / (2 * tp + fp + fn))


def _plain(item: Interval) -> dict[str, Any]:
    """Value and ends, NaN as None, with the reason where it is undefined."""
    return {
        "value": _rounded(item.estimate),
        "low": _rounded(item.low),
        "high": _rounded(item.high),
        **({"reason": item.reason} if item.reason else {}),
    }


def _rounded(value: float) -> float | None:
    """Six decimals, so that the file reads the same wherever it is written."""
    return round(value, 6) if math.isfinite(value) else None
