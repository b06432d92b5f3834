"""The service's own check of a report before it leaves: does a radiologist have to look first?

It reads the text with the rules labeler and holds against it, on the critical findings, what the report
itself lists, and what a second reader lists: another candidate, such as a classifier, that saw the same
pictures in a process of its own. It only ever adds reasons for review; it takes none away.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.annotators.rules import RulesLabeler
from harness.outcome import Outcome
from harness.report import CRITICAL, INDEX, Finding, Report, State

_STATED = (State.POSITIVE, State.UNCERTAIN)


def reviewed(report: Report, threshold: float | None = None, second: Outcome | None = None) -> Report:
    """The report as it leaves.

    Review is required, and the reason told, where text and list, or text and second reader, disagree on a
    critical finding; where the second reader failed; and where the threshold leaves a finding out of the
    list that is critical or that the text states.

    Args:
        report: the candidate's.
        threshold: listed findings of lower confidence are left out; None: none is.
        second: what came of asking the second reader; None where there is none.
    """
    states = RulesLabeler().label([report.text])[0]
    stated = {finding for finding, place in INDEX.items() if states[place] in _STATED}
    known = report.review_reason
    differences = list(_differences("list", report, stated))
    reasons = [
        f"{finding}: {reason}"
        for finding, reason in differences
        # What the candidate's own check has told is not told again, if it asked for the review.
        if not (report.requires_radiologist_review and f"{finding}: " in known)
    ]
    if second is not None:
        if second.report is None:
            reasons.append(f"the second reader gave no report ({second.status})")
        else:
            told = _differences("second reader", second.report, stated)
            reasons += [f"{finding}: {reason}" for finding, reason in told]
    kept = report.findings
    if threshold is not None:
        kept = tuple(item for item in report.findings if item.confidence >= threshold)
        for item in report.findings:
            if item.confidence < threshold and (item.finding in CRITICAL or item.finding in stated):
                reasons.append(
                    f"{item.finding}: left out of the list, confidence {item.confidence:.2f} below "
                    f"{threshold:g}"
                )
    review = report.requires_radiologist_review or bool(differences) or bool(reasons)
    if not reasons and kept == report.findings and review == report.requires_radiologist_review:
        return report
    return report.model_copy(
        update={
            "findings": kept,
            "requires_radiologist_review": review,
            "review_reason": "; ".join(filter(None, (known, *reasons))),
        }
    )


def _differences(who: str, report: Report, stated: set[Finding]) -> Iterable[tuple[Finding, str]]:
    listed = {item.finding: item.confidence for item in report.findings}
    for finding in CRITICAL:
        if finding in listed and finding not in stated:
            yield finding, f"the {who} has it ({listed[finding]:.2f}), the text does not state it"
        elif finding in stated and finding not in listed:
            yield finding, f"the text states it, the {who} does not have it"
