"""Where studies come from."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from harness.cohorts.base import Cohort
from harness.errors import CohortError
from harness.plugins import load


def open_cohort(locator: str, **wanted: Any) -> Cohort:
    """Opens `KIND:PATH` or `KIND:PATH?option=value&...`, such as `phantom:runs/cohort`.

    Args:
        locator: kind of cohort, path, and options.
        wanted: options that a suite asks for; the locator must not contradict them.

    Raises:
        PluginError: no such kind. CohortError: a bad option, or what the cohort raises.
    """
    kind, colon, rest = locator.partition(":")
    if not colon or not rest:
        example = f"manifest:{locator}" if Path(locator).is_file() else "phantom:cohorts/demo"
        raise CohortError(f"{locator}: name a cohort as KIND:PATH, such as {example}")
    path, _, query = rest.partition("?")
    cls = load("cohorts", kind)
    known = [name for name in inspect.signature(cls).parameters if name not in ("root", "path")]
    options: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in wanted.items():
        if options.setdefault(name, value) != value:
            raise CohortError(
                f"{locator}: {name}={options[name]} contradicts the suite, which asks for {value}"
            )
    for name in options:
        if name not in known:
            who = f"; the suite asks for it: take cohort.{name} out of a copy" if name in wanted else ""
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise CohortError(f"{locator}: cohort kind {kind} has no option {name}; {has}{who}")
    cohort: Cohort = cls(Path(path), **options)
    return cohort
