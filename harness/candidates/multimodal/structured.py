"""A generated text, the head's probabilities and maps -> a structured report, and what to review."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.annotators.rules import Mention, RulesLabeler
from harness.candidates.multimodal.config import MultimodalConfig
from harness.candidates.multimodal.sections import sentence_spans, split_sections
from harness.errors import GenerationError
from harness.report import (
    CRITICAL,
    FINDINGS,
    INDEX,
    Finding,
    Laterality,
    Report,
    ReportedFinding,
    Severity,
    State,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Boxes = Callable[[Sequence[Finding]], Mapping[Finding, Box | None]]
"""Findings -> where each is seen, in fractions of the first picture; None where that is not known."""

_STATED: Final = (State.POSITIVE, State.UNCERTAIN)
_ADVICE: Final = ("recommend", "advise", "follow-up", "follow up", "suggest")
_GRAVITY: Final = tuple(Severity)


def structured_report(
    report_id: str,
    text: str,
    probabilities: Mapping[Finding, float],
    config: MultimodalConfig,
    boxes: Boxes,
    notes: Sequence[str] = (),
) -> Report:
    """The report that a text and the head make together.

    Listed are the findings that the text states as present or possible, by the rules labeler, and
    those that the head sees; each with the head's probability as confidence, and with severity and
    side from the text. A normal study lists No Finding. Recommendations are the section of this
    name, or the impression's sentences that recommend something.

    Review is required, and the reasons are carried, where head and text disagree on a critical
    finding, where a finding is stated of which the head is less sure than `review_threshold`, and
    for each of `notes`.

    Args:
        report_id: of the report.
        text: as generated, with headings.
        probabilities: of the head, in [0, 1], for all 14.
        config: thresholds.
        boxes: asked once, for the findings that are listed.
        notes: further reasons for review.

    Raises:
        GenerationError: the text has no words, or a probability is NaN.
    """
    if not all(np.isfinite(value) for value in probabilities.values()):
        raise GenerationError("the finding head's logits hold NaN; no report can rest on them")
    sections = split_sections(text)
    told = "\n".join(filter(None, (sections.findings, sections.impression)))
    if not told.strip():
        raise GenerationError("the model wrote no words")
    labeler = RulesLabeler()
    states = labeler.label([told])[0]
    mentions = labeler.mentions(told)
    stated = [
        finding
        for finding in FINDINGS
        if finding is not Finding.NO_FINDING and states[INDEX[finding]] in _STATED
    ]
    seen = [
        finding
        for finding in FINDINGS
        if finding is not Finding.NO_FINDING and probabilities[finding] >= config.threshold(finding)
    ]
    listed = [finding for finding in FINDINGS if finding in stated or finding in seen]
    places = boxes(listed) if listed else {}
    items = [_item(f, probabilities[f], mentions, places.get(f)) for f in listed]
    if set(listed) <= {Finding.SUPPORT_DEVICES} and states[INDEX[Finding.NO_FINDING]] == State.POSITIVE:
        items.insert(0, _item(Finding.NO_FINDING, probabilities[Finding.NO_FINDING], (), None))
    normal = [item.finding for item in items if item.finding is Finding.NO_FINDING]
    agreed = [finding for finding in stated if finding not in CRITICAL or finding in seen]
    reasons = [
        *disagreements(states, probabilities, config),
        *doubts([*normal, *agreed], probabilities, config),
        *notes,
    ]
    return Report(
        report_id=report_id,
        findings=tuple(items),
        findings_text=sections.findings,
        impression=sections.impression,
        recommendations=sections.recommendations or recommendations(sections.impression),
        requires_radiologist_review=bool(reasons),
        review_reason="; ".join(reasons),
    )


def disagreements(
    states: NDArray[np.int8], probabilities: Mapping[Finding, float], config: MultimodalConfig
) -> list[str]:
    """Critical findings that only one of head and text has, in words."""
    reasons = []
    for finding in CRITICAL:
        state, probability = State(states[INDEX[finding]]), probabilities[finding]
        threshold = config.threshold(finding)
        if probability >= threshold and state not in _STATED:
            text = "the text denies it" if state is State.NEGATIVE else "the text does not mention it"
            reasons.append(f"{finding}: the head sees it ({probability:.2f}), {text}")
        elif probability < threshold and state in _STATED:
            reasons.append(f"{finding}: the text states it, the head does not see it ({probability:.2f})")
    return reasons


def doubts(
    stated: Sequence[Finding], probabilities: Mapping[Finding, float], config: MultimodalConfig
) -> list[str]:
    """Findings stated with less confidence than the review threshold, in words."""
    least = config.review_threshold
    return [
        f"{finding}: stated with confidence {probabilities[finding]:.2f}, below {least:g}"
        for finding in stated
        if probabilities[finding] < least
    ]


def recommendations(impression: str) -> str:
    """The sentences of an impression that recommend something."""
    sentences = [impression[start:end] for start, end in sentence_spans(impression)]
    return " ".join(said for said in sentences if any(word in said.lower() for word in _ADVICE))


def _item(
    finding: Finding, probability: float, mentions: Sequence[Mention], box: Box | None
) -> ReportedFinding:
    own = [mention for mention in mentions if mention.finding is finding and mention.state in _STATED]
    severities = [mention.severity for mention in own if mention.severity is not None]
    sides = {mention.laterality for mention in own} - {None}
    both = Laterality.BILATERAL in sides or len(sides) == 2
    return ReportedFinding(
        finding=finding,
        confidence=round(probability, 4),
        severity=max(severities, key=_GRAVITY.index, default=None),  # the gravest that is said
        laterality=Laterality.BILATERAL if both else next(iter(sides), None),
        bounding_box=box,
        is_critical=finding in CRITICAL,
    )
