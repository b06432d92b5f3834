"""Dataclasses as plain JSON values, and where two such values differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses and mappings as dictionaries, tuples as lists, names as text, NaN as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def difference(stated: Any, derived: Any, where: str) -> str:
    """Where two plain values differ, "" if nowhere; real numbers may differ by rounding alone."""
    if isinstance(stated, dict) and isinstance(derived, dict) and stated.keys() == derived.keys():
        inner = ((f"{where}.{key}", stated[key], derived[key]) for key in stated)
    elif isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        inner = (
            (f"{where}[{k}]", one, two) for k, (one, two) in enumerate(zip(stated, derived, strict=True))
        )
    elif isinstance(stated, float) and isinstance(derived, float):
        return "" if math.isclose(stated, derived, rel_tol=1e-9, abs_tol=1e-12) else where
    else:
        return "" if stated == derived and type(stated) is type(derived) else where
    return next((found for name, one, two in inner if (found := difference(one, two, name))), "")
