"""The contract's cases, one function each. A case raises `Failed` or `NotEvaluated`, or returns a remark."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

import httpx
from pydantic import ValidationError

from harness.conformance.target import (
    SENTINEL,
    Failed,
    NotEvaluated,
    Target,
    insist,
    media_type,
    problem,
    statuses_of,
)
from harness.report import Report
from harness.service.contract import PATH, Health, ReportRequest

FUZZ: Final = "fuzz"
_NOWHERE: Final = "2.25.1"
_ROUNDS: Final = 3
"""How often several studies are asked at the same time: which of them meet in a batch is chance."""


class Settings(Protocol):
    """What a case is told by the suite."""

    @property
    def at_once(self) -> int:
        """Requests at a time."""

    @property
    def overload(self) -> int:
        """Requests at a time that must fill the queue."""

    @property
    def oversize_bytes(self) -> int:
        """Of a body that is too long."""


Case = Callable[[Target, Settings], str]


def health(target: Target, _: Settings) -> str:
    """It lives, is ready, and says who answers."""
    for path in ("/healthz", "/readyz"):
        response = target.get(path)
        insist(response.status_code == 200, f"{path} answers {response.status_code}")
        try:
            found = Health.model_validate_json(response.content)
        except ValidationError:
            raise Failed(f"{path} answers something that is no Health") from None
    insist(bool(found.candidate_digest), "/readyz does not say which candidate answers")
    return f"candidate {found.candidate}"


def metrics(target: Target, _: Settings) -> str:
    """Metrics are Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    response = target.get("/metrics")
    insist(response.status_code == 200, f"answered {response.status_code}")
    try:
        families = list(text_string_to_metric_families(response.text))
    except ValueError:
        raise Failed("what /metrics answers cannot be parsed") from None
    insist(bool(families), "/metrics holds no metric")
    return f"{len(families)} metrics"


def report(target: Target, _: Settings) -> str:
    """A study's report is valid, and says of which study and of which candidate it is."""
    request = target.known()
    response = target.post(request)
    insist(response.status_code == 200, f"answered {response.status_code}")
    insist(media_type(response) == "application/json", f"comes as {media_type(response)}")
    found = _report(response)
    insist(bool(found.text.strip()), "holds no text")
    insist(response.headers.get("x-study-id") == request.study_id, "X-Study-Id is not that of the request")
    served = Health.model_validate_json(target.get("/readyz").content).candidate_digest
    insist(response.headers.get("x-candidate") == served, "X-Candidate is not that of /readyz")
    return ""


def report_fhir(target: Target, _: Settings) -> str:
    """The same as HL7 FHIR R4, by `Accept` and by query."""
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    for headers, query in (({"accept": "application/fhir+json"}, ""), ({}, "?format=fhir")):
        response = target.post(target.known(), headers=headers, query=query)
        insist(response.status_code == 200, f"answered {response.status_code}")
        insist(media_type(response) == "application/fhir+json", f"comes as {media_type(response)}")
        try:
            DiagnosticReport.model_validate_json(response.content)
        except ValueError:
            raise Failed("is no valid DiagnosticReport") from None
    return "by the models of R4B, whose DiagnosticReport is R4's"


def report_text(target: Target, _: Settings) -> str:
    """The same as plain text, by `Accept` and by query."""
    for headers, query in (({"accept": "text/plain"}, ""), ({}, "?format=text")):
        response = target.post(target.known(), headers=headers, query=query)
        insist(response.status_code == 200, f"answered {response.status_code}")
        insist(media_type(response) == "text/plain", f"comes as {media_type(response)}")
        insist(bool(response.text.strip()), "is empty")
    return ""


def not_acceptable(target: Target, _: Settings) -> str:
    """What is not served is refused by name."""
    problem(target.post(_unknown(), headers={"accept": "image/png"}), 406)
    return ""


def unknown_study(target: Target, _: Settings) -> str:
    """A study that nobody has is not found."""
    problem(target.post(_unknown()), 404)
    return ""


def bad_identifiers(target: Target, _: Settings) -> str:
    """Identifiers that are none, among them paths, are refused; nothing is looked up by them."""
    paths = (
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "1.2.3/../4",
        "",
        "1.2.",
        "1.02",
        "1" * 65,
        "1.2\n3",
    )
    for uid in paths:
        for name in ("series_uid", "instance_uid"):
            image = {"series_uid": _NOWHERE, "instance_uid": _NOWHERE, "view": "PA", name: uid}
            problem(target.post(_unknown(images=[image])), 422)
    for study in ("..%2f..%2fetc%2fpasswd", "%00", "a%20b", "x" * 65):
        problem(target.post(_unknown(), study=study), 404, 422)
    return ""


def study_mismatch(target: Target, _: Settings) -> str:
    """The study of the path and that of the body must be the same."""
    problem(target.post(_unknown(), study="another"), 422)
    return ""


def wrong_types(target: Target, _: Settings) -> str:
    """Each field of a wrong type or range is refused, by name and without its value."""
    for field, change in _wrong():
        found = problem(target.post(_unknown(**change)), 422)
        told = [item.field for item in found.errors]
        insist(any(name.startswith(field) for name in told), f"the Problem does not name {field}")
    return ""


