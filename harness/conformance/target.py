"""The service that is examined: how it is asked, and what every one of its answers must be like."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from pydantic import ValidationError

from harness.candidates.http.client import Endpoint
from harness.service.contract import PATH, Problem, ReportRequest

SENTINEL: Final = "zx81-sentinel"
"""Sent where an answer, or a problem that names a field, must not give it back."""
_TRACES: Final = re.compile(r'Traceback \(most recent|File "[^"]+", line \d+|\bat [\w.$]+\([\w.]+:\d+\)')
"""Python's and Java's."""


class Failed(Exception):  # noqa: N818 - a finding, not a defect
    """The service does not keep the contract."""


class NotEvaluated(Exception):  # noqa: N818
    """This cannot be asked here."""


@dataclass(slots=True)
class Target:
    """A service and studies that it can report.

    Attributes:
        endpoint: where it is.
        requests: each asks for a study that the service has; where there is none, what needs one is NOT
            EVALUATED.
        timeout_s: of one answer.
    """

    endpoint: Endpoint
    requests: Sequence[ReportRequest]
    timeout_s: float
    http: httpx.Client = field(init=False)
    answers: int = 0
    leaks: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes URLs, and studies with them
        token = self.endpoint.token()
        self.http = httpx.Client(
            base_url=self.endpoint.url,
            headers={"authorization": f"Bearer {token}"} if token else {},
            verify=self.endpoint.verify(),
            timeout=self.timeout_s,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        )

    def close(self) -> None:
        """Closes all connections."""
        self.http.close()

    def known(self) -> ReportRequest:
        """The first of the studies that the service has.

        Raises:
            NotEvaluated: none was named.
        """
        if not self.requests:
            raise NotEvaluated("needs a study that the service has: --cohort")
        return self.requests[0]

    def get(self, path: str, **options: Any) -> httpx.Response:
        """One GET."""
        return self._seen(self.http.get(path, **options))

    def post(
        self,
        content: Any,
        *,
        study: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> httpx.Response:
        """One POST for a report.

        Args:
            content: the body: bytes or an iterable of bytes as they are, anything else as JSON.
            study: of the path; that of the body where left out.
            headers: beside `Content-Type` and a new `Idempotency-Key`.
            query: of the URL.
        """
        if isinstance(content, ReportRequest):
            content = content.model_dump(mode="json", exclude_none=True)
        study = study if study is not None else content["study_id"]
        sent = {"content-type": "application/json", "idempotency-key": uuid.uuid4().hex, **(headers or {})}
        path = PATH.format(study_id=study) + query
        if isinstance(content, dict):
            return self._seen(self.http.post(path, json=content, headers=sent))
        return self._seen(self.http.post(path, content=content, headers=sent))

    def at_once(
        self, requests: Sequence[ReportRequest], headers: Mapping[str, str] | None = None
    ) -> list[httpx.Response]:
        """All these requests at the same time; the answers in their order."""
        with ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(lambda request: self.post(request, headers=headers), requests))

    def _seen(self, response: httpx.Response) -> httpx.Response:
        self.answers += 1
        if _TRACES.search(response.text):
            self.leaks.add("an answer holds a stack trace")
        return response


def insist(condition: bool, what: str) -> None:
    """Raises `Failed` where the condition does not hold."""
    if not condition:
        raise Failed(what)


def problem(response: httpx.Response, *statuses: int) -> Problem:
    """The answer as the `Problem` that it must be.

    Raises:
        Failed: another status, another type, no Problem, or one that quotes what was sent.
    """
    wanted = " or ".join(map(str, statuses))
    insist(response.status_code in statuses, f"answered {response.status_code}, not {wanted}")
    kind = media_type(response)
    insist(kind == "application/problem+json", f"{wanted} comes as {kind}, not application/problem+json")
    try:
        found = Problem.model_validate_json(response.content)
    except ValidationError:
        raise Failed(f"{wanted} comes with a body that is no Problem") from None
    insist(found.status == response.status_code, "the Problem bears another status than the answer")
    insist(SENTINEL not in response.text, "the Problem quotes what was sent")
    return found


def media_type(response: httpx.Response) -> str:
    """Without its parameters."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def statuses_of(responses: Iterable[httpx.Response]) -> str:
    """Such as "200 x 7, 429 x 1"."""
    codes = [response.status_code for response in responses]
    return ", ".join(f"{code} x {codes.count(code)}" for code in sorted(set(codes)))
