"""What came of asking a candidate for one study's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from harness.report import Report


class Status(StrEnum):
    """Everything but `OK` is a failed study: it is scored, and has missed every finding."""

    OK = "ok"
    EMPTY = "empty"
    """A report without a word in its findings and impression."""
    INVALID = "invalid"
    """Not a report: wrong type, unknown finding, a confidence of NaN..."""
    MISSING = "missing"
    """The candidate says that it has no report for this study."""
    RAISED = "raised"
    """An exception."""
    LATE = "late"
    """No answer within the time limit: its worker was killed, or the candidate said so itself."""
    DIED = "died"
    """The worker process ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one study, and how long it took."""

    study_id: str
    status: Status
    report: Report | None
    """There if and only if the status is OK."""
    error: str
    """Type of the error and the line of code it came from; never its message, which may hold
    words of a report."""
    latency_s: float
    """Wall time from handing the study over to having the answer, on a monotonic clock."""
    account: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the worker tells of it: seconds of each phase, tokens, peak memory; no words of a report."""
