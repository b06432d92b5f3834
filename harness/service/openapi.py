"""The OpenAPI description: complete, so that a client, or a fuzzer, needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from harness.report import Report
from harness.service.contract import PATH, Health, Problem, ReportRequest
from harness.service.fhir import MEDIA_TYPE
from harness.service.refusals import KINDS

if TYPE_CHECKING:
    from fastapi import FastAPI

_REF: Final = "#/components/schemas/{model}"
_POST: Final = (400, 401, 404, 406, 408, 413, 415, 422, 429, 500, 502, 503, 504)
_RETRY: Final = (408, 429, 502, 503)


def described(app: FastAPI, *, secured: bool) -> None:
    """Gives an application its description.

    Args:
        app: with its routes.
        secured: whether it asks for a bearer token.
    """
    from fastapi.openapi.utils import get_openapi

    whole: dict[str, Any] = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, schemas = models_json_schema(
        [(model, "validation") for model in (ReportRequest, Report, Problem, Health)], ref_template=_REF
    )
    parts = whole.setdefault("components", {})
    parts["schemas"] = schemas["$defs"]
    post = whole["paths"][PATH]["post"]
    post["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _ref("ReportRequest")}},
    }
    post["responses"] = {
        "200": {
            "description": "The report",
            "headers": {
                name: {"description": told, "schema": {"type": "string"}}
                for name, told in (
                    ("X-Study-Id", "The study that this is the report of"),
                    ("X-Candidate", "SHA-256 of what wrote it"),
                    ("X-Request-Id", "In the service's log too"),
                    ("Idempotent-Replay", "true where the answer was given before"),
                )
            },
            "content": {
                "application/json": {"schema": _ref("Report")},
                MEDIA_TYPE: {"schema": {"type": "object", "description": "FHIR R4 DiagnosticReport"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        **{str(status): _problem(status) for status in _POST},
    }
    for path in ("/healthz", "/readyz"):
        get = whole["paths"][path]["get"]
        get["responses"] = {"200": _health("It is well")}
    whole["paths"]["/readyz"]["get"]["responses"]["503"] = _health("Not now")
    whole["paths"]["/metrics"]["get"]["responses"] = {
        "200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}},
    }
    if secured:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, method in ((PATH, "post"), ("/metrics", "get")):
            whole["paths"][path][method]["security"] = [{"token": []}]
        whole["paths"]["/metrics"]["get"]["responses"]["401"] = _problem(401)
    else:
        del post["responses"]["401"]
    app.openapi = lambda: whole  # type: ignore[method-assign]


def _problem(status: int) -> dict[str, Any]:
    titles = [title for code, title in KINDS.values() if code == status]
    told: dict[str, Any] = {
        "description": "; ".join(titles),
        "content": {"application/problem+json": {"schema": _ref("Problem")}},
    }
    if status in _RETRY:
        told["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return told


def _health(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref("Health")}}}


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}
