"""For those who write plugins: candidates with known faults, and conformance checks."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from harness.annotators.rules import RulesLabeler
from harness.candidates.base import Candidate
from harness.candidates.template import SENTENCES
from harness.digests import digest_value
from harness.measures.base import Measure, Pairs, Side
from harness.report import INDEX, PARENTS, Finding, Report, State
from harness.study import Case, Study

_SENTENCE: Final = re.compile(r"[^.]*(?:\.(?=\d)[^.]*)*\.?\s*")
_SIDES: Final = {"left": "right", "right": "left"}
_SIZES: Final = {"small": "large", "large": "small", "mild": "severe", "severe": "mild"}


class Oracle(Candidate):
    """Answers with the reference report itself. Every measure must find it perfect.

    Args:
        cases: what it will be asked about; how else could it know.
    """

    name = "oracle"

    def __init__(self, cases: Sequence[Case]) -> None:
        self.texts = {
            case.study.study_id: (case.reference.findings, case.reference.impression) for case in cases
        }

    def digest(self) -> str:
        """Over its answers and kind of fault."""
        return digest_value([type(self).__name__, sorted(self.texts.items())])

    def report(self, study: Study) -> Report:
        """The reference report."""
        findings, impression = self.texts[study.study_id]
        return Report(report_id=study.study_id, findings_text=findings, impression=impression)


@dataclass(frozen=True, slots=True)
class Damage:
    """What a saboteur does, each at its rate in [0, 1]."""

    miss: float = 0.0
    """Studies with `finding` in which no sentence says so."""
    finding: Finding = Finding.PNEUMOTHORAX
    within: tuple[str, str] | None = None
    """Only in this group, such as ("sex", "F")."""
    hallucinate: float = 0.0
    """Studies without `finding` in which a sentence claims it."""
    swap_sides: float = 0.0
    """Studies in which left and right are exchanged."""
    change_severity: float = 0.0
    """Studies in which small and large, mild and severe are exchanged."""
    reorder: bool = False
    """Each study gets the next one's report."""
    fail: float = 0.0
    """Studies for which it raises."""
    seed: int = 0


class Saboteur(Oracle):
    """The oracle, damaged in a known way, so that a test can look for exactly that."""

    name = "saboteur"

    def __init__(self, cases: Sequence[Case], damage: Damage) -> None:
        super().__init__(cases)
        self.damage = damage
        labels = RulesLabeler().label(["\n".join(self.texts[c.study.study_id]) for c in cases])
        column = INDEX[damage.finding]
        present = np.isin(labels[:, column], (State.POSITIVE, State.UNCERTAIN))
        for child, parent in PARENTS.items():  # a wider claim is no invention
            if parent == damage.finding:
                present |= np.isin(labels[:, INDEX[child]], (State.POSITIVE, State.UNCERTAIN))
        self.present = {c.study.study_id: bool(p) for c, p in zip(cases, present, strict=True)}
        self.eligible = {
            c.study.study_id
            for c in cases
            if damage.within is None or c.groups.get(damage.within[0]) == damage.within[1]
        }
        if damage.reorder:
            ids = sorted(self.texts)
            after = [*ids[1:], ids[0]]
            self.texts = {study: self.texts[other] for study, other in zip(ids, after, strict=True)}

    def digest(self) -> str:
        """Over its answers and faults."""
        return digest_value([super().digest(), asdict(self.damage)])

    def hit(self, fault: str, study_id: str, rate: float) -> bool:
        """Whether a study is damaged; a function of seed, fault and study alone."""
        if study_id not in self.eligible:
            return False
        key = f"{self.damage.seed}:{fault}:{study_id}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") < rate * 2**64

    def report(self, study: Study) -> Report:
        """The reference report with the damage done."""
        damage, name = self.damage, study.study_id
        if self.hit("fail", name, damage.fail):
            raise RuntimeError("planted failure")
        texts = list(self.texts[name])
        if self.present[name]:
            if self.hit("miss", name, damage.miss):
                texts = [_without(text, damage.finding) for text in texts]
                if not any(text.strip() for text in texts):
                    texts[1] = "Limited study."
        elif self.hit("hallucinate", name, damage.hallucinate):
            texts[0] = f"{texts[0]} {SENTENCES[damage.finding]}"
        if self.hit("swap", name, damage.swap_sides):
            texts = [_exchanged(text, _SIDES) for text in texts]
        if self.hit("severity", name, damage.change_severity):
            texts = [_exchanged(text, _SIZES) for text in texts]
        return Report(report_id=name, findings_text=texts[0], impression=texts[1])


