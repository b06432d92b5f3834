"""Whether the stream can be judged by: the share of its records that are lost, late or contradict others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.monitoring.counts import Counts
from harness.monitoring.rules import State, too_many

STREAM: Final = "stream"
"""Id of the stream's own state among the detectors."""
WORDS: Final = {
    "unplaced": "cannot be placed (not JSON, or no usable time, study or kind)",
    "contradicted": "say otherwise than an earlier record of their study",
    "late": "came when their window was judged",
    "ahead": "have a clock far ahead",
}
"""Key among a window's counts -> what is wrong with so many records."""


def look(spans: Mapping[str, Counts]) -> dict[str, Any]:
    """One look at the stream, as plain values: NOT EVALUATED where a span has too many faulty records.

    Args:
        spans: what it is called -> its counts, faults among them.
    """
    for name, counts in spans.items():
        if why := told(counts):
            return {"state": str(State.NOT_EVALUATED), "active": False, "reason": f"{why}, in {name}"}
    return {"state": str(State.QUIET), "active": False, "reason": "its records can be judged by"}


def told(counts: Counts) -> str:
    """What is wrong with too many records; empty where nothing is."""
    found = {kind: number for kind in WORDS if (number := counts.get(kind, 0))}
    # What is late or ahead is among the reports and readings.
    records = sum(counts.get(key, 0) for key in ("reports", "readings", "unplaced", "contradicted"))
    if not too_many(sum(found.values()), records):
        return ""
    return f"of {records:,} records " + ", ".join(f"{n:,} {WORDS[kind]}" for kind, n in found.items())
