"""The answers that are no report, and what is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from harness.service.contract import FieldProblem, Problem

KINDS: Final = MappingProxyType(
    {
        "not-json": (400, "The body is no JSON"),
        "unauthorised": (401, "A bearer token is needed"),
        "not-found": (404, "There is nothing here"),
        "image-not-found": (404, "The image source has no such image"),
        "method-not-allowed": (405, "This method is not served here"),
        "not-acceptable": (406, "None of the accepted forms is served"),
        "slow-body": (408, "The body did not come in time"),
        "body-too-large": (413, "The body is too long"),
        "not-json-type": (415, "The body must be application/json"),
        "invalid-request": (422, "The request does not follow the contract"),
        "unknown-template": (422, "The candidate has no such report template"),
        "unusable-image": (422, "An image cannot be used"),
        "identity-mismatch": (422, "The images are not of one study of one patient"),
        "key-reused": (422, "The idempotency key belongs to another request"),
        "queue-full": (429, "Too many requests are waiting"),
        "no-report": (500, "The candidate gave no report"),
        "internal": (500, "The service failed"),
        "image-source": (502, "The image source gave no image"),
        "unavailable": (503, "The service cannot take this request now"),
        "late": (504, "The candidate was late"),
    }
)
"""Name -> status and title."""


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """No report. Nothing in it quotes what was sent.

    Args:
        kind: a name of `KINDS`.
        detail: what is wrong and what to do.
        errors: fields, where the request is at fault.
        retry_after_s: seconds to wait before asking again; None: asking again is no use.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(kind)
        self.kind, self.detail, self.errors, self.retry_after_s = kind, detail, list(errors), retry_after_s

    @property
    def status(self) -> int:
        """Of HTTP."""
        return KINDS[self.kind][0]

    @property
    def problem(self) -> Problem:
        """As it is sent."""
        status, title = KINDS[self.kind]
        return Problem(
            type=f"urn:harness:problem:{self.kind}",
            title=title,
            status=status,
            detail=self.detail,
            errors=self.errors,
        )

    @property
    def asked(self) -> bool:
        """Whether the candidate was asked: then this is the answer, and is remembered."""
        return self.kind in ("no-report", "late")