def _without(text: str, finding: Finding) -> str:
    """The text without the sentences that say the finding is or may be there."""
    labeler = RulesLabeler()
    sentences = [match.group() for match in _SENTENCE.finditer(text) if match.group().strip()]
    states = labeler.label(sentences)[:, INDEX[finding]]
    kept = [
        s
        for s, state in zip(sentences, states, strict=True)
        if state not in (State.POSITIVE, State.UNCERTAIN)
    ]
    return "".join(kept).strip()


def _exchanged(text: str, words: dict[str, str]) -> str:
    def other(match: re.Match[str]) -> str:
        word = match.group()
        swapped = words[word.lower()]
        return swapped.capitalize() if word[0].isupper() else swapped

    return re.sub(rf"\b(?:{'|'.join(words)})\b", other, text, flags=re.IGNORECASE)


class ConstantReport(Candidate):
    """Writes the same report for every study."""

    name = "constant"

    def __init__(self, findings: str, impression: str = "") -> None:
        self.findings, self.impression = findings, impression

    def digest(self) -> str:
        """Over its words."""
        return digest_value([self.name, self.findings, self.impression])

    def report(self, study: Study) -> Report:
        """Always the same."""
        return Report(report_id=study.study_id, findings_text=self.findings, impression=self.impression)


class Faulty(Candidate):
    """Misbehaves on every study in one way.

    Args:
        fault: "silent" (an empty report), "raises", "hangs" (sleeps for an hour), "dies" (ends
            its process), "wrong type" (answers a string), "not ready" (cannot be prepared).
    """

    name = "faulty"

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def digest(self) -> str:
        """Over the kind of fault."""
        return digest_value([self.name, self.fault])

    def prepare(self) -> None:
        """Fails if that is the fault."""
        if self.fault == "not ready":
            raise RuntimeError("planted failure to load")

    def report(self, study: Study) -> Report:
        """Misbehaves."""
        if self.fault == "hangs":
            time.sleep(3600)
        if self.fault == "dies":
            os._exit(9)
        if self.fault == "raises":
            raise RuntimeError("planted failure")
        answer: Any = "No acute disease." if self.fault == "wrong type" else Report(report_id=study.study_id)
        return answer  # type: ignore[no-any-return]


def check_candidate(candidate: Candidate, studies: Sequence[Study]) -> list[str]:
    """What is wrong with a candidate, by trying it on some studies; empty if nothing is."""
    problems = []
    if not getattr(candidate, "name", ""):
        problems.append("name: needs one")
    first, second = candidate.digest(), candidate.digest()
    if first != second:
        problems.append(
            "digest: differs between two calls; it must depend on weights, code and options alone"
        )
    if not re.fullmatch(r"[0-9a-f]{64}", first):
        problems.append("digest: must be a SHA-256 in hex")
    try:
        candidate = pickle.loads(pickle.dumps(candidate))  # noqa: S301 - our own bytes
    except Exception as error:
        problems.append(f"pickle: {type(error).__name__}: load weights in prepare, not in the constructor")
    candidate.prepare()
    for number, study in enumerate(studies):
        answers = [candidate.report(study) for _ in range(2)]
        for answer in answers:
            if not isinstance(answer, Report):
                problems.append(f"report: study {number}: answered {type(answer).__name__}, not Report")
                break
            if not answer.text.strip():
                problems.append(f"report: study {number}: no words in findings_text and impression")
                break
        else:
            kept = [answer.model_dump(exclude={"processing_time_ms"}) for answer in answers]
            if kept[0] != kept[1]:
                problems.append(f"report: study {number}: two answers differ; fix the seed of sampling")
    return problems


