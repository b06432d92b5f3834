"""Who is judged."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from harness.candidates.base import Candidate
from harness.errors import CandidateError
from harness.plugins import load


def open_candidate(locator: str) -> Candidate:
    """Opens `KIND`, `KIND:PATH` or `KIND:PATH?option=value&...`, such as `predictions:a.jsonl`.

    For a candidate that takes a `url`, `KIND:URL`, such as `http:https://host:8443?deadline_s=20`.

    Raises:
        PluginError: no such kind. CandidateError: a bad option or path.
    """
    kind, path, asked = split_locator(locator)
    if not path and not asked and Path(kind).is_file():
        raise CandidateError(f"{locator}: name a candidate as KIND:PATH, such as predictions:{locator}")
    cls = load("candidates", kind)
    parameters = inspect.signature(cls).parameters
    options: dict[str, Any] = dict(asked)
    if path and "url" in parameters:
        options["url"] = path
    elif path:
        options["path"] = Path(path)
    for name in options:
        if name not in parameters:
            raise CandidateError(
                f"{locator}: candidate {kind} takes no {name}; it takes {', '.join(parameters) or 'nothing'}"
            )
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in options
    ]
    if needed:
        main = next((name.upper() for name in ("path", "url") if name in needed), f"?{needed[0]}=...")
        how = f"{kind}:{main}"
        raise CandidateError(f"{locator}: candidate {kind} needs {', '.join(needed)}; write {how}")
    candidate: Candidate = cls(**options)
    return candidate


def split_locator(locator: str) -> tuple[str, str, dict[str, str]]:
    """Kind, path ("" where there is none) and options of a candidate's locator."""
    kind, _, rest = locator.partition(":")
    path, _, query = rest.partition("?")
    return kind, path, dict(parse_qsl(query, keep_blank_values=True))
