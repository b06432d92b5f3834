"""The contract over HTTP: a FastAPI application around a `Service`.

FastAPI reads annotations by their names in this module, so it is imported here and not later.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from harness import __version__
from harness.service.contract import (
    IDEMPOTENCY_KEY,
    PATH,
    STUDY_ID,
    FieldProblem,
    Health,
    ReportRequest,
)
from harness.service.door import Door, send_refusal
from harness.service.fhir import MEDIA_TYPE, diagnostic_report
from harness.service.idempotency import Remembered
from harness.service.openapi import described
from harness.service.refusals import Refusal
from harness.service.service import Answered, Service
from harness.service.text import Render, text_renderer

MOST_BODY: Final = 2**20
"""Bytes of a request."""
BODY_S: Final = 10.0
"""Seconds in which a request's body must come."""
FORMS: Final = {"json": "application/json", "fhir": MEDIA_TYPE, "text": "text/plain"}
"""Query value -> media type."""


def build_app(service: Service, *, render: Render | None = None, token: str | None = None) -> FastAPI:
    """The application; `service` must have been started, and is opened and closed with it.

    Args:
        service: who answers.
        render: of text; the template that comes with the package where left out.
        token: the bearer token; None: none is asked for.
    """
    rendered = render or text_renderer()
    remembered: Remembered[Answered] = Remembered()

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        service.open()
        yield
        await service.close()

    app = FastAPI(
        title="Chest X-ray report service",
        version=__version__,
        lifespan=life,
        docs_url=None,  # those pages fetch scripts from elsewhere
        redoc_url=None,
    )

    async def report(
        request: Request,
        study_id: Annotated[str, Path(pattern=STUDY_ID, max_length=64)],
        format: Annotated[
            Literal["json", "fhir", "text"] | None, Query(description="Wins over Accept.")
        ] = None,
        idempotency_key: Annotated[str | None, Header(pattern=IDEMPOTENCY_KEY, max_length=128)] = None,
    ) -> Response:
        """The report of one study."""
        form = format or accepted(request.headers.get("accept", "*/*"))
        asked = parsed(await read_body(request), study_id)
        if idempotency_key is None:
            answered, replay = await service.answer(asked), False
        else:
            fingerprint = hashlib.sha256(asked.model_dump_json().encode()).hexdigest()
            answered, replay = await remembered.once(
                idempotency_key, fingerprint, lambda: service.answer(asked)
            )
        headers = {
            "X-Study-Id": asked.study_id,
            "X-Candidate": service.digest,
            "Cache-Control": "no-store",
            "Vary": "Accept",
        }
        if replay:
            service.metrics.replays.inc()
            headers["Idempotent-Replay"] = "true"
        body = answered.report.model_dump_json()
        if form != "json":
            body = rendered(asked, answered.report, answered.issued)
        if form == "fhir":
            body = diagnostic_report(asked, answered.report, body, answered.issued)
        return Response(body, media_type=FORMS[form], headers=headers)

    async def healthz() -> Response:
        """Whether the process lives."""
        return Response(service.health().model_dump_json(), media_type="application/json")

    async def readyz() -> Response:
        """Whether a report may be asked for."""
        health = service.health()
        code = 200 if health.status == "ready" else 503
        return Response(health.model_dump_json(), status_code=code, media_type="application/json")

    async def metrics() -> Response:
        """Prometheus' text format."""
        body, kind = service.metrics.text()
        return Response(body, headers={"Content-Type": kind})

    app.add_api_route(PATH, report, methods=["POST"], response_model=None)
    app.add_api_route("/healthz", healthz, response_model=Health)
    app.add_api_route("/readyz", readyz, response_model=Health)
    app.add_api_route("/metrics", metrics, response_model=None)

    for kind in (Refusal, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, refused)
    app.add_middleware(Door, metrics=service.metrics, token=token)
    described(app, secured=token is not None)
    return app


class Refused(Response):
    """A refusal as a response."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(status_code=refusal.status)
        self._refusal = refusal

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends it."""
        await send_refusal(self._refusal, send)


def refused(request: Request, error: Exception) -> Response:
    """Whatever a route raised, as the contract has it."""
    if isinstance(error, Refusal):
        return Refused(error)
    if isinstance(error, RequestValidationError):
        return Refused(invalid(error.errors()))
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        return Refused(Refusal("method-not-allowed", f"this path takes {allowed}"))
    return Refused(Refusal("not-found", "see /openapi.json for what there is"))


def accepted(header: str) -> str:
    """The form that an Accept header asks for (RFC 9110, 12.5.1); JSON where it does not care.

    Raises:
        Refusal: none of `FORMS` is accepted.
    """
    ranges: dict[str, tuple[float, int]] = {}
    for number, part in enumerate(header.split(",")):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        ranges.setdefault(media, (quality if 0 <= quality <= 1 else 0.0, -number))
    weights: dict[str, tuple[float, int]] = {}
    for form, name in FORMS.items():
        # The most specific range that a type falls under decides on it.
        for media in (name, f"{name.partition('/')[0]}/*", "*/*"):
            if media in ranges:
                weights[form] = ranges[media]
                break
    best = max(weights, key=weights.__getitem__, default=None)
    if best is None or weights[best][0] == 0:
        raise Refusal("not-acceptable", f"accept one of {', '.join(FORMS.values())}")
    return best


async def read_body(request: Any) -> bytes:
    """The body of a request, if it is JSON and neither too long nor too slow.

    Raises:
        Refusal: it is not.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal("not-json-type", "send application/json, not encoded")
    too_long = Refusal("body-too-large", f"send at most {MOST_BODY:,} bytes")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > MOST_BODY:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    raise too_long
    except TimeoutError:
        raise Refusal("slow-body", f"send the whole body within {BODY_S:g} s", retry_after_s=1) from None
    return bytes(body)


def parsed(body: bytes, study_id: str) -> ReportRequest:
    """The request.

    Raises:
        Refusal: no JSON, against the contract, or for another study than the path's.
    """
    try:
        asked = ReportRequest.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        if found[0]["type"] == "json_invalid":
            raise Refusal("not-json", "send a JSON object in UTF-8") from None
        raise invalid(found) from None
    if asked.study_id != study_id:
        field = FieldProblem(field="study_id", problem="is not the study of the path")
        raise Refusal("invalid-request", "study_id must be the same in path and body", errors=[field])
    return asked


def invalid(found: Sequence[Any]) -> Refusal:
    """A refusal that names fields and rules, and no value."""
    errors = [
        FieldProblem(
            # A key that nobody knows is the sender's own word: it is not repeated.
            field=".".join(map(str, item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"])),
            problem=_RULES.get(item["type"], item["msg"]),
        )
        for item in found[:20]
    ]
    return Refusal("invalid-request", "correct the fields that errors names", errors=errors)


_RULES: Final = {"extra_forbidden": "holds a field that the contract does not have"}
