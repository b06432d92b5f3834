"""Requests made from the service's own OpenAPI description, and what schemathesis says of the answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from harness.conformance.target import Failed, NotEvaluated, Target, insist
from harness.service.contract import PATH

_NO_REQUEST: Final = ("Unsatisfiable", "UnsatisfiableSchema", "InvalidArgument", "SkipTest")
"""What is raised where no request can be made within, or outside of, an operation's schema."""


class _OutOfTime(BaseException):
    """Ends hypothesis' loop; it must not take it for a finding."""


def fuzz(target: Target, examples: int, seed: int, until: float) -> str:
    """Asks each operation so many times within its schema, and as many times outside of it.

    Checks: no server error, only statuses, types, headers and bodies that are described, what the schema
    refuses is refused, and what it allows is not refused as invalid.

    Args:
        target: the service.
        examples: requests for each operation and way.
        seed: the same seed makes the same requests of the same description.
        until: `time.monotonic()` at which it ends.

    Raises:
        Failed: with the operation and the checks that failed, or the operation that the description leaves
            out or that no request could be made of. NotEvaluated: no description, schemathesis
            is not installed, or the time was up.
    """
    try:
        import requests
        import schemathesis
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded
        from schemathesis.config import SchemathesisConfig
    except ImportError:
        raise NotEvaluated('schemathesis is not installed; pip install "schemathesis>=4"') from None
    response = target.get("/openapi.json")
    insist(response.status_code == 200, f"/openapi.json answers {response.status_code}")
    try:
        schema = schemathesis.openapi.from_dict(response.json(), config=SchemathesisConfig())
        found: list[Any] = list(schema.get_all_operations())
        operations = [result.ok() for result in found]
    except Exception as error:
        raise Failed(f"/openapi.json is no usable description ({type(error).__name__})") from None
    described = {(operation.method.upper(), operation.path): operation.label for operation in operations}
    insist(("POST", PATH) in described, f"/openapi.json does not describe POST {PATH}")
    session = requests.Session()
    session.trust_env = False
    options = _connection(target)
    problems: dict[str, str] = {}
    asked: Counter[str] = Counter()
    within: Counter[str] = Counter()

    def one(case: Any) -> None:
        if time.monotonic() > until:
            raise _OutOfTime
        asked[case.operation.label] += 1
        if case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE:
            within[case.operation.label] += 1
            if case.operation.path == PATH:
                _keep_what_no_schema_says(case)
        answer = case.call(base_url=target.endpoint.url, session=session, timeout=target.timeout_s, **options)
        target.answers += 1
        try:
            case.validate_response(answer, headers=options["headers"])
        except BaseExceptionGroup as group:  # schemathesis' FailureGroup
            for failure in group.exceptions:
                problems.setdefault(f"{case.operation.label}: {getattr(failure, 'title', 'failed')}", "")

    made: list[Callable[[], None]] = []
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            run = settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )(given(case=operation.as_strategy(generation_mode=mode))(one))
            made.append(seeded(seed)(run))
    try:
        for run_one in made:
            try:
                run_one()
            except Failed:
                raise
            except Exception as error:
                # Not every operation can be asked outside of its schema: one without parameters has none.
                if type(error).__name__ not in _NO_REQUEST:
                    raise Failed(f"the service cannot be asked ({type(error).__name__})") from None
    except _OutOfTime:
        if not problems:
            raise NotEvaluated(
                f"the time was up after {asked.total()} requests; raise time_limit_s"
            ) from None
    finally:
        session.close()
    insist(not problems, "; ".join(sorted(problems)))
    never = sorted(label for label in described.values() if not within[label])
    insist(not never, f"no request could be made within the schema of {', '.join(never)}")
    report = asked[described["POST", PATH]]
    outside = report - within[described["POST", PATH]]
    insist(outside > 0, f"no request could be made outside the schema of POST {PATH}")
    return f"{asked.total()} requests to {len(described)} operations, {report} of them for a report"


def _keep_what_no_schema_says(case: Any) -> None:
    # One study in path and body, no instance twice, a template that the candidate knows.
    try:
        case.path_parameters["study_id"] = case.body["study_id"]
        case.body["images"] = case.body["images"][:1]
    except (TypeError, KeyError):
        raise Failed(f"/openapi.json describes POST {PATH} without the fields that it needs") from None
    case.body.pop("report_template", None)


def _connection(target: Target) -> dict[str, Any]:
    endpoint, token = target.endpoint, target.endpoint.token()
    options: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"} if token else {}}
    if endpoint.ca is not None:
        options["verify"] = str(endpoint.ca)
    if endpoint.certificate is not None:
        pair = (str(endpoint.certificate), str(endpoint.key)) if endpoint.key else str(endpoint.certificate)
        options["cert"] = pair
    return options
