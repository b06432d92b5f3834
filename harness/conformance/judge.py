"""All cases of a suite against one service, and the verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__
from harness.candidates.http.client import Endpoint
from harness.conformance.cases import CASES, FUZZ
from harness.conformance.fuzz import fuzz
from harness.conformance.suite import ApiSuite
from harness.conformance.target import Failed, NotEvaluated, Target
from harness.ledger import write_atomically
from harness.service.contract import ReportRequest
from harness.status import Status


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of one case."""

    case: str
    status: Status
    told: str
    """Why it failed or was not evaluated, or a remark; holds nothing of what was sent or answered."""
    requirement: str


@dataclass(frozen=True, slots=True)
class Conformance:
    """What came of all."""

    suite: ApiSuite
    cases: tuple[CaseResult, ...]

    @property
    def status(self) -> Status:
        """PASS only where every case passed."""
        return Status.whole(case.status for case in self.cases)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for conformance.json."""
        return {
            "status": self.status.value,
            "exit_code": self.status.exit_code,
            "harness": __version__,
            "suite": {"name": self.suite.name, "version": self.suite.version, "digest": self.suite.digest()},
            "cases": [
                {
                    "case": item.case,
                    "status": item.status.value,
                    "told": item.told,
                    "requirement": item.requirement,
                }
                for item in self.cases
            ],
        }


def judge_service(
    suite: ApiSuite,
    endpoint: Endpoint,
    requests: Sequence[ReportRequest],
    progress: Callable[[str, int, int], None] = lambda step, done, total: None,
) -> Conformance:
    """Puts every case to the service, one after the other, in the suite's order.

    Args:
        suite: what is asked.
        endpoint: the service.
        requests: each asks for a study that the service has; cases that need one, or several whose reports
            differ, are NOT EVALUATED where there are none.
        progress: told after each case.

    Raises:
        CandidateError: the token or a certificate is not there.
    """
    until = time.monotonic() + suite.time_limit_s
    target = Target(endpoint, requests, suite.request_timeout_s)
    results = []
    try:
        for done, part in enumerate(suite.cases, 1):
            status, told = _one(part.case, suite, target, until)
            results.append(CaseResult(part.case, status, told, part.requirement))
            progress("asking the service", done, len(suite.cases))
    finally:
        target.close()
    return Conformance(suite, tuple(results))


def write_conformance(path: Path, conformance: Conformance) -> None:
    """Writes the JSON file.

    Raises:
        LedgerError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(conformance.as_json(), indent=1) + "\n").encode())


def _one(case: str, suite: ApiSuite, target: Target, until: float) -> tuple[Status, str]:
    import httpx

    if time.monotonic() > until:
        return Status.NOT_EVALUATED, "the time was up; raise time_limit_s"
    try:
        if case == FUZZ:
            return Status.PASS, fuzz(target, suite.examples, suite.seed, until)
        return Status.PASS, CASES[case](target, suite)
    except Failed as finding:
        return Status.FAIL, str(finding)
    except NotEvaluated as reason:
        return Status.NOT_EVALUATED, str(reason)
    except httpx.ConnectError:
        return Status.NOT_EVALUATED, "the service cannot be reached"
    except httpx.HTTPError as error:  # it hung up, was late, or does not speak HTTP
        return Status.FAIL, f"no whole answer ({type(error).__name__})"
