"""What about a cohort limits what can be decided on it: named rules with named thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.exploration.model import Caution, FindingCounts, Shares
from harness.inference import positives_needed
from harness.report import Finding
from harness.study import UNKNOWN_GROUP

RARE: Final = 0.01
"""Share of positives below which a finding is rare."""
IMBALANCE: Final = 20.0
"""Studies without a finding for each one with it, from which its classes are imbalanced."""
SENSITIVITY: Final = 0.98
"""The sensitivity that a submission has to show for critical findings."""
DOMINANT: Final = 0.80
"""Share of one group from which a cohort says little of the others."""
SMALL_GROUP: Final = 30
"""Studies of a group below which nothing can be said of it."""
REPEATED: Final = 0.05
"""Share of studies with another's report from which texts are not independent."""
DRIFT: Final = 2.0
"""Factor between a finding's greatest and smallest share among splits."""


def warn(
    findings: Sequence[FindingCounts],
    groups: Sequence[Shares],
    splits: Mapping[str, tuple[int, int]],
    studies: int,
    repeated: int,
) -> tuple[Caution, ...]:
    """All warnings, those of critical findings first."""
    ordered = sorted(findings, key=lambda item: not item.critical)
    return (
        *(one for item in ordered for one in _of_finding(item, splits)),
        *(one for shares in groups for one in _of_group(shares, studies)),
        *_of_texts(studies, repeated),
    )


def _of_finding(item: FindingCounts, splits: Mapping[str, tuple[int, int]]) -> Iterator[Caution]:
    if item.finding is Finding.NO_FINDING:
        return
    covered = item.positive + item.uncertain + item.negative + item.blank
    if not covered:
        yield Caution("not covered", item.finding, "no label speaks of it: nothing can be judged")
        return
    if not item.positive:
        yield Caution("no positives", item.finding, "no study has it: a sensitivity cannot be measured")
        return
    needed = positives_needed(SENSITIVITY, 0)
    if item.critical and item.positive < needed:
        yield Caution(
            f"too few positives for {SENSITIVITY:.0%}",
            item.finding,
            f"{item.positive:,} positives; to show a sensitivity above {SENSITIVITY:.0%} takes {needed}, "
            "of distinct patients, without a miss",
        )
    if item.share < RARE:
        yield Caution(f"rare, below {RARE:.0%}", item.finding, f"positive in {item.share:.2%} of studies")
    elif (covered - item.positive) / item.positive >= IMBALANCE:
        ratio = (covered - item.positive) / item.positive
        yield Caution(
            f"imbalance, {IMBALANCE:g} to 1 or more",
            item.finding,
            f"{ratio:.0f} studies without it for each with it",
        )
    if item.uncertain > item.positive:
        yield Caution(
            "more uncertain than positive",
            item.finding,
            f"{item.uncertain:,} uncertain, {item.positive:,} positive: the uncertain policy decides",
        )
    shares = {name: item.positive_by_split[name] / size for name, (size, _) in splits.items() if size}
    if (
        len(shares) > 1
        and min(shares.values()) * DRIFT <= max(shares.values())
        and item.positive >= SMALL_GROUP
    ):
        told = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        yield Caution(f"splits differ, {DRIFT:g} times or more", item.finding, told)


def _of_group(shares: Shares, studies: int) -> Iterator[Caution]:
    for name, count in shares.studies.items():
        if name in (UNKNOWN_GROUP, "none"):
            continue
        if count >= DOMINANT * studies and len(shares.studies) > 1:
            yield Caution(
                f"one group, {DOMINANT:.0%} or more",
                f"{shares.name}: {name}",
                f"{count / studies:.0%} of studies",
            )
        elif count < SMALL_GROUP:
            yield Caution(f"small group, below {SMALL_GROUP}", f"{shares.name}: {name}", f"{count:,} studies")


def _of_texts(studies: int, repeated: int) -> Iterator[Caution]:
    if repeated >= REPEATED * studies and repeated:
        yield Caution(
            f"repeated reports, {REPEATED:.0%} or more",
            "reports",
            f"{repeated:,} studies have word for word the report of another",
        )
