"""What is asked of a service: contract cases and fuzzing, declared in YAML."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.conformance.cases import CASES, FUZZ
from harness.digests import digest_value
from harness.errors import SuiteError
from harness.schema_errors import explain_all
from harness.suite import Name
from harness.yaml_source import read_yaml


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CasePart(_Part):
    """One case that the service must pass."""

    case: str
    """A name of `cases.CASES`, or `fuzz`."""
    requirement: str = ""
    """The clause of the contract that asks for it."""


class ApiSuite(_Part):
    """A whole conformance suite."""

    name: Name
    version: int
    title: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the fuzzer: the same seed asks the same of the same description."""
    examples: Annotated[int, Field(ge=1, le=10_000)] = 25
    """Requests of the fuzzer for each operation that keep its schema, and as many that break it."""
    at_once: Annotated[int, Field(ge=2, le=256)] = 8
    """Requests at a time where the cases need several."""
    overload: Annotated[int, Field(ge=2, le=4096)] = 128
    """Requests at a time that must fill the queue."""
    oversize_bytes: Annotated[int, Field(ge=1)] = 4_194_304
    """A body that is too long for any service."""
    request_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    time_limit_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 300.0
    """Of the whole; what is not done by then is NOT EVALUATED."""
    cases: Annotated[tuple[CasePart, ...], Field(min_length=1, strict=False)]

    def digest(self) -> str:
        """SHA-256 of all that is declared, defaults included."""
        return digest_value(self.model_dump(mode="json"))


def read_api_suite(path: Path) -> ApiSuite:
    """Reads and checks a conformance suite.

    Raises:
        SuiteError: it cannot be read; every problem with file, line, column and remedy.
    """
    source = read_yaml(path)
    if not isinstance(source.data, dict):
        raise SuiteError([source.problem((), "a conformance suite is a mapping with name, version, cases")])
    try:
        suite = ApiSuite.model_validate(source.data)
    except ValidationError as error:
        raise SuiteError(explain_all(source, error, ApiSuite)) from None
    problems, seen = [], set[str]()
    for place, part in enumerate(suite.cases):
        known = (*CASES, FUZZ)
        where = ("cases", place, "case")
        if part.case not in known:
            near = difflib.get_close_matches(part.case, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            problems.append(source.problem(where, f"{part.case}: no such case; {hint}"))
        elif part.case in seen:
            problems.append(source.problem(where, f"{part.case} stands twice"))
        seen.add(part.case)
    if problems:
        raise SuiteError(problems)
    return suite