def not_json(target: Target, _: Settings) -> str:
    """A body that is no JSON, and one that does not say that it is."""
    for body in (b"", b"{", b'{"study_id": ' + SENTINEL.encode(), b"\xff\xfe", b"[" * 100_000):
        problem(target.post(body, study=_NOWHERE), 400, 422)
    sent = {"content-type": "text/plain"}
    problem(target.post(b"{}", study=_NOWHERE, headers=sent), 415)
    return ""


def oversize_body(target: Target, settings: Settings) -> str:
    """A body that is too long is refused, whether or not it says how long it is."""

    def parts() -> Iterator[bytes]:
        for _ in range(settings.oversize_bytes // 65_536 + 1):
            yield b" " * 65_536

    for body in (b" " * settings.oversize_bytes, parts()):
        try:
            problem(target.post(body, study=_NOWHERE), 413)
        except httpx.TransportError:
            # The service may hang up on one who goes on sending; it must be there for the next one.
            insist(target.get("/healthz").status_code == 200, "is gone after a body that is too long")
    return ""


def method(target: Target, _: Settings) -> str:
    """A method that is not served is refused, and the one that is served named."""
    response = target.get(PATH.format(study_id=_NOWHERE))
    problem(response, 405)
    insist("POST" in response.headers.get("allow", ""), "405 comes without Allow: POST")
    return ""


def idempotency(target: Target, settings: Settings) -> str:
    """One key, one answer: byte for byte, also at the same time; and no other request may use it."""
    request = target.known()
    key = {"idempotency-key": uuid.uuid4().hex}
    answers = [*target.at_once([request] * settings.at_once, key), target.post(request, headers=key)]
    insist({answer.status_code for answer in answers} == {200}, f"answered {statuses_of(answers)}")
    insist(len({answer.content for answer in answers}) == 1, "one key was given different answers")
    replays = sum(answer.headers.get("idempotent-replay") == "true" for answer in answers)
    insist(replays == len(answers) - 1, f"{replays} of {len(answers)} answers are said to be replays")
    other = request.model_dump(mode="json", exclude_none=True)
    other["clinical_context"]["indication"] = "another"
    problem(target.post(other, headers=key), 422)
    for bad in ("x" * 129, "two words"):
        problem(target.post(request, headers={"idempotency-key": bad}), 422)
    return f"{len(answers)} requests, one answer"


def concurrency(target: Target, settings: Settings) -> str:
    """Several studies at a time are each answered with the report that they get when asked alone.

    `X-Study-Id` is an echo and no proof: a service that mixes up its batch sends it right. Only studies
    whose reports differ tell anything, and only where a report alone is repeated.
    """
    known = target.known()
    alone = _alone(target, settings.at_once)
    chosen = [request for request, _ in alone] or [known]
    # In runs of the same study, where there are fewer than requests: alternating, a batch in reverse order
    # would look as it should.
    asked = [chosen[place * len(chosen) // settings.at_once] for place in range(settings.at_once)]
    answers: list[httpx.Response] = []
    pairs = set[tuple[str, str]]()
    got: list[tuple[ReportRequest, _Said]] = []
    for _ in range(_ROUNDS):
        found = target.at_once(asked)
        answers += found
        good = [(one, answer) for one, answer in zip(asked, found, strict=True) if answer.status_code == 200]
        insist(
            all(answer.headers.get("x-study-id") == one.study_id for one, answer in good),
            "an answer is of another study",
        )
        got += [(one, _said(answer)) for one, answer in good]
        pairs.update(itertools.combinations(sorted({one.study_id for one, _ in good}), 2))
    insist({answer.status_code for answer in answers} <= {200, 429}, f"answered {statuses_of(answers)}")
    insist(bool(got), "none of them got a report")
    if len(alone) < 2:
        raise NotEvaluated(
            f"{statuses_of(answers)}; whether each got its own report cannot be told: no two of "
            f"{len(target.requests)} studies get different reports alone; name a cohort whose reports differ"
        )
    _own_reports(target, alone, got)
    if not pairs:
        raise NotEvaluated(f"{statuses_of(answers)}; no two different studies were answered; lower at_once")
    return f"{statuses_of(answers)}; {len(pairs)} pairs of {len(alone)} studies told apart by their reports"


def overload(target: Target, settings: Settings) -> str:
    """What is too much is refused with 429 and `Retry-After`; the service goes on."""
    answers = target.at_once([target.known()] * settings.overload)
    insist({answer.status_code for answer in answers} <= {200, 429}, f"answered {statuses_of(answers)}")
    for answer in answers:
        if answer.status_code == 429:
            problem(answer, 429)
            after = answer.headers.get("retry-after", "")
            insist(after.isdecimal(), "429 comes without Retry-After in seconds")
    insist(target.get("/readyz").status_code == 200, "is not ready afterwards")
    if all(answer.status_code == 200 for answer in answers):
        raise NotEvaluated(f"{settings.overload} requests at a time did not fill the queue; raise overload")
    return statuses_of(answers)


def no_traces(target: Target, _: Settings) -> str:
    """No answer so far holds a stack trace."""
    insist(not target.leaks, "; ".join(sorted(target.leaks)))
    if not target.answers:
        raise NotEvaluated("nothing was asked before; put it last")
    return f"{target.answers} answers"


_Said = tuple[object, ...]
"""What a report says, without what is new in each: its id and times."""


def _report(response: httpx.Response) -> Report:
    try:
        return Report.model_validate_json(response.content)
    except ValidationError as error:
        places = sorted({".".join(map(str, item["loc"])) for item in error.errors()})
        raise Failed(f"is no report: {', '.join(places)}") from None


def _said(response: httpx.Response) -> _Said:
    # Without confidences, whose last digits may depend on the size of a batch.
    report = _report(response)
    found = tuple((item.finding, item.severity, item.laterality) for item in report.findings)
    return report.text, report.recommendations, found


def _alone(target: Target, most: int) -> list[tuple[ReportRequest, _Said]]:
    """Studies that get different reports when asked one after the other, and these reports.

    A study that the service does not have, or cannot report, is left out.
    """
    found: dict[_Said, ReportRequest] = {}
    for request in target.requests:
        if len(found) == most:
            break
        answer = target.post(request)
        if answer.status_code == 200:
            found.setdefault(_said(answer), request)
    return [(request, said) for said, request in found.items()]


def _own_reports(
    target: Target, alone: list[tuple[ReportRequest, _Said]], got: list[tuple[ReportRequest, _Said]]
) -> None:
    """Each answer is the report that its study gets alone.

    Raises:
        Failed: one is not, though its study alone gets the same again. NotEvaluated: alone it does not.
    """
    wanted = {request.study_id: said for request, said in alone}
    strange = [(request, said) for request, said in got if said != wanted[request.study_id]]
    again = {request.study_id: request for request in (alone[0][0], *(request for request, _ in strange))}
    repeated = set[str]()
    for study, request in again.items():
        answer = target.post(request)
        if answer.status_code == 200 and _said(answer) == wanted[study]:
            repeated.add(study)
    wrong = [said for request, said in strange if request.study_id in repeated]
    if wrong and alone[0][0].study_id in repeated:
        others = sum(said in wanted.values() for said in wrong)
        raise Failed(
            f"{len(wrong)} of {len(got)} answers are not the report that their study gets alone; "
            f"{others} of them are the report of another study"
        )
    if len(repeated) < len(again):
        raise NotEvaluated(
            "a study asked alone does not get the same report twice, so that whether each study of several "
            "at a time gets its own cannot be told"
        )


def _unknown(**changes: Any) -> dict[str, Any]:
    image = {"series_uid": _NOWHERE, "instance_uid": _NOWHERE, "view": "PA"}
    return {"study_id": _NOWHERE, "images": [image], **changes}


def _wrong() -> Iterator[tuple[str, dict[str, Any]]]:
    image = {"series_uid": _NOWHERE, "instance_uid": _NOWHERE, "view": "PA"}
    yield "images", {"images": SENTINEL}
    yield "images", {"images": []}
    yield "images", {"images": [image] * 17}
    yield "images.0", {"images": [SENTINEL]}
    yield "images.0.view", {"images": [{**image, "view": SENTINEL}]}
    yield "images.0.series_uid", {"images": [{"instance_uid": _NOWHERE, "view": "PA"}]}
    yield "clinical_context", {"clinical_context": SENTINEL}
    yield "clinical_context.age", {"clinical_context": {"age": SENTINEL}}
    yield "clinical_context.age", {"clinical_context": {"age": "64"}}
    yield "clinical_context.age", {"clinical_context": {"age": -1}}
    yield "clinical_context.sex", {"clinical_context": {"sex": SENTINEL}}
    yield "clinical_context.indication", {"clinical_context": {"indication": "x" * 10_001}}
    yield "clinical_context.prior_studies", {"clinical_context": {"prior_studies": SENTINEL}}
    yield "report_template", {"report_template": 7}
    yield "confidence_threshold", {"confidence_threshold": 1.5}
    yield "confidence_threshold", {"confidence_threshold": SENTINEL}
    yield "", {SENTINEL: SENTINEL}  # an unknown field's name is what was sent, and not to be quoted either


CASES: Final[Mapping[str, Case]] = MappingProxyType(
    {
        "health": health,
        "metrics": metrics,
        "report": report,
        "report-fhir": report_fhir,
        "report-text": report_text,
        "not-acceptable": not_acceptable,
        "unknown-study": unknown_study,
        "bad-identifiers": bad_identifiers,
        "study-mismatch": study_mismatch,
        "wrong-types": wrong_types,
        "not-json": not_json,
        "oversize-body": oversize_body,
        "method": method,
        "idempotency": idempotency,
        "concurrency": concurrency,
        "overload": overload,
        "no-traces": no_traces,
    }
)
"""Name -> case."""
