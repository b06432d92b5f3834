"""A cohort to its account, study by study: no picture is opened, no text is kept."""

from __future__ import annotations

import hashlib
import heapq
import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from harness.cohorts import open_cohort
from harness.cohorts.base import Cohort
from harness.errors import CohortError
from harness.exploration.cautions import warn
from harness.exploration.model import Exploration, FindingCounts, Missing, Shares, Spread
from harness.inference import clustered_proportion_interval
from harness.inference.cluster_sums import cluster_index
from harness.plugins import load
from harness.report import CRITICAL, FINDINGS, State
from harness.study import UNKNOWN_GROUP, Case

SAMPLE: Final = 9
_AGE_EDGES: Final = tuple(range(0, 111, 10))
_BINS: Final = 24


def open_whole(locator: str) -> Cohort:
    """A cohort with all its splits, unless the locator names one.

    Raises:
        CohortError, PluginError: as `open_cohort`.
    """
    kind, _, rest = locator.partition(":")
    named = dict(parse_qsl(rest.partition("?")[2]))
    if rest and "split" not in named and "split" in inspect.signature(load("cohorts", kind)).parameters:
        return open_cohort(locator, split=None)
    return open_cohort(locator)


def explore(cohort: Cohort, progress: Callable[[int, int], None] = lambda done, total: None) -> Exploration:
    """What a cohort holds. Memory: some hundred bytes a study, however many pictures there are.

    Args:
        cohort: any kind.
        progress: called with the studies read and all there are.

    Raises:
        CohortError: the cohort holds no study, or one cannot be read.
    """
    if not len(cohort):
        raise CohortError("the cohort holds no study; there is nothing to explore")
    tally = _Tally(cohort)
    for index in range(len(cohort)):
        tally.add(index, cohort[index])
        progress(index + 1, len(cohort))
    return tally.result()