def check_measure(measure: Measure, pairs: Pairs) -> list[str]:
    """What is wrong with a measure, by trying it on some pairs (three or more); empty if nothing."""
    problems = []
    if not measure.signature() or measure.signature() != measure.signature():
        problems.append("signature: must be there and not change")
    rows = measure.rows(pairs)
    if not np.issubdtype(rows.dtype, np.integer) or rows.shape != (len(pairs), len(measure.columns)):
        return [*problems, f"rows: must be integers of shape (n, {len(measure.columns)})"]
    order = np.arange(len(pairs))[::-1]
    if not np.array_equal(measure.rows(subset(pairs, order)), rows[order]):
        problems.append("rows: a row must depend on its own study alone, not on the order or the others")
    unread = np.full_like(pairs.reference.labels, State.NOT_COVERED)
    blind = Pairs(
        replace(pairs.reference, labels=unread), replace(pairs.candidate, labels=unread), pairs.failed
    )
    if "labels" not in measure.needs and not np.array_equal(measure.rows(blind), rows):
        problems.append("needs: says nothing of labels, and rows are made from them")
    half = len(pairs) // 2
    parts = [measure.rows(subset(pairs, part)) for part in (order[half:], order[:half])]
    if not np.array_equal(sum(part.sum(axis=0) for part in parts), rows.sum(axis=0)):
        problems.append("rows: totals of two shards must add up to the total")
    once = np.ones(len(pairs))
    values = measure.weighted(rows, once)
    if values.shape != (len(measure.values),):
        return [*problems, f"value: must have shape (..., {len(measure.values)})"]
    stacked = measure.weighted(rows, np.stack([once, 2 * once, once])[:, None])
    if stacked.shape != (3, 1, len(measure.values)) or not np.allclose(
        stacked[0, 0], values, 1e-12, 0, equal_nan=True
    ):
        problems.append("value: must work on any leading dimensions, each on its own")
    if not np.isnan(measure.weighted(rows, 0 * once)).all():
        problems.append("value: of no studies is undefined: NaN, not a number")
    twice = measure.weighted(np.concatenate([rows[:1], rows])[::-1], np.append(once, 1))
    doubled = np.where(np.arange(len(pairs)) == 0, 2.0, 1.0)
    if not np.allclose(measure.weighted(rows, doubled), twice, 1e-12, 0, True):
        problems.append("value: a study of weight 2 must count as two, in whatever order studies come")
    for value, proportion in measure.proportions.items():
        if value not in measure.values or not {proportion.successes, proportion.trials} <= set(
            measure.columns
        ):
            problems.append(f"proportions: {value} names a value or column that is not there")
    for value, (successes, trials) in getattr(measure, "counts", lambda rows: {})(rows).items():
        place = measure.values.index(value) if value in measure.values else None
        if place is None or not np.isclose(values[place] * trials.sum(), successes.sum()):
            problems.append(f"counts: {value} is not the value that its counts give")
    return problems


def subset(pairs: Pairs, order: Any) -> Pairs:
    """The pairs at some places, in that order."""

    def side(whole: Side) -> Side:
        graphs = whole.graphs
        return Side(
            [whole.findings[i] for i in order],
            [whole.impression[i] for i in order],
            whole.labels[order],
            None if graphs is None else [graphs[i] for i in order],
        )

    return Pairs(side(pairs.reference), side(pairs.candidate), pairs.failed[order])
