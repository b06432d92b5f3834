"""Any service that speaks the report contract, as a candidate."""

from __future__ import annotations

import copy
import hashlib
import math
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pydantic import ValidationError

from harness.candidates.base import Candidate
from harness.candidates.http.client import (
    Answer,
    Client,
    Endpoint,
    LateError,
    UnreachableError,
    UntrustedError,
    UnusableAnswerError,
)
from harness.candidates.http.requests import STUDY_ID, request_of
from harness.digests import digest_file, digest_value
from harness.errors import CandidateError, GenerationError
from harness.report import Report
from harness.service.contract import PATH, Health
from harness.study import Study

_PACKAGE: Final = Path(__file__).parents[2]
_CODE: Final = ("candidates/http/*.py", "service/contract.py", "service/uids.py")


class WrongStudyError(GenerationError):
    """An answer for another study, or one that does not say whose it is."""


class ChangedCandidateError(GenerationError):
    """An answer of another model than the one that the run is of."""


class RefusedError(GenerationError):
    """The service refused the question, or its candidate gave no report."""


class HttpCandidate(Candidate):
    """Reports of a service that speaks the contract of `harness.service.contract`, asked over HTTP.

    What it is judged as is what the service says of itself (`GET /readyz`), which nobody here can
    check: its digest is therefore another than that of the same model in this process. Each report
    must bear the same `X-Candidate`, and one `model_version`; one that does not is a failed study, so
    that a run holds no report of another model.

    A question is put again with the same `Idempotency-Key` where the connection is lost and where the
    service says "later"; a failed study is not. The key is of the study and of this run: another run
    is answered anew. What comes after the deadline is not read, and the study counts as late.

    Args:
        url: `http://HOST:PORT` or `https://HOST:PORT`.
        token_env: name of the environment variable that holds the bearer token.
        ca: PEM file of the authorities that may have signed the service's certificate; the system's where
            left out.
        certificate, key: PEM files of what this side shows to a service that asks for it (mutual TLS); the
            key may be in the same file, and has no passphrase.
        report_template: the manner of reporting to ask for.
        confidence_threshold: findings of lower confidence are not to be listed; 0 to 1.
        deadline_s: seconds for a study, retries included.

    Raises:
        CandidateError: an option that cannot be used.
    """

    name = "http"
    remote = True

    def __init__(
        self,
        url: str,
        token_env: str | None = None,
        ca: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        report_template: str | None = None,
        confidence_threshold: float | str | None = None,
        deadline_s: float | str = 30.0,
    ) -> None:
        files = {name: Path(file) if file else None for name, file in
                 (("ca", ca), ("certificate", certificate), ("key", key))}  # fmt: skip
        self.endpoint = Endpoint(url, token_env, **files)
        self.report_template = report_template
        threshold = None if confidence_threshold is None else _number(
            "confidence_threshold", confidence_threshold
        )  # fmt: skip
        if threshold is not None and not 0 <= threshold <= 1:
            raise CandidateError(f"confidence_threshold must lie between 0 and 1, not at {threshold:g}")
        self.confidence_threshold = threshold
        self.deadline_s = _number("deadline_s", deadline_s)
        if not self.deadline_s > 0:
            raise CandidateError("deadline_s must be above 0")
        # A run begins here; its workers are given copies of this object.
        self._run = secrets.token_hex(16)
        self._afresh = False
        self._served = ""
        self._version: str | None = None
        self._client: Client | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Workers make their own connections."""
        return {**self.__dict__, "_client": None, "_version": None}

    def digest(self) -> str:
        """Over what the service says that it is, what it is asked for, and the code that asks.

        Raises:
            CandidateError: the service is not there, is not ready, does not speak the contract, does
                not say who answers, or does not know the token.
        """
        health = self._health()
        self._served = health.candidate_digest
        self._probe()
        files = sorted(path for pattern in _CODE for path in _PACKAGE.glob(pattern))
        return digest_value(
            {
                "candidate": self.name,
                "contract": PATH,
                "served": self._served,
                "report_template": self.report_template,
                "confidence_threshold": self.confidence_threshold,
                "deadline_s": self.deadline_s,
                "code": [[path.relative_to(_PACKAGE).as_posix(), digest_file(path)] for path in files],
            }
        )

    def check(self, study_ids: Sequence[str]) -> None:
        """Refuses studies that cannot be asked for by their id.

        Raises:
            CandidateError: how many, and what an id must look like.
        """
        bad = sum(STUDY_ID.fullmatch(study) is None for study in study_ids)
        if bad:
            raise CandidateError(
                f"{bad} of {len(study_ids)} study ids cannot be asked for over HTTP: 1 to 64 letters, "
                "digits, dots, hyphens and underlines, the first one a letter or digit"
            )

    def prepare(self) -> None:
        """Connects, and makes sure that it is still the same candidate that answers.

        Raises:
            CandidateError: as `digest`, or it is another one.
        """
        if self._client is not None:
            return
        health = self._health()
        if self._served and health.candidate_digest != self._served:
            raise CandidateError(
                "the service is not answered by the same candidate as at the start of the run; bring "
                "that one back and give the same command, or begin a new run"
            )
        self._served = health.candidate_digest

    def afresh(self) -> HttpCandidate:
        """The same, with a key of its own for every question, so that no answer is replayed."""
        copied = copy.copy(self)
        copied._afresh = True
        return copied

    def report(self, study: Study) -> Report:
        """The service's report of one study.

        Raises:
            CandidateError: the service has no such study, or it cannot be asked for.
            WrongStudyError, ChangedCandidateError, RefusedError: see there.
            LateError, UnreachableError, TooLargeError, UnusableAnswerError: see `client`.
            pydantic.ValidationError: the answer is no report.
        """
        self.prepare()
        request = request_of(study, self.report_template, self.confidence_threshold)
        run = secrets.token_hex(16) if self._afresh else self._run
        answer = self._ask(
            "POST",
            _path(study.study_id),
            request.model_dump_json(exclude_none=True).encode(),
            {
                "accept": "application/json",
                "content-type": "application/json",
                "idempotency-key": idempotency_key(run, study.study_id),
            },
        )
        if answer.status == 504:
            raise LateError("the service says that its candidate was late")
        if answer.status == 404:
            raise CandidateError("the service has no such study")
        if answer.status != 200:
            raise RefusedError(f"status {answer.status}")
        if answer.headers.get("x-study-id") != study.study_id:
            raise WrongStudyError("the answer is not of this study, or does not say of which it is")
        if answer.headers.get("x-candidate") != self._served:
            raise ChangedCandidateError("another candidate answered, or it does not say which")
        _insist_on_json(answer)
        report = Report.model_validate_json(answer.body)
        if self._version is None:
            self._version = report.model_version
        if report.model_version != self._version:
            raise ChangedCandidateError("the reports do not bear one model_version")
        return report

    def _ask(
        self, method: str, path: str, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        if self._client is None:
            self._client = Client(self.endpoint, self.deadline_s)
        return self._client.ask(method, path, content, headers)

    def _health(self) -> Health:
        where = self.endpoint.url
        try:
            answer = self._ask("GET", "/readyz")
        except UntrustedError as error:
            raise CandidateError(
                f"{where}: the service's certificate is not trusted ({error}); name its authority: ca=FILE"
            ) from None
        except (LateError, UnreachableError) as error:
            raise CandidateError(
                f"{where}: no service is ready there ({error}); start it first{self._or(error)}"
            ) from None
        except GenerationError as error:
            raise CandidateError(f"{where}: does not speak the report contract: {error}") from None
        try:
            if answer.status != 200:
                raise UnusableAnswerError(f"GET /readyz answers {answer.status}")
            _insist_on_json(answer)
            health = Health.model_validate_json(answer.body)
        except (UnusableAnswerError, ValidationError) as error:
            what = "GET /readyz is no Health" if isinstance(error, ValidationError) else str(error)
            raise CandidateError(f"{where}: does not speak the report contract: {what}") from None
        if not health.candidate_digest:
            raise CandidateError(
                f"{where}: does not say which candidate answers (candidate_digest of GET /readyz is empty); "
                "a verdict must be of something"
            )
        if self.report_template and self.report_template not in health.report_templates:
            known = ", ".join(health.report_templates) or "none"
            raise CandidateError(f"{where}: no report_template {self.report_template}; it has {known}")
        return health

    def _or(self, error: Exception) -> str:
        """What else it may be where somebody is there and hangs up, as a refused TLS client is told."""
        if not (isinstance(error, UnreachableError) and error.met):
            return ""
        if not self.endpoint.url.startswith("https:"):
            return ", or use https:// if it speaks that"
        if self.endpoint.certificate is None:
            return ", or show the certificate that it may ask for: certificate=FILE&key=FILE"
        return ", or show another certificate: it may not take this one"

    def _probe(self) -> None:
        """A question that holds nothing must be found wanting, and not for want of a token."""
        try:
            answer = self._ask("POST", _path("0"), b"{}", {"content-type": "application/json"})
        except (GenerationError, TimeoutError) as error:
            raise CandidateError(
                f"{self.endpoint.url}: does not speak the report contract: {error}"
            ) from None
        if answer.status in (401, 403):
            how = "does not know the token" if self.endpoint.token_env else "needs a token: token_env=NAME"
            raise CandidateError(f"{self.endpoint.url}: {how}")
        if answer.status != 422:
            raise CandidateError(
                f"{self.endpoint.url}: does not speak the report contract: an empty request is answered with "
                f"{answer.status}, not 422"
            )


def idempotency_key(run: str, study_id: str) -> str:
    """The same for every attempt at one study in one run; nobody can tell the study from it."""
    return hashlib.sha256(f"{run}\n{study_id}".encode()).hexdigest()


def _path(study_id: str) -> str:
    return PATH.format(study_id=quote(study_id, safe=""))


def _insist_on_json(answer: Answer) -> None:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnusableAnswerError("the answer is not application/json")


def _number(name: str, value: float | str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CandidateError(f"{name} must be a number, not {value!r}")
    return number