class _Tally:
    """Counts of the studies read so far."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        self.labels = np.full((len(cohort), len(FINDINGS)), State.NOT_COVERED, dtype=np.int8)
        self.words = np.zeros((len(cohort), 2), dtype=np.int64)
        self.ages: list[int] = []
        self.groups: dict[str, Counter[str]] = {}
        self.views: Counter[str] = Counter()
        self.texts: Counter[bytes] = Counter()
        self.missing: Counter[str] = Counter()
        self.pictures = 0
        self.sample: list[tuple[int, int]] = []

    def add(self, index: int, case: Case) -> None:
        study, reference = case.study, case.reference
        if reference.labels is not None:
            self.labels[index] = reference.labels
        self.words[index] = len(reference.findings.split()), len(reference.impression.split())
        for name, group in case.groups.items():
            self.groups.setdefault(name, Counter())[group] += 1
        if study.context.age is not None:
            self.ages.append(study.context.age)
        self.views.update(image.view.value for image in study.images)
        self.pictures += len(study.images)
        text = " ".join(reference.text.split())
        if text:
            self.texts[hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()] += 1
        self._count_missing(case)
        key = int.from_bytes(hashlib.blake2b(study.study_id.encode(), digest_size=8).digest(), "big")
        heapq.heappush(self.sample, (-key, index))
        if len(self.sample) > SAMPLE:
            heapq.heappop(self.sample)

    def _count_missing(self, case: Case) -> None:
        study, reference = case.study, case.reference
        labels = reference.labels
        for what, lacks in (
            ("picture", not study.images),
            ("a listed picture's file", any(not image.path.is_file() for image in study.images)),
            ("findings section", not reference.findings.strip()),
            ("impression", not reference.impression.strip()),
            ("any report text", not reference.text.strip()),
            ("any label", labels is None or bool((labels == State.NOT_COVERED).all())),
            ("any mention in the labels", labels is not None and bool((labels <= State.NOT_MENTIONED).all())),
            ("indication", not study.context.indication.strip()),
            ("age", study.context.age is None),
            ("sex", study.context.sex is None),
            ("race", case.groups.get("race", UNKNOWN_GROUP) == UNKNOWN_GROUP),
        ):
            self.missing[what] += lacks

    def result(self) -> Exploration:
        cohort, studies = self.cohort, len(self.cohort)
        ids, patients, splits = cohort.study_ids(), cohort.patient_ids(), cohort.splits()
        sizes = Counter(patients)
        parts = _parts(splits, patients)
        of_split = {name: np.array([part == name for part in splits or ()]) for name in parts}
        findings = _findings(self.labels, patients, of_split)
        groups = tuple(Shares(name, _largest(counts)) for name, counts in sorted(self.groups.items()))
        positive = (self.labels == State.POSITIVE).astype(np.int64)
        repeated = sum(count for count in self.texts.values() if count > 1)
        report = self.words.sum(axis=1)
        spreads = (
            ("findings section", self.words[:, 0]),
            ("impression", self.words[:, 1]),
            ("report", report),
        )
        return Exploration(
            cohort=cohort.name,
            labels_source=cohort.labels_source,
            studies=studies,
            patients=len(sizes),
            pictures=self.pictures,
            eligible=cohort.eligible,
            exclusions={item.reason: item.studies for item in cohort.exclusions},
            splits=parts,
            findings=findings,
            together=tuple(tuple(row) for row in (positive.T @ positive).tolist()),
            lengths=tuple(_spread(name, words[words > 0]) for name, words in spreads),
            lengths_by_split={
                name: float(np.median(report[chosen & (report > 0)]))
                if (chosen & (report > 0)).any()
                else math.nan
                for name, chosen in of_split.items()
            },
            age=_spread("age", np.array(self.ages, dtype=np.int64), _AGE_EDGES),
            groups=groups,
            views=Shares("view of a picture", _largest(self.views)),
            studies_a_patient=_per_patient(sizes),
            missing=tuple(Missing(what, count, studies) for what, count in self.missing.items()),
            repeated=repeated,
            cautions=warn(findings, groups, parts, studies, repeated),
            sample=(chosen := tuple(sorted(index for _, index in self.sample))),
            sample_ids=tuple(ids[index] for index in chosen),
        )


def _findings(
    labels: NDArray[np.int8], patients: Sequence[str], of_split: dict[str, NDArray[np.bool_]]
) -> tuple[FindingCounts, ...]:
    names, index = cluster_index(np.asarray(patients, dtype=object).astype(str))
    found = []
    for column, finding in enumerate(FINDINGS):
        own = labels[:, column]
        positive, covered = own == State.POSITIVE, own != State.NOT_COVERED
        hits, of = (np.bincount(index, flags, minlength=len(names)) for flags in (positive, covered))
        interval = clustered_proportion_interval(hits, of)
        counts = {state: int((own == state).sum()) for state in State}
        found.append(
            FindingCounts(
                finding=finding,
                critical=finding in CRITICAL,
                positive=counts[State.POSITIVE],
                uncertain=counts[State.UNCERTAIN],
                negative=counts[State.NEGATIVE],
                blank=counts[State.NOT_MENTIONED],
                not_covered=counts[State.NOT_COVERED],
                share=interval.estimate,
                low=interval.low,
                high=interval.high,
                positive_by_split={name: int((positive & chosen).sum()) for name, chosen in of_split.items()},
            )
        )
    return tuple(found)


def _spread(name: str, values: NDArray[np.int64], edges: Sequence[int] | None = None) -> Spread:
    if not len(values):
        return Spread(name, (), (), 0, *[math.nan] * 5)
    if edges is None:
        step = max(1, math.ceil((int(values.max()) + 1) / _BINS))
        edges = tuple(range(0, int(values.max()) + step + 1, step))
    # What lies beyond the last edge is counted in the last bin.
    counts, _ = np.histogram(np.minimum(values, edges[-1] - 1), bins=np.asarray(edges))
    quantiles = np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()
    return Spread(name, tuple(edges), tuple(counts.tolist()), len(values), *quantiles)


def _parts(splits: Sequence[str] | None, patients: Sequence[str]) -> dict[str, tuple[int, int]]:
    if splits is None:
        return {}
    return {
        name: (
            splits.count(name),
            len({patient for patient, part in zip(patients, splits, strict=True) if part == name}),
        )
        for name in sorted(set(splits), key=_usual_order)
    }


def _usual_order(split: str) -> tuple[int, str]:
    usual = ("train", "validate", "val", "test")
    return (usual.index(split) if split in usual else len(usual), split)


def _largest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (item[0] == UNKNOWN_GROUP, -item[1], item[0])))


def _per_patient(sizes: Counter[str]) -> dict[str, int]:
    found = Counter(min(size, 5) for size in sizes.values())
    return {f"{size}" if size < 5 else "5 or more": found[size] for size in range(1, 6) if found[size]}
